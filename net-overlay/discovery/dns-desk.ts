/**
 * One question in, one answer out: what a sandbox's server does with what it receives.
 * Pure (views, upstream and time are handed in). Invariants: whatever a task sends, at most one answer goes
 * back, and it is never longer than the question's transport carries; a question is not looked at twice.
 * Source: docs/design/network-discovery.md ("A question's way").
 */
import type { Clock } from "../../base/clock/clock.js";
import { DNS_ADDRESS } from "./dns-address.js";
import type { Transport } from "./dns-answer.js";
import {
  answerBadVersion,
  answerEmpty,
  answerMalformed,
  answerPointer,
  answerRecords,
  RCODE,
} from "./dns-answer.js";
import { readQuestion } from "./dns-question.js";
import { Forwarder } from "./forwarder.js";
import type { AskerView } from "./resolve.js";
import { resolve } from "./resolve.js";
import type { Upstream } from "./upstream.js";

export interface DnsDeskOptions {
  /** Undefined: the sandbox is unknown, nobody is answered. */
  readonly viewOf: (sandboxId: string) => AskerView | undefined;
  readonly upstream: Upstream;
  /** The node's resolvers, asked anew for every question that goes outside. */
  readonly nodeResolvers: () => readonly string[];
  /** Where a sandbox's own resolvers are asked from, so that its networks reach them. */
  readonly sandboxPath: (sandboxId: string) => string;
  readonly clock: Clock;
}

export class DnsDesk {
  readonly #options: DnsDeskOptions;
  readonly #forwarder: Forwarder;
  #turn = 0;

  constructor(options: DnsDeskOptions) {
    this.#options = options;
    this.#forwarder = new Forwarder(options);
  }

  /** @param reply is called once at most: at once, or when somebody outside has answered. */
  answer(
    sandboxId: string,
    asked: { message: Buffer; transport: Transport },
    reply: (answer: Buffer) => void,
  ): void {
    const { message, transport } = asked;
    const question = readQuestion(message);
    if (question === "dropped") return;
    if (question === "malformed") {
      reply(answerMalformed(message));
      return;
    }
    if (question.opcode !== 0) {
      reply(answerEmpty(question, RCODE.notImplemented));
      return;
    }
    if ((question.edns?.version ?? 0) > 0) {
      reply(answerBadVersion(question));
      return;
    }
    const view = this.#options.viewOf(sandboxId);
    if (view === undefined) return;
    const resolution = resolve(question, view);
    switch (resolution.kind) {
      case "addresses": {
        const { records, family } = resolution;
        this.#turn = (this.#turn + 1) % 0x1000_0000;
        reply(answerRecords(question, records, { family, turn: this.#turn, transport }));
        return;
      }
      case "pointer":
        reply(answerPointer(question, resolution.name));
        return;
      case "forward": {
        this.#forwarder.forward(sandboxId, { question, transport, ...this.#waysOut(sandboxId, view) }, reply);
        return;
      }
      default:
        reply(answerEmpty(question, RCODE_OF[resolution.kind]));
    }
  }

  forget(sandboxId: string): void {
    this.#forwarder.forget(sandboxId);
  }

  /** A resolver of the service's own may be a task on its networks; one of the node's may be on its loopback. */
  #waysOut(sandboxId: string, view: AskerView): { resolvers: readonly string[]; netnsPath?: string } {
    const own = view.nameservers.filter((resolver) => resolver !== DNS_ADDRESS); // that would be us
    if (own.length === 0) return { resolvers: this.#options.nodeResolvers() };
    return { resolvers: own, netnsPath: this.#options.sandboxPath(sandboxId) };
  }
}

const RCODE_OF = {
  "no-data": RCODE.noError,
  "no-such-name": RCODE.noSuchName,
  failure: RCODE.serverFailure,
} as const;
