/**
 * DNS messages as bytes. Edge: to the wire library dns-packet; no input or output.
 * Invariants: an answer never exceeds what the asker's transport carries: it is cut and marked,
 * and the asker comes back by TCP.
 * Source: RFC 1035 section 4, RFC 6891 (payload size).
 */
import type { Answer } from "dns-packet";
import dnsPacket from "dns-packet";
import type { Question, Resolution } from "./resolve.js";

/** Seconds an answer may be kept: tasks come and go. */
export const TTL_SECONDS = 2;
const UDP_PAYLOAD_MIN_BYTES = 512;
/** What we send at most by UDP, whatever the asker offers; fits an overlay's MTU. */
const UDP_PAYLOAD_MAX_BYTES = 1232;
const RCODE = { noError: 0, serverFailure: 2, noSuchName: 3, notImplemented: 4 } as const;
const AUTHORITATIVE = 0x400;
const RECURSION_AVAILABLE = 0x80;
const RECURSION_DESIRED = 0x100;
const TRUNCATED = 0x200;

export interface Query {
  readonly id: number;
  readonly question: Question;
  readonly recursionDesired: boolean;
  /** By UDP. */
  readonly payloadMaxBytes: number;
}

/** @returns undefined for what is no question at all: it is dropped. */
export function decodeQuery(bytes: Buffer): Query | undefined {
  let packet: dnsPacket.DecodedPacket;
  try {
    packet = dnsPacket.decode(bytes);
  } catch {
    return undefined; // whatever it is, there is nobody to answer to
  }
  const question = packet.questions?.[0];
  if (packet.type !== "query" || question === undefined || packet.questions?.length !== 1) return undefined;
  const edns = packet.additionals?.find((record) => record.type === "OPT");
  const offered = edns?.type === "OPT" ? edns.udpPayloadSize : UDP_PAYLOAD_MIN_BYTES;
  return {
    id: packet.id ?? 0,
    question: { name: question.name, type: question.type },
    recursionDesired: ((packet.flags ?? 0) & RECURSION_DESIRED) !== 0,
    payloadMaxBytes: Math.min(Math.max(offered, UDP_PAYLOAD_MIN_BYTES), UDP_PAYLOAD_MAX_BYTES),
  };
}

export type OwnAnswer = Exclude<Resolution, { kind: "forward" }> | { readonly kind: "failure" };

/** @param transport by UDP the answer is cut to the asker's payload size. */
export function encodeAnswer(query: Query, answer: OwnAnswer, transport: "udp" | "tcp"): Buffer {
  const answers = recordsOf(query.question, answer);
  const whole = encode(query, answers, rcodeOf(answer), 0);
  if (transport === "tcp" || whole.length <= query.payloadMaxBytes) return whole;
  let count = answers.length;
  for (;;) {
    count = Math.floor(count / 2);
    const cut = encode(query, answers.slice(0, count), rcodeOf(answer), TRUNCATED);
    if (cut.length <= query.payloadMaxBytes || count === 0) return cut;
  }
}

function encode(query: Query, answers: Answer[], rcode: number, flags: number): Buffer {
  const desired = query.recursionDesired ? RECURSION_DESIRED : 0;
  return dnsPacket.encode({
    type: "response",
    id: query.id,
    flags: AUTHORITATIVE | RECURSION_AVAILABLE | desired | flags | rcode,
    // any type name the library decoded
    questions: [{ name: query.question.name, type: query.question.type as "A" }],
    answers,
  });
}

function recordsOf({ name }: Question, answer: OwnAnswer): Answer[] {
  switch (answer.kind) {
    case "addresses":
      return answer.addresses.map((data) => ({ type: answer.type, name, ttl: TTL_SECONDS, data }));
    case "pointer":
      return [{ type: "PTR", name, ttl: TTL_SECONDS, data: answer.name }];
    default:
      return [];
  }
}

function rcodeOf(answer: OwnAnswer): number {
  if (answer.kind === "failure") return RCODE.serverFailure;
  return answer.kind === "no-such-name" ? RCODE.noSuchName : RCODE.noError;
}
