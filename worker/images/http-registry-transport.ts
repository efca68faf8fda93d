/**
 * HTTP requests to one registry and to where it redirects.
 * Edge: to node:http, node:https, DNS. Invariants: plain text and unchecked certificates only to addresses
 * that are loopback or private, checked on the addresses really connected to; credentials stay with the host
 * they were meant for.
 * Sources: RFC 9110 (redirects), distribution-spec 1.1.
 */
import { lookup as dnsLookup } from "node:dns";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { type AgentOptions, type Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { rootCertificates } from "node:tls";
import { dialWords } from "../../base/errors/dial-words.js";
import {
  CancelledError,
  InternalError,
  messageOf,
  PermissionDeniedError,
  SkeinError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { ProxyingAgent } from "./http-proxying-agent.js";
import { mayBeInsecure, rangeOf } from "./registry-address.js";
import type { ProxySettings } from "./registry-proxy.js";

export interface TransportInit {
  readonly insecureRegistries: readonly string[];
  /** Folders with a folder per host[:port], the first that has one counts. */
  readonly certsDirs: readonly string[];
  readonly proxies: ProxySettings;
}

/** Which server a transport speaks to. */
export interface RegistryOrigin {
  readonly host: string;
  readonly port: number | undefined;
  /** host[:port], the name of its folder of certificates. */
  readonly certsName: string;
  /** Of a mirror, which is given as a URL. @default found out */
  readonly scheme?: "http" | "https";
}

export interface SendOptions {
  readonly method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes that may be asked for again, when a redirect keeps to the same server. */
  readonly body?: string | Uint8Array | (() => AsyncIterable<Uint8Array>);
  readonly signal?: AbortSignal | undefined;
  /** Longer for a server that sums what it was sent before it answers. @default 30 s */
  readonly silenceMaxMs?: number;
}

const REDIRECTS_MAX = 5;
/** Without a byte for so long, a connection counts as broken. */
const SILENCE_MAX_MS = 30_000;
/** Sockets to one host; downloads are three at a time, token and manifest requests come between. */
const SOCKETS_MAX = 8;
/** Errors by which a server shows that it does not speak TLS, or nothing listens at the TLS port. */
const NO_TLS = /EPROTO|ECONNREFUSED|ECONNRESET|ERR_SSL|EHOSTUNREACH|socket hang up/;

export class RegistryTransport {
  readonly #origin: RegistryOrigin;
  readonly #insecure: boolean;
  readonly #plainAgent = new HttpAgent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  /** For the registry itself: its own CAs and client certificate, and laxity when allowed. */
  readonly #tlsAgent: HttpsAgent;
  readonly #foreignTlsAgent: HttpsAgent;
  #scheme: Promise<"http" | "https"> | undefined;
  #knownScheme: "http" | "https" = "https";

  constructor(origin: RegistryOrigin, init: TransportInit) {
    this.#origin = origin;
    const certificates = readCertificates(init.certsDirs.map((folder) => join(folder, origin.certsName)));
    // Whoever gives a CA for a registry wants it checked, wherever the registry is.
    this.#insecure =
      certificates.ca === undefined &&
      (origin.scheme === "http" || mayBeInsecure(origin, init.insecureRegistries));
    const agent = (options: AgentOptions): HttpsAgent =>
      new ProxyingAgent({ keepAlive: true, maxSockets: SOCKETS_MAX, ...options }, init.proxies);
    this.#tlsAgent = agent({ rejectUnauthorized: !this.#insecure, ...certificates });
    this.#foreignTlsAgent = agent({});
  }

  /**
   * @param path begins with /v2/.
   * @throws {UnavailableError} unreachable; {PermissionDeniedError} plain text refused; {CancelledError}.
   */
  async send(path: string, options: SendOptions = {}): Promise<IncomingMessage> {
    this.#scheme ??= this.#chooseScheme();
    try {
      this.#knownScheme = await untilAborted(this.#scheme, options.signal);
      return await this.sendTo(this.#url(this.#knownScheme, path), options);
    } catch (error) {
      this.#scheme = undefined; // the server may come back speaking otherwise
      throw error;
    }
  }

  /**
   * Follows redirects; the Authorization header goes to the first host only, and so does a body,
   * which holds a token.
   */
  async sendTo(first: URL, options: SendOptions): Promise<IncomingMessage> {
    let url = first;
    for (let followed = 0; followed <= REDIRECTS_MAX; followed += 1) {
      const answer = await this.#sendOnce(url, withoutForeignCredentials(options, first, url));
      const location = answer.headers.location;
      if (location === undefined || ![301, 302, 303, 307, 308].includes(answer.statusCode ?? 0)) {
        // A challenge of the host that was redirected to is none of the registry: it is not answered.
        if (url.origin !== first.origin) delete answer.headers["www-authenticate"];
        return answer;
      }
      answer.resume();
      if (!URL.canParse(location, url.href))
        throw new UnavailableError(`${first.host} redirects to what is no URL`);
      url = new URL(location, url);
      if (options.body !== undefined && url.origin !== first.origin) {
        throw new PermissionDeniedError(
          `${first.host} redirects a request that holds credentials to ${url.host}`,
        );
      }
      if (url.protocol !== "https:" && url.protocol !== "http:")
        throw new UnavailableError(`${first.host} redirects to ${url.protocol}`);
    }
    throw new UnavailableError(`${first.host} redirects more than ${REDIRECTS_MAX} times`);
  }

  close(): void {
    for (const agent of [this.#plainAgent, this.#tlsAgent, this.#foreignTlsAgent]) agent.destroy();
  }

  /** The registry's root, in the scheme that was found out. */
  base(): URL {
    return this.#url(this.#knownScheme, "/");
  }

  #url(scheme: "http" | "https", path: string): URL {
    const host = this.#origin.host.includes(":") ? `[${this.#origin.host}]` : this.#origin.host;
    return new URL(
      `${scheme}://${host}${this.#origin.port === undefined ? "" : `:${this.#origin.port}`}${path}`,
    );
  }

  /** Shared by all requests, so no caller's signal ends it; the bound on silence does. */
  async #chooseScheme(): Promise<"http" | "https"> {
    if (this.#origin.scheme !== undefined) return this.#origin.scheme;
    if (!this.#insecure) return "https";
    try {
      (await this.#sendOnce(this.#url("https", "/v2/"), {})).resume();
      return "https";
    } catch (error) {
      const { cause } = error instanceof UnavailableError ? error : {};
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
      if (error instanceof UnavailableError && NO_TLS.test(`${error.message} ${code}`)) return "http";
      throw error;
    }
  }

  #sendOnce(url: URL, options: SendOptions): Promise<IncomingMessage> {
    const plain = url.protocol === "http:";
    const own = url.hostname === this.#url("https", "/").hostname;
    const guarded = plain || (own && this.#insecure);
    if (plain && !this.#insecure) {
      throw new PermissionDeniedError(
        `plain http to ${url.host} is refused: the registry is not among the insecure registries`,
      );
    }
    const literal = url.hostname.replace(/^\[|\]$/g, "");
    if (guarded && isIP(literal) !== 0) checkNear(literal, url.host);
    return new Promise((resolve, reject) => {
      const send = plain ? httpRequest : httpsRequest;
      const { signal } = options;
      const request = send(url, {
        method: options.method ?? "GET",
        agent: plain ? this.#plainAgent : own ? this.#tlsAgent : this.#foreignTlsAgent,
        headers: { "user-agent": "skein", ...options.headers },
        timeout: options.silenceMaxMs ?? SILENCE_MAX_MS,
        ...(guarded ? { lookup: nearLookup } : {}),
        ...(signal === undefined ? {} : { signal }),
      });
      request.once("response", resolve);
      request.once("timeout", () =>
        request.destroy(
          new UnavailableError(`${url.host} is silent for ${options.silenceMaxMs ?? SILENCE_MAX_MS} ms`),
        ),
      );
      request.on("error", (error) => reject(translate(error, url, signal)));
      const { body } = options;
      if (typeof body !== "function") request.end(body);
      else
        pipeline(body, request).catch((error: unknown) => {
          request.destroy();
          reject(translate(error, url, signal));
        });
    });
  }
}

/** @returns an error of ours for whatever a request or its body failed with. */
export function translate(
  error: unknown,
  url: { readonly host: string; readonly href?: string },
  signal: AbortSignal | undefined,
): SkeinError {
  if (signal?.aborted === true)
    return new CancelledError(`the request to ${url.host} was cancelled`, { cause: error });
  if (error instanceof SkeinError) return error;
  const dialled = dialWordsOf(error, url);
  if (dialled !== undefined) return new UnavailableError(dialled, { cause: error });
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const words = messageOf(error);
  const told = words.includes(code) ? words : `${code} ${words}`;
  return new UnavailableError(`request to ${url.host} failed: ${told || "connection lost"}`, {
    cause: error,
  });
}

/** A connection that never came about, as the stock daemon tells it. */
function dialWordsOf(
  error: unknown,
  url: { readonly host: string; readonly href?: string },
): string | undefined {
  const last: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
  if (!(last instanceof Error) || !("code" in last) || url.href === undefined) return undefined;
  const root = url.href.replace(/\/v2\/.*$/, "/v2/"); // which is asked first, by the daemon
  const get = `Get ${JSON.stringify(root)}:`;
  if (last.code === "ECONNREFUSED" && "address" in last) return `${get} ${dialWords(last)}`;
  if (last.code === "ENOTFOUND") return `${get} dial tcp: lookup ${url.host}: no such host`;
  return undefined;
}

function untilAborted<T>(task: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return task;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new CancelledError("the request was cancelled"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    void task.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function withoutForeignCredentials(options: SendOptions, first: URL, url: URL): SendOptions {
  if (url.host === first.host && url.protocol === first.protocol) return options;
  const headers = Object.entries(options.headers ?? {}).filter(
    ([name]) => name.toLowerCase() !== "authorization",
  );
  return { ...options, headers: Object.fromEntries(headers) };
}

function checkNear(address: string, host: string): void {
  if (rangeOf(address) !== "public") return;
  throw new PermissionDeniedError(
    `${host} has the public address ${address}: plain http and unchecked certificates are for loopback and ` +
      "private addresses",
  );
}

/**
 * DNS whose answers are all loopback or private, or an error: so the check and the connection see one answer.
 */
const nearLookup: LookupFunction = (host, options, done) => {
  dnsLookup(host, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, []);
    try {
      for (const { address } of addresses) checkNear(address, host);
    } catch (refused) {
      return done(refused instanceof Error ? refused : new InternalError(messageOf(refused)), []);
    }
    const first = addresses[0];
    if (options.all === true || first === undefined) return done(null, addresses);
    return done(null, first.address, first.family);
  });
};

/**
 * Reads `<folder>/*.crt` as CAs beside the usual ones, and the first `*.cert` with its `*.key`. Missing is
 * fine.
 */
function readCertificates(folders: readonly string[]): { ca?: string[]; cert?: string; key?: string } {
  const folder = folders.find((one) => existsSync(one));
  if (folder === undefined) return {};
  const names = readdirSync(folder).sort();
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const authorities = names.filter((name) => name.endsWith(".crt")).map(read);
  const client = names.find((name) => name.endsWith(".cert") && names.includes(`${name.slice(0, -5)}.key`));
  return {
    ...(authorities.length === 0 ? {} : { ca: [...rootCertificates, ...authorities] }),
    ...(client === undefined ? {} : { cert: read(client), key: read(`${client.slice(0, -5)}.key`) }),
  };
}
