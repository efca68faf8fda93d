/**
 * Questions and answers for tests, made by a packet library that is not ours. Pure.
 */
import dnsPacket from "dns-packet";

export function query(
  name: string,
  options: { payloadBytes?: number; type?: "A" | "AAAA" | "PTR" | "TXT"; id?: number } = {},
): Buffer {
  const { payloadBytes, type = "A", id = 7 } = options;
  return dnsPacket.encode({
    type: "query",
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
    additionals: payloadBytes === undefined ? [] : [ednsOf(payloadBytes)],
  });
}

/** What a resolver outside says to a question. */
export function answerTo(
  question: Buffer,
  parts: {
    addresses?: readonly string[];
    ttl?: number;
    rcode?: number;
    /** Seconds that a missing name may be remembered. */
    negativeTtl?: number;
    flags?: number;
  },
): Buffer {
  const { id, questions } = dnsPacket.decode(question);
  const name = questions?.[0]?.name ?? "";
  const { addresses = [], ttl = 60, rcode = 0, negativeTtl, flags = 0 } = parts;
  const soa = {
    mname: "ns.example.org",
    rname: "root.example.org",
    serial: 1,
    refresh: 1,
    retry: 1,
    expire: 1,
    minimum: negativeTtl ?? 0,
  };
  return dnsPacket.encode({
    type: "response",
    id: id ?? 0,
    flags: flags | rcode,
    questions: questions ?? [],
    answers: addresses.map((data) => ({ type: "A", name, ttl, data })),
    authorities:
      negativeTtl === undefined ? [] : [{ type: "SOA", name: "example.org", ttl: 3_600, data: soa }],
  });
}

/** "NOERROR", "NXDOMAIN"… */
export function codeOf(answer: Buffer | undefined): string {
  const names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
  return answer === undefined ? "" : (names[(answer[3] ?? 0) & 15] ?? "");
}

function ednsOf(payloadBytes: number): dnsPacket.Answer {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize: payloadBytes,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}
