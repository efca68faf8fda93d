/**
 * Asks a resolver outside and hands its answer back as it came.
 * Edge: to the network by UDP and TCP sockets of the node.
 * Invariants: every question has its own socket, port and random id; an answer counts only with that id and
 * the same question; a question ends after a bounded time. Source: RFC 5452 (forgery resilience).
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Clock } from "../../base/clock/clock.js";

const DNS_PORT = 53;
/** Per resolver; a resolver list is walked twice at most. */
const ATTEMPT_TIMEOUT_MS = 2_000;
const ATTEMPTS_MAX = 4;
const TCP_ANSWER_MAX_BYTES = 65_535;

export interface Upstream {
  /** @returns the answer with the question's own id; undefined when nobody answered in time. */
  ask(
    query: Buffer,
    options: { resolvers: readonly string[]; transport: "udp" | "tcp" },
  ): Promise<Buffer | undefined>;
}

/** @param options.udpSocket makes a descriptor in another namespace; undefined: the daemon's own. */
export function createUpstream(options: { clock: Clock; udpSocket?: () => number }): Upstream {
  const { clock, udpSocket } = options;
  return {
    async ask(query, { resolvers, transport }): Promise<Buffer | undefined> {
      if (resolvers.length === 0) return undefined;
      for (let attempt = 0; attempt < Math.min(ATTEMPTS_MAX, resolvers.length * 2); attempt += 1) {
        const resolver = resolvers[attempt % resolvers.length] ?? "";
        const asked = Buffer.from(query);
        asked.writeUInt16BE(randomInt(0x1_0000), 0);
        // In another namespace there is no TCP: UDP carries what fits.
        const answer = await (transport === "tcp" && udpSocket === undefined ? askTcp : askUdp)(
          asked,
          resolver,
          { clock, udpSocket },
        );
        if (answer === undefined) continue;
        answer.writeUInt16BE(query.readUInt16BE(0), 0);
        return answer;
      }
      return undefined;
    },
  };
}

interface AskOptions {
  readonly clock: Clock;
  readonly udpSocket: (() => number) | undefined;
}

/** "1.1.1.1" or "1.1.1.1:5353" or an IPv6 address. */
function splitResolver(resolver: string): { address: string; port: number } {
  const match = /^([^:]+):(\d+)$/.exec(resolver);
  return match === null
    ? { address: resolver, port: DNS_PORT }
    : { address: match[1] ?? "", port: Number(match[2]) };
}

function isAnswerTo(query: Buffer, answer: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== query.readUInt16BE(0) || (answer[2] ?? 0) < 0x80)
    return false;
  const question = query.subarray(12, questionEnd(query));
  return (
    answer
      .subarray(12, 12 + question.length)
      .toString("latin1")
      .toLowerCase() === question.toString("latin1").toLowerCase()
  );
}

function questionEnd(message: Buffer): number {
  let offset = 12;
  while (offset < message.length && message[offset] !== 0) offset += (message[offset] ?? 0) + 1;
  return offset + 5; // root label, type, class
}

function askUdp(
  query: Buffer,
  resolver: string,
  { clock, udpSocket }: AskOptions,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const { address, port } = splitResolver(resolver);
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    let isDone = false;
    const finish = (answer: Buffer | undefined): void => {
      if (isDone) return;
      isDone = true;
      timer.cancel();
      socket.close();
      resolve(answer);
    };
    const timer = clock.setTimer(ATTEMPT_TIMEOUT_MS, () => finish(undefined));
    socket.on("error", () => finish(undefined)); // unreachable: the next resolver is asked
    socket.on("message", (answer, from) => {
      if (from.port === port && from.address === address && isAnswerTo(query, answer)) finish(answer);
    });
    const send = (): void => socket.send(query, port, address);
    if (udpSocket === undefined) send();
    else socket.bind({ fd: udpSocket(), exclusive: true }, send);
  });
}

function askTcp(query: Buffer, resolver: string, { clock }: AskOptions): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const { address, port } = splitResolver(resolver);
    const socket = connect({ host: address, port });
    let received = Buffer.alloc(0);
    const finish = (answer: Buffer | undefined): void => {
      timer.cancel();
      socket.destroy();
      resolve(answer);
    };
    const timer = clock.setTimer(ATTEMPT_TIMEOUT_MS, () => finish(undefined));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length, 0);
    socket.on("connect", () => socket.write(Buffer.concat([length, query])));
    socket.on("error", () => finish(undefined));
    socket.on("end", () => finish(undefined));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length > TCP_ANSWER_MAX_BYTES + 2) finish(undefined);
      const expected = received.length < 2 ? Number.POSITIVE_INFINITY : received.readUInt16BE(0) + 2;
      if (received.length < expected) return;
      const answer = Buffer.from(received.subarray(2, expected));
      finish(isAnswerTo(query, answer) ? answer : undefined);
    });
  });
}
