/**
 * Netlink sockets by system calls. Edge: to the kernel. One request at a time per socket, answered before the
 * call returns: the kernel works within `send`, so that `recv` finds the answer there.
 * Source: netlink(7), socket(7) and signal(7) (a receive with a timeout ends in EINTR).
 */
import { closeSync } from "node:fs";
import { InternalError } from "../errors/errors.js";
import { cRecv, cSend, cSetsockopt, cSocket, EINTR, lastErrno, refusal } from "./linux-koffi-calls.js";
import { inNetns } from "./linux-koffi-netns.js";
import type { NetlinkSocket } from "./linux-ports.js";
import type { NetlinkAnswers } from "./netlink-answers.js";
import { readNetlinkAnswers, readNetlinkRefusals } from "./netlink-answers.js";

const PROTOCOLS = { route: 0, sockets: 4, netfilter: 12, generic: 16 } as const;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
/** The kernel's own datagrams of a dump have at most 32 KiB. */
const RECEIVE_BYTES = 256 * 1024;
/** The kernel answers within the call; this only guards against a lost answer. */
const RECEIVE_TIMEOUT_SECONDS = 5n;
/** How often a table may change under our eyes before we give up. */
const DUMP_ATTEMPTS_MAX = 8;
/** Datagrams of a request given up, thrown away before the next one. */
const DRAINED_DATAGRAMS_MAX = 4096;
const SEQUENCE_MAX = 0xffff_ffff;
/** A socket's send buffer has 208 KiB unless somebody made it smaller. */
const BURST_BYTES_MAX = 128 * 1024;
const NLM_F_ACK = 4;
const EAGAIN = 11;

/** One for all: it is used between two synchronous calls only. */
let receiveBuffer: Buffer | undefined;

export function netlinkSocketFd(netnsPath: string | undefined, protocol: keyof typeof PROTOCOLS): number {
  return inNetns(netnsPath, () => {
    const fd = cSocket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, PROTOCOLS[protocol]);
    if (fd < 0) throw refusal(lastErrno(), "socket", `netlink ${protocol}`);
    return fd;
  });
}

/**
 * A signal whose handler ran meanwhile is no answer.
 * @returns what `call` returned, with its errno when that is negative.
 */
function uninterrupted(call: () => number | bigint): { value: number; errno: number } {
  for (;;) {
    const value = Number(call());
    const errno = value < 0 ? lastErrno() : 0;
    if (errno !== EINTR) return { value, errno };
  }
}

/** All in one, numbered from `first` on. */
function burstOf(messages: readonly Uint8Array[], first: number): Buffer {
  const length = messages.reduce((sum, message) => sum + ((message.length + 3) & ~3), 0);
  if (length > BURST_BYTES_MAX) {
    throw new InternalError(
      `netlink messages sent at once must have at most ${BURST_BYTES_MAX} bytes together`,
    );
  }
  const burst = Buffer.alloc(length);
  let offset = 0;
  for (const [index, message] of messages.entries()) {
    burst.set(message, offset);
    burst.writeUInt32LE(message.length, offset);
    burst.writeUInt16LE(burst.readUInt16LE(offset + 6) & ~NLM_F_ACK, offset + 6);
    burst.writeUInt32LE(first + index, offset + 8);
    offset += (message.length + 3) & ~3;
  }
  return burst;
}

export function openNetlink(
  netnsPath: string | undefined,
  protocol: keyof typeof PROTOCOLS = "route",
): NetlinkSocket {
  const fd = netlinkSocketFd(netnsPath, protocol);
  const timeout = Buffer.alloc(16); // struct timeval
  timeout.writeBigInt64LE(RECEIVE_TIMEOUT_SECONDS, 0);
  if (cSetsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length) !== 0) {
    const error = refusal(lastErrno(), "setsockopt", `netlink ${protocol}`);
    closeSync(fd);
    throw error;
  }
  let sequence = 0;
  let open = true;

  /** Leaves nothing of a request given up: a dump half read would refuse the next one with EBUSY. */
  const drain = (buffer: Buffer): void => {
    for (let count = 0; count < DRAINED_DATAGRAMS_MAX; count += 1) {
      if (uninterrupted(() => cRecv(fd, buffer, buffer.length, MSG_DONTWAIT)).value < 0) return;
    }
  };

  /** One request's answer, datagram by datagram. */
  function* parts(request: Buffer, target: string): Generator<NetlinkAnswers, void> {
    receiveBuffer ??= Buffer.alloc(RECEIVE_BYTES);
    const buffer = receiveBuffer;
    sequence = sequence === SEQUENCE_MAX ? 1 : sequence + 1;
    const own = sequence;
    request.writeUInt32LE(own, 8);
    const sent = uninterrupted(() => cSend(fd, request, request.length, 0));
    if (sent.value < 0) throw refusal(sent.errno, "netlink send", target);
    for (;;) {
      // MSG_TRUNC: the true length, also of a datagram that did not fit
      const received = uninterrupted(() => cRecv(fd, buffer, buffer.length, MSG_TRUNC));
      if (received.value < 0 || received.value > buffer.length) {
        drain(buffer); // ENOBUFS too: part of the answer is lost, so that all of it is
        if (received.value < 0) throw refusal(received.errno, "netlink receive", target);
        throw new InternalError(
          `netlink answer to ${target} must have at most ${buffer.length} bytes, got ${received.value}`,
        );
      }
      const answers = readNetlinkAnswers(buffer.subarray(0, received.value), own);
      if (answers.end.kind === "refused") throw refusal(answers.end.errno, "netlink request", target);
      yield answers;
      if (answers.end.kind === "done") return;
    }
  }

  const ask = (request: Buffer, target: string): { payloads: Uint8Array[]; interrupted: boolean } => {
    const payloads: Uint8Array[] = [];
    let interrupted = false;
    for (const answers of parts(request, target)) {
      for (const payload of answers.payloads) payloads.push(payload);
      interrupted ||= answers.interrupted;
    }
    return { payloads, interrupted };
  };

  return {
    request(message): Uint8Array[] {
      if (!open) throw new InternalError("netlink socket is closed");
      const request = Buffer.from(message);
      request.writeUInt32LE(request.length, 0);
      const target = `type ${request.readUInt16LE(4)}`;
      for (let attempt = 1; attempt <= DUMP_ATTEMPTS_MAX; attempt += 1) {
        const { payloads, interrupted } = ask(request, target);
        if (!interrupted) return payloads;
      }
      throw new InternalError(
        `netlink dump of ${target} was interrupted by changes ${DUMP_ATTEMPTS_MAX} times`,
      );
    },
    *dump(message): Generator<readonly Uint8Array[], void> {
      if (!open) throw new InternalError("netlink socket is closed");
      const request = Buffer.from(message);
      request.writeUInt32LE(request.length, 0);
      let isWhole = false;
      try {
        for (const { payloads } of parts(request, `type ${request.readUInt16LE(4)}`)) yield payloads;
        isWhole = true;
      } finally {
        if (!isWhole && open) drain(Buffer.alloc(RECEIVE_BYTES));
      }
    },
    requestAll(messages): { index: number; error: InternalError }[] {
      if (!open) throw new InternalError("netlink socket is closed");
      receiveBuffer ??= Buffer.alloc(RECEIVE_BYTES);
      const buffer = receiveBuffer;
      const first = sequence + messages.length < SEQUENCE_MAX ? sequence + 1 : 1;
      const burst = burstOf(messages, first);
      sequence = first + messages.length;
      const sent = uninterrupted(() => cSend(fd, burst, burst.length, 0));
      if (sent.value < 0) throw refusal(sent.errno, "netlink send", `${messages.length} messages`);
      const refused: { index: number; error: InternalError }[] = [];
      for (;;) {
        const received = uninterrupted(() => cRecv(fd, buffer, buffer.length, MSG_DONTWAIT));
        if (received.value < 0 && received.errno === EAGAIN) return refused;
        if (received.value < 0) {
          drain(buffer);
          throw refusal(received.errno, "netlink receive", `${messages.length} messages`);
        }
        for (const { sequence: number, errno } of readNetlinkRefusals(buffer.subarray(0, received.value))) {
          const index = number - first;
          const type = (messages[index]?.[4] ?? 0) + (messages[index]?.[5] ?? 0) * 256;
          if (index >= 0) refused.push({ index, error: refusal(errno, "netlink request", `type ${type}`) });
        }
      }
    },
    close(): void {
      if (open) closeSync(fd);
      open = false;
    },
  };
}
