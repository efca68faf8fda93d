/**
 * One request to a repository of a registry: answers a challenge, turns refusals into errors, tries again.
 * Edge: HTTP. Invariants: every retry is bounded; errors carry the registry's own words and no secret.
 * Source: distribution-spec 1.1; texts as the stock Docker daemon gives them.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../base/clock/clock.js";
import {
  codeOf,
  InvalidArgumentError,
  NotFoundError,
  PermissionDeniedError,
  type SkeinError,
  UnauthenticatedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import { type RegistryAuthorizer, readSmallBody } from "./http-registry-auth.js";
import type { RegistryTransport, SendOptions } from "./http-registry-transport.js";
import { familiarReference, type ImageReference } from "./image-reference.js";
import { registryWordsOf } from "./registry-challenge.js";

/** Tries of one request before its error rises. */
const ATTEMPTS_MAX = 4;
const PAUSE = { initialMs: 200, maxMs: 5_000 } as const;

export interface RegistryClientComponents {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
}

export interface ExchangeParts {
  readonly components: RegistryClientComponents;
  readonly transport: RegistryTransport;
  readonly authorizer: RegistryAuthorizer;
  readonly reference: ImageReference;
  /** Whose words a refusal is told in: of a pull in Docker's, else in the registry's own. */
  readonly purpose: "pull" | "describe" | "push";
}

export class RegistryExchange {
  readonly #parts: ExchangeParts;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  /** Of the repository below /v2/. */
  get path(): string {
    return this.#parts.reference.path;
  }

  get name(): string {
    return familiarReference(this.#parts.reference);
  }

  get place(): { readonly host: string } {
    return { host: this.#parts.reference.domain };
  }

  /** What relative places of the registry are relative to, once it was spoken to. */
  base(): URL {
    return this.#parts.transport.base();
  }

  get log(): Logger {
    return this.#parts.components.log;
  }

  /**
   * Sends, answers one challenge, and turns a refusal into an error.
   * @param target a path that begins with /v2/, or a URL the registry named: credentials go there only when
   * it is the registry's own.
   * @param options accepts: statuses that are no refusal. @default 200 and 206
   */
  async send(
    target: string | URL,
    options: SendOptions & { readonly accepts?: readonly number[] } = {},
  ): Promise<IncomingMessage> {
    const { transport, authorizer } = this.#parts;
    const isOwn = typeof target === "string" || target.origin === this.base().origin;
    const attempt = (): Promise<IncomingMessage> => {
      const headers = { ...options.headers, ...(isOwn ? authorizer.headers() : {}) };
      return typeof target === "string"
        ? transport.send(target, { ...options, headers })
        : transport.sendTo(target, { ...options, headers });
    };
    let answer = await attempt();
    if (answer.statusCode === 401 && isOwn) {
      answer.resume();
      try {
        await authorizer.answer(answer.headers["www-authenticate"], options.signal);
      } catch (error) {
        if (error instanceof UnauthenticatedError) throw this.#unanswered(target, error);
        throw error;
      }
      answer = await attempt();
    }
    const status = answer.statusCode ?? 0;
    if ((options.accepts ?? [200, 206]).includes(status)) return answer;
    const path = typeof target === "string" ? target : target.pathname;
    throw this.#refusal(path, status, await readSmallBody(answer, this.place, options.signal));
  }

  async retry<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    const { clock, random } = this.#parts.components;
    const backoff = new Backoff(random, PAUSE);
    // who asks for a description is held up by it, and goes on without
    const attemptsMax = this.#parts.purpose === "describe" ? 1 : ATTEMPTS_MAX;
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await task();
      } catch (error) {
        if (codeOf(error) !== "unavailable" || attempts >= attemptsMax) throw error;
        await clock.sleep(backoff.nextMs(), signal === undefined ? {} : { signal });
      }
    }
  }

  #refusal(path: string, status: number, body: Buffer): SkeinError {
    const told = registryWordsOf(body.toString("utf8"), status);
    const isBare = status === 401 && body.length === 0; // the answer to a HEAD
    const words = isBare ? { code: "UNAUTHORIZED", text: "unauthorized: authentication required" } : told;
    if (status >= 500 || status === 429)
      return new UnavailableError(`${this.#what(path)}: the registry failed: ${words.text}`);
    if (this.#parts.purpose !== "pull") {
      if (status === 401) return new UnauthenticatedError(words.text);
      if (status === 403 || words.code === "DENIED") return new PermissionDeniedError(words.text);
      if (status === 404) return new NotFoundError(words.text);
      return new InvalidArgumentError(words.text);
    }
    if (status === 401) return new UnauthenticatedError(words.text);
    if (status === 403 || words.code === "DENIED") return new NotFoundError(this.#denied(words.text));
    if (words.code === "NAME_UNKNOWN")
      return new NotFoundError(`repository ${this.#repository} not found: ${words.text}`);
    if (status === 404) return new NotFoundError(`${this.#what(path)} not found: ${words.text}`);
    return new InvalidArgumentError(`${this.#what(path)}: the registry refused: ${words.text}`);
  }

  #what(path: string): string {
    return path.includes("/manifests/")
      ? `manifest for ${this.name}`
      : `blob ${path.slice(path.lastIndexOf("/") + 1)} of ${this.name}`;
  }

  /** There was nothing to answer the challenge with, or who gives out tokens refused. */
  #unanswered(target: string | URL, cause: UnauthenticatedError): UnauthenticatedError {
    const url = typeof target === "string" ? new URL(target, this.base()) : target;
    const isManifest = url.pathname.includes("/manifests/");
    const words = `${isManifest ? "Head" : "Get"} "${url.origin}${url.pathname}": ${cause.message}`;
    return new UnauthenticatedError(this.#parts.purpose === "push" ? cause.message : words, { cause });
  }

  #denied(words: string): string {
    return (
      `pull access denied for ${this.#repository}, repository does not exist or may require 'docker ` +
      `login': ${words}`
    );
  }

  get #repository(): string {
    return familiarReference({ ...this.#parts.reference, tag: undefined, digest: undefined });
  }
}
