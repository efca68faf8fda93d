/**
 * One question to one resolver outside, by UDP or TCP.
 * Edge: to the network by sockets of the node, or of another namespace by the Linux port.
 * Invariants: every question has its own socket, port and random id; an answer counts only from where it was
 * asked, with that id and the same question. Source: RFC 5452 (forgery resilience), RFC 7766 (TCP).
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { isIPv6, Socket } from "node:net";
import type { Clock } from "../../base/clock/clock.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { HEADER_BYTES, skipName } from "./dns-question.js";
import type { AskOne, Upstream } from "./upstream.js";
import { createUpstreamOf } from "./upstream.js";

const DNS_PORT = 53;
const TCP_ANSWER_MAX_BYTES = 65_535;

export interface UpstreamOptions {
  readonly clock: Clock;
  readonly linux: Linux;
  /** Path of the namespace that plays the host. @default the daemon's own */
  readonly hostNetns?: string | undefined;
}

export function createUpstream({ clock, linux, hostNetns }: UpstreamOptions): Upstream {
  const askOne: AskOne = async (query, resolver, { transport, netnsPath = hostNetns, signal }) => {
    const asked = Buffer.from(query);
    asked.writeUInt16BE(randomInt(0x1_0000), 0);
    const to = splitResolver(resolver);
    const fd =
      netnsPath === undefined ? undefined : bindIn({ linux, netnsPath, address: to.address, transport });
    const ask = transport === "tcp" ? askTcp : askUdp;
    const answer = await ask(asked, to, { fd, signal });
    if (answer === undefined || !isAnswerTo(asked, answer)) return undefined;
    answer.writeUInt16BE(query.readUInt16BE(0), 0);
    return answer;
  };
  return createUpstreamOf({ clock, askOne });
}

interface Resolver {
  readonly address: string;
  readonly port: number;
}

function bindIn(options: {
  linux: Linux;
  netnsPath: string;
  address: string;
  transport: "udp" | "tcp";
}): number {
  const { linux, netnsPath, address, transport } = options;
  return linux.bindSocket({
    netnsPath,
    kind: transport,
    address: isIPv6(address) ? "::" : "0.0.0.0",
    port: 0,
    traits: ["unlistened"],
  });
}

/** "1.1.1.1", "1.1.1.1:5353", an IPv6 address, or one in brackets with a port. */
function splitResolver(resolver: string): Resolver {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(resolver);
  return match === null
    ? { address: resolver, port: DNS_PORT }
    : { address: match[1] ?? match[2] ?? "", port: Number(match[3]) };
}

function isAnswerTo(query: Buffer, answer: Buffer): boolean {
  if (answer.length < HEADER_BYTES || answer.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  if ((answer[2] ?? 0) < 0x80) return false;
  const end = (skipName(query, HEADER_BYTES) ?? query.length) + 4;
  const asked = query.subarray(HEADER_BYTES, end).toString("latin1").toLowerCase();
  return answer.subarray(HEADER_BYTES, end).toString("latin1").toLowerCase() === asked;
}

interface AskOptions {
  readonly fd: number | undefined;
  readonly signal: AbortSignal;
}

/** The socket is connected: the kernel takes answers from that address and port only, and tells refusals. */
function askUdp(
  query: Buffer,
  { address, port }: Resolver,
  { fd, signal }: AskOptions,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    let isDone = false;
    const finish = (answer: Buffer | undefined): void => {
      if (isDone) return;
      isDone = true;
      signal.removeEventListener("abort", give);
      socket.close();
      resolve(answer);
    };
    const give = (): void => finish(undefined);
    signal.addEventListener("abort", give, { once: true });
    socket.on("error", give); // unreachable, refused: the next resolver is asked
    socket.on("message", (answer) => {
      // anything else is not what was asked: the true answer may still come
      if (isAnswerTo(query, answer)) finish(answer);
    });
    socket.on("connect", () => {
      if (!isDone) socket.send(query);
    });
    if (fd === undefined) socket.connect(port, address);
    else socket.bind({ fd, exclusive: true }, () => !isDone && socket.connect(port, address));
  });
}

function askTcp(
  query: Buffer,
  { address, port }: Resolver,
  { fd, signal }: AskOptions,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = fd === undefined ? new Socket() : new Socket({ fd, readable: true, writable: true });
    let received = Buffer.alloc(0);
    const finish = (answer: Buffer | undefined): void => {
      signal.removeEventListener("abort", give);
      socket.destroy();
      resolve(answer);
    };
    const give = (): void => finish(undefined);
    signal.addEventListener("abort", give, { once: true });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length, 0);
    socket.on("connect", () => socket.write(Buffer.concat([length, query])));
    socket.on("error", give);
    socket.on("end", give);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length > TCP_ANSWER_MAX_BYTES + 2) give();
      const expected = received.length < 2 ? Number.POSITIVE_INFINITY : received.readUInt16BE(0) + 2;
      if (received.length >= expected) finish(Buffer.from(received.subarray(2, expected)));
    });
    socket.connect({ host: address, port });
  });
}
