/**
 * The registry client, protocol v2: sessions with repositories, one transport per registry.
 * Edge: HTTP. Invariant: a session that is under way keeps the transport it began with, whatever the options
 * become meanwhile.
 * Source: distribution-spec 1.1; docker.io's mirrors as the stock daemon's.
 */
import { STATUS_CODES } from "node:http";
import { DataLossError, InternalError, messageOf } from "../../base/errors/errors.js";
import { NO_CREDENTIALS, RegistryAuthorizer, readSmallBody } from "./http-registry-auth.js";
import { type RegistryClientComponents, RegistryExchange } from "./http-registry-exchange.js";
import { HttpRegistrySession } from "./http-registry-session.js";
import { type RegistryOrigin, RegistryTransport } from "./http-registry-transport.js";
import { HttpRegistryUploads } from "./http-registry-uploads.js";
import { asObject } from "./image-manifest.js";
import { type ImageReference, parseReference } from "./image-reference.js";
import type { RegistryAuth, RegistryOptions } from "./image-store.js";
import { MirroredSession } from "./mirrored-session.js";
import { isDockerHub, mirrorOriginOf, registryAddressOf } from "./registry-address.js";
import type { RegistryClient, RegistrySession } from "./registry-client.js";
import { NO_PROXIES, type ProxySettings } from "./registry-proxy.js";

export type { RegistryClientComponents } from "./http-registry-exchange.js";

/** Transports kept at once, one per registry; the oldest goes. */
const TRANSPORTS_MAX = 32;
/** Of tags of one repository, over all pages. */
const TAGS_MAX = 10_000;

export interface RegistryClientInit extends Partial<RegistryOptions> {
  /** @default none */
  readonly certsDirs?: readonly string[];
  readonly proxies?: ProxySettings;
}

export function createHttpRegistryClient(
  components: RegistryClientComponents,
  init: RegistryClientInit,
): RegistryClient {
  return new HttpRegistryClient(components, init);
}

class HttpRegistryClient implements RegistryClient {
  readonly #components: RegistryClientComponents;
  readonly #init: RegistryClientInit;
  readonly #transports = new Map<string, RegistryTransport>();
  #options: RegistryOptions;

  constructor(components: RegistryClientComponents, init: RegistryClientInit) {
    this.#components = components;
    this.#init = init;
    this.#options = { mirrors: init.mirrors ?? [], insecureRegistries: init.insecureRegistries ?? [] };
  }

  session(
    reference: ImageReference,
    auth?: RegistryAuth,
    purpose: "pull" | "describe" = "pull",
  ): RegistrySession {
    const own = new HttpRegistrySession(this.#exchange(reference, auth, purpose));
    if (!isDockerHub(reference.domain) || this.#options.mirrors.length === 0) return own;
    // Credentials are for docker.io, not for whoever mirrors it.
    const mirrors = this.#options.mirrors.map(
      (mirror) =>
        new HttpRegistrySession(this.#exchange(reference, undefined, purpose, mirrorOriginOf(mirror))),
    );
    return new MirroredSession([...mirrors, own], this.#components.log);
  }

  uploads(reference: ImageReference, auth?: RegistryAuth): HttpRegistryUploads {
    return new HttpRegistryUploads(this.#exchange(reference, auth, "push"));
  }

  async listTags(
    reference: ImageReference,
    { auth, signal }: { auth?: RegistryAuth | undefined; signal?: AbortSignal | undefined },
  ): Promise<readonly string[]> {
    const exchange = this.#exchange(reference, auth, "pull");
    const tags: string[] = [];
    let next: string | undefined = `/v2/${reference.path}/tags/list`;
    while (next !== undefined && tags.length < TAGS_MAX) {
      const page: string = next;
      const { json, link } = await exchange.retry(signal, async () => {
        const answer = await exchange.send(page, { signal });
        const bytes = await readSmallBody(answer, exchange.place, signal);
        return { json: parseJson(bytes), link: answer.headers["link"] };
      });
      const found = asObject(json)?.["tags"];
      if (Array.isArray(found)) tags.push(...found.filter((tag) => typeof tag === "string"));
      next = nextPageOf(typeof link === "string" ? link : link?.[0]);
    }
    return tags.slice(0, TAGS_MAX);
  }

  async authenticate(domain: string, auth: RegistryAuth, signal?: AbortSignal): Promise<string> {
    const transport = this.#transport(domain, undefined);
    const authorizer = new RegistryAuthorizer({ transport, path: "", auth, action: "login" });
    const answer = await transport.send("/v2/", { signal });
    answer.resume();
    if (answer.statusCode !== 401) return "";
    const url = new URL("/v2/", transport.base()).href;
    await authorizer.answer(answer.headers["www-authenticate"], signal).catch((error: unknown) => {
      if (messageOf(error) !== NO_CREDENTIALS) throw error;
      throw new InternalError(`Get "${url}": ${NO_CREDENTIALS}`, { cause: error });
    });
    const proof = await transport.send("/v2/", { signal, headers: authorizer.headers() });
    await readSmallBody(proof, { host: domain }, signal);
    if (proof.statusCode === 200) return authorizer.identityToken;
    const status = proof.statusCode ?? 0;
    // No UnauthenticatedError: only who gives out tokens says that (Docker's statuses).
    throw new InternalError(
      `login attempt to ${url} failed with status: ${status} ${STATUS_CODES[status] ?? ""}`.trimEnd(),
    );
  }

  async getJson(
    domain: string,
    path: string,
    { auth, signal }: { auth?: RegistryAuth | undefined; signal?: AbortSignal | undefined },
  ): Promise<unknown> {
    const reference = { ...parseReference("search"), domain };
    const exchange = this.#exchange(reference, auth, "describe", searchOriginOf(domain));
    const answer = await exchange.retry(signal, () => exchange.send(path, { signal }));
    return parseJson(await readSmallBody(answer, exchange.place, signal));
  }

  setOptions(options: RegistryOptions): void {
    this.#options = options;
    this.#transports.clear(); // sessions that still use one keep it alive
  }

  close(): void {
    for (const transport of this.#transports.values()) transport.close();
    this.#transports.clear();
  }

  #exchange(
    reference: ImageReference,
    auth: RegistryAuth | undefined,
    purpose: "pull" | "describe" | "push",
    origin?: RegistryOrigin,
  ): RegistryExchange {
    const transport = this.#transport(reference.domain, origin);
    const action = purpose === "push" ? "push" : "pull";
    const authorizer = new RegistryAuthorizer({ transport, path: reference.path, auth, action });
    return new RegistryExchange({
      components: this.#components,
      transport,
      authorizer,
      reference,
      purpose,
    });
  }

  #transport(domain: string, origin: RegistryOrigin | undefined): RegistryTransport {
    const key = origin === undefined ? domain : `${origin.scheme}://${origin.certsName}`;
    const known = this.#transports.get(key);
    if (known !== undefined) return known;
    const oldest = this.#transports.size >= TRANSPORTS_MAX ? this.#transports.keys().next().value : undefined;
    if (oldest !== undefined) this.#transports.delete(oldest); // sessions that still use it keep it alive
    const transport = new RegistryTransport(origin ?? { ...registryAddressOf(domain), certsName: domain }, {
      insecureRegistries: this.#options.insecureRegistries,
      certsDirs: this.#init.certsDirs ?? [],
      proxies: this.#init.proxies ?? NO_PROXIES,
    });
    this.#transports.set(key, transport);
    return transport;
  }
}

/** docker.io's search is served by another host than its images. */
function searchOriginOf(domain: string): RegistryOrigin | undefined {
  if (!isDockerHub(domain)) return undefined;
  return { host: "index.docker.io", port: undefined, certsName: "index.docker.io", scheme: "https" };
}

/** Of `Link: </v2/…?n=…&last=…>; rel="next"`. Only paths of the same registry are followed. */
function nextPageOf(link: string | undefined): string | undefined {
  const match = /^<([^>]+)>;\s*rel="?next"?/.exec(link ?? "");
  if (match === null) return undefined;
  const url = new URL(match[1] ?? "", "http://registry");
  return url.pathname.startsWith("/v2/") ? `${url.pathname}${url.search}` : undefined;
}

/** @throws {DataLossError} */
function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new DataLossError("the registry's answer is not JSON", { cause: error });
  }
}
