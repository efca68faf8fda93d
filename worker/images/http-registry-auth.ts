/**
 * Answers a registry's 401: basic credentials, or a token fetched from the realm it names.
 * Edge: HTTP through the registry's transport. Invariant: no secret enters a message or a log.
 * Sources: RFC 7617 (basic), distribution token and OAuth2 authentication.
 */
import type { IncomingMessage } from "node:http";
import {
  DataLossError,
  PermissionDeniedError,
  ResourceExhaustedError,
  UnauthenticatedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import type { RegistryTransport } from "./http-registry-transport.js";
import { translate } from "./http-registry-transport.js";
import { asObject } from "./image-manifest.js";
import type { RegistryAuth } from "./image-store.js";
import { type Challenge, parseChallenges, registryWordsOf } from "./registry-challenge.js";

/** A token answer or an error page that is read into memory. */
export const SMALL_BODY_BYTES_MAX = 1 << 20;

export const NO_CREDENTIALS = "no basic auth credentials";

export class RegistryAuthorizer {
  readonly #transport: RegistryTransport;
  readonly #scope: string;
  readonly #auth: RegistryAuth;
  readonly #login: boolean;
  #authorization: string | undefined;
  #identityToken = "";

  /** @param options path: of the repository; "login" asks for a token that can be kept. */
  constructor(options: {
    transport: RegistryTransport;
    path: string;
    auth: RegistryAuth | undefined;
    action: "pull" | "push" | "login";
  }) {
    this.#transport = options.transport;
    const actions = options.action === "push" ? "pull,push" : "pull";
    this.#login = options.action === "login";
    this.#scope = this.#login ? "" : `repository:${options.path}:${actions}`;
    this.#auth = options.auth ?? {};
    if (this.#auth.registryToken) this.#authorization = `Bearer ${this.#auth.registryToken}`;
  }

  /** What a token server gave to be kept; "" when it gives none. */
  get identityToken(): string {
    return this.#identityToken;
  }

  headers(): Readonly<Record<string, string>> {
    return this.#authorization === undefined ? {} : { authorization: this.#authorization };
  }

  /** After a 401. @throws {UnauthenticatedError} when there is nothing to answer with. */
  async answer(header: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const challenges = parseChallenges(header ?? "");
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
    if (bearer !== undefined) {
      this.#authorization = `Bearer ${await this.#fetchToken(bearer, signal)}`;
      return;
    }
    const basic = this.#basic();
    if (!challenges.some((challenge) => challenge.scheme === "basic")) {
      throw new UnauthenticatedError(
        "unauthorized: the registry asks for a kind of authentication that is not known here",
      );
    }
    if (basic === undefined) throw new UnauthenticatedError(NO_CREDENTIALS);
    this.#authorization = basic;
  }

  #basic(): string | undefined {
    const { username, password } = this.#auth;
    if (!username || password === undefined) return undefined;
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }

  async #fetchToken(challenge: Challenge, signal: AbortSignal | undefined): Promise<string> {
    const { realm = "", service = "", scope = this.#scope } = challenge.parameters;
    if (!URL.canParse(realm))
      throw new UnauthenticatedError("unauthorized: the registry names no realm to get a token from");
    const url = new URL(realm);
    if (url.protocol !== "https:" && url.protocol !== "http:")
      throw new PermissionDeniedError(`token realm with ${url.protocol} is refused`);
    const answer = await (this.#auth.identityToken
      ? this.#postRefresh(url, { service, scope, token: this.#auth.identityToken, signal })
      : this.#getToken(url, { service, scope, signal }));
    const body = await readSmallBody(answer, url, signal);
    if (answer.statusCode !== 200) throw tokenError(answer.statusCode ?? 0, body);
    const json = parseBody(body);
    const token = json?.["token"] ?? json?.["access_token"];
    const refresh = json?.["refresh_token"];
    if (this.#login && typeof refresh === "string") this.#identityToken = refresh;
    if (typeof token !== "string" || token === "")
      throw new UnauthenticatedError(`unauthorized: ${url.host} answered without a token`);
    return token;
  }

  #getToken(
    url: URL,
    query: { service: string; scope: string; signal: AbortSignal | undefined },
  ): Promise<IncomingMessage> {
    const basic = this.#basic();
    if (query.service !== "") url.searchParams.set("service", query.service);
    for (const scope of query.scope.split(" ")) if (scope !== "") url.searchParams.append("scope", scope);
    if (this.#login) url.searchParams.set("offline_token", "true");
    if (this.#login) url.searchParams.set("client_id", "skein");
    if (basic !== undefined) url.searchParams.set("account", this.#auth.username ?? "");
    return this.#transport.sendTo(url, {
      signal: query.signal,
      headers: basic === undefined ? {} : { authorization: basic },
    });
  }

  #postRefresh(
    url: URL,
    form: { service: string; scope: string; token: string; signal: AbortSignal | undefined },
  ): Promise<IncomingMessage> {
    const body = new URLSearchParams({
      grant_type: "refresh_token",
      client_id: "skein",
      service: form.service,
      scope: form.scope,
      refresh_token: form.token,
    }).toString();
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": String(Buffer.byteLength(body)),
    };
    return this.#transport.sendTo(url, { method: "POST", body, headers, signal: form.signal });
  }
}

/** @throws {ResourceExhaustedError} over the bound. */
export async function readSmallBody(
  answer: IncomingMessage,
  url: { readonly host: string },
  signal: AbortSignal | undefined,
  bytesMax = SMALL_BODY_BYTES_MAX,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let totalBytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      totalBytes += chunk.length;
      if (totalBytes > bytesMax)
        throw new ResourceExhaustedError(`the answer of ${url.host} has more than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw translate(error, url, signal);
  }
  return Buffer.concat(chunks);
}

function tokenError(status: number, body: Buffer): UnauthenticatedError | UnavailableError {
  const json = parseBody(body);
  const details = typeof json?.["details"] === "string" ? json["details"] : undefined;
  const words = details ?? registryWordsOf(body.toString("utf8"), status).text;
  if (status >= 500 || status === 429) return new UnavailableError(`the token server failed: ${words}`);
  return new UnauthenticatedError(words.startsWith("unauthorized") ? words : `unauthorized: ${words}`);
}

function parseBody(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    return asObject(JSON.parse(body.toString("utf8")));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // the caller reports the status instead
    throw new DataLossError("the token server's answer cannot be read", { cause: error });
  }
}
