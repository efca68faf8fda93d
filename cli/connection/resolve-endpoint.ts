/**
 * Which daemon is meant, of all that flags, the environment and the contexts say. Edge: to files, through the
 * contexts, and to certificates that flags name.
 * In this order: --host, --context, SKEIN_HOST, SKEIN_CONTEXT, DOCKER_HOST, DOCKER_CONTEXT, what
 * 'skein context use' chose, the socket of this host. Source of the order: docker's, with ours before it.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { DEFAULT_HOST, type Endpoint, type TlsMaterial } from "./endpoint.js";

export interface GlobalFlags {
  readonly host?: string;
  readonly context?: string;
  readonly tls?: boolean;
  readonly tlsverify?: boolean;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
}

export type Env = Readonly<Record<string, string | undefined>>;

type Choice =
  | { readonly host: string; readonly source: string }
  | { readonly context: string; readonly source: string }
  | undefined;

/** What the words say, before any file is looked at. @throws {InvalidArgumentError} both flags. */
export function choiceOf(flags: GlobalFlags, env: Env): Choice {
  const given = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
  if (flags.host !== undefined && flags.context !== undefined)
    throw new InvalidArgumentError("--host and --context both name a daemon: give one of them");
  if (flags.host !== undefined) return { host: flags.host, source: "--host" };
  if (flags.context !== undefined) return { context: flags.context, source: "--context" };
  for (const brand of ["SKEIN", "DOCKER"]) {
    const host = given(`${brand}_HOST`);
    if (host !== undefined) return { host, source: `${brand}_HOST` };
    const context = given(`${brand}_CONTEXT`);
    if (context !== undefined) return { context, source: `${brand}_CONTEXT` };
  }
  return undefined;
}

/** Name of the context in use; "default" when a host is named, or nothing. */
export async function currentContextName(flags: GlobalFlags, env: Env): Promise<string> {
  const choice = choiceOf(flags, env);
  if (choice !== undefined) return "context" in choice ? choice.context : "default";
  const { ContextStore } = await import("./fs-context-store.js");
  return ContextStore.ofUser(env).current() ?? "default";
}

/** @throws {InvalidArgumentError} contradictory flags, unreadable files; {NotFoundError} no such context. */
export async function resolveEndpoint(flags: GlobalFlags, env: Env): Promise<Endpoint> {
  const choice = choiceOf(flags, env);
  const tls = tlsOf(flags, env);
  if (choice !== undefined && "host" in choice) return { ...choice, ...tls };
  // The store is loaded only where there may be something in it.
  const configFolder = env["SKEIN_CONFIG"] || join(homedir(), ".skein");
  if (choice === undefined && !existsSync(join(configFolder, "config.json")))
    return { host: DEFAULT_HOST, source: "nothing: it is the default", ...tls };
  const { ContextStore, DEFAULT_CONTEXT, endpointOf } = await import("./fs-context-store.js");
  const store = ContextStore.ofUser(env);
  const name = choice?.context ?? store.current() ?? DEFAULT_CONTEXT;
  if (name === DEFAULT_CONTEXT)
    return { host: DEFAULT_HOST, source: `the context ${DEFAULT_CONTEXT}`, ...tls };
  const chosenBy = choice === undefined ? "'skein context use'" : choice.source;
  return { ...endpointOf(store.get(name), `the context ${name}, chosen by ${chosenBy}`), ...tls };
}

/** As docker's: --tlsverify implies --tls; files that are not named are used when they are there. */
function tlsOf(flags: GlobalFlags, env: Env): { readonly tls?: TlsMaterial } {
  const named = flags.tlscacert ?? flags.tlscert ?? flags.tlskey;
  const byEnvironment = (env["DOCKER_TLS_VERIFY"] ?? "") !== "" && flags.tlsverify !== false;
  const verify = flags.tlsverify === true || byEnvironment || (named !== undefined && flags.tls !== true);
  if (!verify && flags.tls !== true) return {};
  const folder = env["DOCKER_CERT_PATH"] || env["DOCKER_CONFIG"] || join(homedir(), ".docker");
  const read = (flag: string, path: string | undefined, name: string): Buffer | undefined => {
    const fallback = join(folder, name);
    if (path === undefined && !existsSync(fallback)) return undefined;
    try {
      return readFileSync(path ?? fallback);
    } catch (error) {
      throw new InvalidArgumentError(`cannot read the file of ${flag}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  };
  const ca = read("--tlscacert", flags.tlscacert, "ca.pem");
  const cert = read("--tlscert", flags.tlscert, "cert.pem");
  const key = read("--tlskey", flags.tlskey, "key.pem");
  if ((cert === undefined) !== (key === undefined))
    throw new InvalidArgumentError("--tlscert and --tlskey go together: one of the two files is missing");
  return {
    tls: {
      verify,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    },
  };
}
