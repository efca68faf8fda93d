/**
 * Asks resolvers outside until one answers: the next is asked when one fails, says that it cannot answer, or
 * lets us wait; an answer that comes late from an earlier one counts all the same.
 * Pure (sockets come as `AskOne`, time as a clock). Invariants: a question ends after TOTAL_MS, which is less
 * than the five seconds after which resolvers in containers ask again; at most ATTEMPTS_MAX are asked.
 * Source: resolv.conf(5) (timeout:5), RFC 2308 section 7 (servers that cannot answer).
 */
import type { Clock } from "../../base/clock/clock.js";
import { ResolverOrder } from "./resolver-order.js";

/** How long one resolver is waited for before the next is asked, too. */
const PATIENCE_MS = 1_000;
const TOTAL_MS = 4_500;
/** Each resolver of a list twice, a single one three times, but no more questions than ATTEMPTS_MAX. */
const ATTEMPTS_MIN = 3;
const ATTEMPTS_MAX = 6;

export interface Upstream {
  /** @returns the answer with the question's own id; undefined when nobody answered in time. */
  ask(query: Buffer, options: AskOptions): Promise<Buffer | undefined>;
}

export interface AskOptions {
  /** Addresses; ADDRESS:PORT or [IPV6]:PORT when it is not 53. */
  readonly resolvers: readonly string[];
  readonly transport: "udp" | "tcp";
  /** Path of the namespace whose ways are taken. @default the daemon's own */
  readonly netnsPath?: string | undefined;
}

/** One question to one resolver. Resolves with undefined when it failed; ends at once when the signal fires. */
export type AskOne = (
  query: Buffer,
  resolver: string,
  options: { transport: "udp" | "tcp"; netnsPath: string | undefined; signal: AbortSignal },
) => Promise<Buffer | undefined>;

export function createUpstreamOf({ clock, askOne }: { clock: Clock; askOne: AskOne }): Upstream {
  const order = new ResolverOrder(clock);
  return {
    ask: (query, options) => new Inquiry({ clock, askOne, order, query, options }).run(),
  };
}

interface InquiryOptions {
  readonly clock: Clock;
  readonly askOne: AskOne;
  readonly order: ResolverOrder;
  readonly query: Buffer;
  readonly options: AskOptions;
}

class Inquiry {
  readonly #world: InquiryOptions;
  readonly #resolvers: readonly string[];
  readonly #stop = new AbortController();
  #asked = 0;
  #waiting = 0;
  /** "I cannot answer": told when nobody does better. */
  #poor: Buffer | undefined;
  #finish: (answer: Buffer | undefined) => void = () => undefined;
  #patience: { cancel(): void } | undefined;

  constructor(world: InquiryOptions) {
    this.#world = world;
    this.#resolvers = world.order.order(world.options.resolvers);
  }

  get #attempts(): number {
    return Math.min(ATTEMPTS_MAX, Math.max(ATTEMPTS_MIN, 2 * this.#resolvers.length));
  }

  run(): Promise<Buffer | undefined> {
    if (this.#resolvers.length === 0) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const total = this.#world.clock.setTimer(TOTAL_MS, () => this.#finish(this.#poor));
      this.#finish = (answer) => {
        this.#finish = () => undefined;
        total.cancel();
        this.#patience?.cancel();
        this.#stop.abort();
        resolve(answer);
      };
      this.#askNext();
    });
  }

  #askNext(): void {
    this.#patience?.cancel();
    this.#patience = undefined;
    const resolver = this.#resolvers[this.#asked % this.#resolvers.length];
    if (resolver === undefined || this.#asked >= this.#attempts) return;
    this.#asked += 1;
    this.#waiting += 1;
    const { clock, askOne, order, query, options } = this.#world;
    this.#patience = clock.setTimer(PATIENCE_MS, () => {
      order.failed(resolver);
      this.#askNext();
    });
    const { transport, netnsPath } = options;
    void askOne(query, resolver, { transport, netnsPath, signal: this.#stop.signal }).then(
      (answer) => this.#hear(resolver, answer),
      () => this.#hear(resolver, undefined), // no way there, or no descriptor: as if it had not answered
    );
  }

  #hear(resolver: string, answer: Buffer | undefined): void {
    this.#waiting -= 1;
    if (this.#stop.signal.aborted) return;
    const { order } = this.#world;
    if (answer !== undefined && !isPoor(answer)) {
      order.answered(resolver);
      this.#finish(answer);
      return;
    }
    this.#poor ??= answer;
    order.failed(resolver);
    this.#fallBack();
  }

  /** A resolver said no: the next one of the list; when each said no, that is the answer. */
  #fallBack(): void {
    if (this.#asked < this.#resolvers.length) this.#askNext();
    else if (this.#waiting === 0 && this.#poor !== undefined) this.#finish(this.#poor);
    else if (this.#waiting === 0 && this.#asked >= this.#attempts) this.#finish(undefined);
  }
}

/** Server failure, not implemented, refused: another may know. */
function isPoor(answer: Buffer): boolean {
  const rcode = (answer[3] ?? 0) & 15;
  return rcode === 2 || rcode === 4 || rcode === 5;
}
