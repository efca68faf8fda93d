/**
 * Questions that go outside: remembered answers first, equal questions asked once, each sandbox within its
 * budget.
 * Pure over an upstream and a clock handed in. Invariants: what is remembered or shared belongs to one
 * sandbox; a question that must not be asked now fails at once; an asker gets no more than its transport
 * carries.
 * Source: docs/design/network-discovery.md ("Outside").
 */
import type { Clock } from "../../base/clock/clock.js";
import { AnswerCache } from "./answer-cache.js";
import type { Transport } from "./dns-answer.js";
import { answerEmpty, fitted, RCODE } from "./dns-answer.js";
import type { DnsQuestion } from "./dns-question.js";
import { HEADER_BYTES } from "./dns-question.js";
import { QuestionBudget } from "./question-budget.js";
import type { AskOptions, Upstream } from "./upstream.js";

export interface ForwardedQuestion {
  readonly question: DnsQuestion;
  readonly transport: Transport;
  readonly resolvers: readonly string[];
  readonly netnsPath?: string | undefined;
}

interface Asker {
  readonly budget: QuestionBudget;
  /** Who waits for the answer to a question that is being asked. */
  readonly waiting: Map<string, Waiter[]>;
}

interface Waiter {
  readonly asked: ForwardedQuestion;
  readonly reply: (answer: Buffer) => void;
}

/** Askers of one question that is under way; the same resolver library asks again after five seconds. */
const WAITERS_MAX = 64;

export class Forwarder {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  readonly #cache: AnswerCache;
  readonly #askers = new Map<string, Asker>();

  constructor({ upstream, clock }: { upstream: Upstream; clock: Clock }) {
    this.#upstream = upstream;
    this.#clock = clock;
    this.#cache = new AnswerCache(clock);
  }

  /** @param reply is called once, perhaps at once; never after `forget`. */
  forward(sandboxId: string, asked: ForwardedQuestion, reply: (answer: Buffer) => void): void {
    const { question, transport } = asked;
    const key = keyOf(asked);
    const kept = key === undefined ? undefined : this.#cache.find(sandboxId, key, question);
    if (kept !== undefined) {
      reply(fitted(question, kept, transport));
      return;
    }
    const asker = this.#askerOf(sandboxId);
    const shared = key ?? `${this.#clock.monotonicMs()} ${asker.waiting.size}`;
    const others = key === undefined ? undefined : asker.waiting.get(key);
    if (others !== undefined && others.length < WAITERS_MAX) {
      others.push({ asked, reply });
      return;
    }
    if (others !== undefined || asked.resolvers.length === 0 || !asker.budget.take()) {
      reply(answerEmpty(question, RCODE.serverFailure));
      return;
    }
    asker.waiting.set(shared, [{ asked, reply }]);
    const finish = (answer: Buffer | undefined): void => {
      asker.budget.give();
      this.#finish({ sandboxId, asker, shared, key, answer });
    };
    void this.#upstream.ask(question.message, optionsOf(asked)).then(finish, () => finish(undefined));
  }

  /** The sandbox is gone: nobody waits for its answers, and nothing of it is kept. */
  forget(sandboxId: string): void {
    this.#askers.delete(sandboxId);
    this.#cache.forget(sandboxId);
  }

  #finish(options: {
    sandboxId: string;
    asker: Asker;
    shared: string;
    key: string | undefined;
    answer: Buffer | undefined;
  }): void {
    const { sandboxId, asker, shared, key, answer } = options;
    const waiters = asker.waiting.get(shared) ?? [];
    asker.waiting.delete(shared);
    if (this.#askers.get(sandboxId) !== asker) return;
    const first = waiters[0];
    if (key !== undefined && answer !== undefined && first !== undefined)
      this.#cache.keep(sandboxId, key, answer, first.asked.question.endOffset);
    for (const { asked, reply } of waiters) {
      const { question, transport } = asked;
      if (answer === undefined) reply(answerEmpty(question, RCODE.serverFailure));
      else reply(fitted(question, asAnswerTo(question, answer), transport));
    }
  }

  #askerOf(sandboxId: string): Asker {
    let asker = this.#askers.get(sandboxId);
    if (asker === undefined) {
      asker = { budget: new QuestionBudget(this.#clock), waiting: new Map() };
      this.#askers.set(sandboxId, asker);
    }
    return asker;
  }
}

function optionsOf({ resolvers, transport, netnsPath }: ForwardedQuestion): AskOptions {
  return { resolvers, transport, netnsPath };
}

/**
 * Questions with the same key have the same answer; what changes it is in it. Undefined: asked each time.
 * The transport counts as well: what was cut by UDP is asked again by TCP.
 */
function keyOf({ question, transport }: ForwardedQuestion): string | undefined {
  const { message, name, type, dnsClass, edns, endOffset, opcode } = question;
  if (opcode !== 0 || edns?.hasOptions === true) return undefined;
  const bits = ((message[2] ?? 0) & 0x01) | ((message[3] ?? 0) & 0x30);
  const version =
    edns === undefined ? "-" : `${edns.dnssecOk ? "d" : "e"}${transport === "udp" ? edns.payloadBytes : ""}`;
  return `${type} ${dnsClass} ${bits} ${version} ${transport[0] ?? ""}${endOffset} ${name}`;
}

/** With the asker's own id and spelling of the name. */
function asAnswerTo(question: DnsQuestion, answer: Buffer): Buffer {
  const own = Buffer.from(answer);
  question.message.copy(own, 0, 0, 2);
  question.message.copy(own, HEADER_BYTES, HEADER_BYTES, question.endOffset);
  return own;
}
