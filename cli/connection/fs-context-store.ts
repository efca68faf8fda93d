/**
 * Contexts on disk: named endpoints with their certificates. Edge: to files.
 * Laid out as docker's (contexts/meta/SHA256/meta.json, contexts/tls/SHA256/docker/*.pem), so that
 * docker's own contexts are read with the same code. Folders are made 0700, files 0600. Written to a new
 * file, then renamed.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { Endpoint, TlsMaterial } from "./endpoint.js";

export interface StoredContext {
  readonly name: string;
  readonly description: string;
  readonly host: string;
  readonly skipVerify: boolean;
  readonly tls: Readonly<Partial<Record<TlsFile, Buffer>>>;
  readonly from: "skein" | "docker";
}

export type TlsFile = "ca" | "cert" | "key";
export const TLS_FILES: readonly TlsFile[] = ["ca", "cert", "key"];
export const DEFAULT_CONTEXT = "default";
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]{0,127}$/;

interface Meta {
  readonly Name?: string;
  readonly Metadata?: { readonly Description?: string };
  readonly Endpoints?: {
    readonly docker?: { readonly Host?: string; readonly SkipTLSVerify?: boolean };
  };
}

/** @throws {InvalidArgumentError} */
export function checkContextName(name: string): void {
  if (name === DEFAULT_CONTEXT)
    throw new InvalidArgumentError('"default" is no stored context: it means the socket of this host');
  if (!NAME.test(name))
    throw new InvalidArgumentError(
      `the name of a context must begin with a letter or digit and hold at most 128 of a-z A-Z 0-9 _ . + -, ` +
        `got ${JSON.stringify(name)}`,
    );
}

export function metaText({
  name,
  description,
  host,
  skipVerify,
}: Omit<StoredContext, "tls" | "from">): string {
  const meta: Meta = {
    Name: name,
    Metadata: { Description: description },
    Endpoints: { docker: { Host: host, SkipTLSVerify: skipVerify } },
  };
  return JSON.stringify(meta);
}

/** @throws {InvalidArgumentError} not such a document. */
export function metaOf(text: string, where: string): Omit<StoredContext, "tls" | "from"> {
  let meta: Meta;
  try {
    meta = (JSON.parse(text) ?? {}) as Meta; // read leniently below
  } catch (error) {
    throw new InvalidArgumentError(`${where} must be JSON`, { cause: error });
  }
  const { Name: name, Metadata: more, Endpoints: endpoints } = meta;
  const host = endpoints?.docker?.Host;
  if (typeof name !== "string" || typeof host !== "string")
    throw new InvalidArgumentError(`${where} must have Name and Endpoints.docker.Host`);
  return {
    name,
    description: typeof more?.Description === "string" ? more.Description : "",
    host,
    skipVerify: endpoints?.docker?.SkipTLSVerify === true,
  };
}

// of node:fs
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT";

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export class ContextStore {
  readonly #folder: string;
  readonly #dockerFolder: string;

  /** @param folder such as ~/.skein; @param dockerFolder such as ~/.docker, which is only read. */
  constructor(folder: string, dockerFolder: string) {
    this.#folder = folder;
    this.#dockerFolder = dockerFolder;
  }

  static ofUser(env: Readonly<Record<string, string | undefined>>): ContextStore {
    return new ContextStore(
      env["SKEIN_CONFIG"] || join(homedir(), ".skein"),
      env["DOCKER_CONFIG"] || join(homedir(), ".docker"),
    );
  }

  /** Name that `context use` chose; undefined: none. */
  current(): string | undefined {
    const text = readIfThere(join(this.#folder, "config.json"))?.toString("utf8");
    if (text === undefined) return undefined;
    try {
      const { currentContext } = JSON.parse(text) as { currentContext?: unknown };
      return typeof currentContext === "string" && currentContext !== "" ? currentContext : undefined;
    } catch (error) {
      throw new InvalidArgumentError(
        `${join(this.#folder, "config.json")} must be JSON: mend it, or remove it and run 'skein context use'`,
        { cause: error },
      );
    }
  }

  /** @param name undefined: none. */
  use(name: string | undefined): void {
    this.#write(
      join(this.#folder, "config.json"),
      JSON.stringify(name === undefined ? {} : { currentContext: name }),
    );
  }

  /** Ours first, then docker's of other names and with an engine; each sorted. */
  list(): StoredContext[] {
    const ours = this.#listed(this.#folder, "skein");
    const names = new Set(ours.map(({ name }) => name));
    const others = this.#listed(this.#dockerFolder, "docker").filter(({ name }) => !names.has(name));
    return [...ours, ...others];
  }

  find(name: string): StoredContext | undefined {
    return this.#read(this.#folder, name, "skein") ?? this.#read(this.#dockerFolder, name, "docker");
  }

  /** @throws {NotFoundError} */
  get(name: string): StoredContext {
    const found = this.find(name);
    if (found === undefined)
      throw new NotFoundError(`context ${JSON.stringify(name)} does not exist: see 'skein context ls'`);
    return found;
  }

  save(context: Omit<StoredContext, "from">): void {
    const { name, tls } = context;
    checkContextName(name);
    const { meta, tls: tlsFolder } = pathsOf(this.#folder, name);
    // one by one: interrupted, it must not leave a context that goes without TLS
    for (const kind of TLS_FILES) {
      const pem = tls[kind];
      const path = join(tlsFolder, "docker", `${kind}.pem`);
      if (pem !== undefined) this.#write(path, pem);
      else rmSync(path, { force: true });
    }
    this.#write(join(meta, "meta.json"), metaText(context));
  }

  remove(name: string): void {
    const { meta, tls } = pathsOf(this.#folder, name);
    for (const folder of [meta, tls]) rmSync(folder, { recursive: true, force: true });
  }

  #listed(root: string, from: "skein" | "docker"): StoredContext[] {
    const folder = join(root, "contexts", "meta");
    let entries: string[];
    try {
      entries = readdirSync(folder);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
    return entries
      .map((entry) => {
        try {
          return this.#readAt(join(folder, entry), join(root, "contexts", "tls", entry), from);
        } catch (error) {
          if (from === "docker") return undefined; // of another kind of endpoint: it is no daemon to choose
          throw error;
        }
      })
      .filter((each) => each !== undefined)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #read(root: string, name: string, from: "skein" | "docker"): StoredContext | undefined {
    const { meta, tls } = pathsOf(root, name);
    return this.#readAt(meta, tls, from);
  }

  #readAt(meta: string, tlsFolder: string, from: "skein" | "docker"): StoredContext | undefined {
    const path = join(meta, "meta.json");
    const text = readIfThere(path)?.toString("utf8");
    if (text === undefined) return undefined;
    const tls: Partial<Record<TlsFile, Buffer>> = {};
    for (const kind of TLS_FILES) {
      const pem = readIfThere(join(tlsFolder, "docker", `${kind}.pem`));
      if (pem !== undefined) tls[kind] = pem;
    }
    return { ...metaOf(text, path), tls, from };
  }

  #write(path: string, content: string | Buffer): void {
    mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
    const fresh = `${path}.${randomUUID()}`;
    writeFileSync(fresh, content, { mode: 0o600 });
    renameSync(fresh, path);
  }
}

function pathsOf(root: string, name: string): { meta: string; tls: string } {
  const id = createHash("sha256").update(name).digest("hex");
  return { meta: join(root, "contexts", "meta", id), tls: join(root, "contexts", "tls", id) };
}

export function endpointOf(context: StoredContext, source: string): Endpoint {
  const { host, tls, skipVerify } = context;
  const hasTls = Object.keys(tls).length > 0 || skipVerify;
  const material: TlsMaterial = { ...tls, verify: !skipVerify };
  return { host, source, ...(hasTls ? { tls: material } : {}) };
}
