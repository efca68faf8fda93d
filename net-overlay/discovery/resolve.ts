/**
 * What to answer a question asked inside a sandbox: from the names of its networks,
 * or by asking a resolver outside.
 * Pure. Invariants: only names on the asker's own networks are known;
 * a known name of which we have no record of that type gets an empty answer, never "no such name"; a sandbox
 * without a way out never asks outside; while we have not been told what there is, an unknown name is a
 * failure that the asker tries again, never "no such name".
 * Source: RFC 1035, RFC 2308 section 2 (no such name against no data).
 */
import { formatAddress } from "../ipam/cidr.js";
import { CLASS_IN, TYPE } from "./dns-question.js";
import type { NameRecords } from "./name-records.js";

/** The names of one network, as its members may ask for them. */
export interface NameTable {
  /** @param name lower case, without the network's name. */
  find(name: string): NameRecords | undefined;
  /** For reverse questions. @param address IPv6 as RFC 5952 writes it. */
  nameOf(address: string): string | undefined;
}

export interface AskerView {
  /** In the order of the task's attachments: the first that knows a name answers. */
  readonly networks: readonly { readonly name: string; readonly names: NameTable }[];
  /** Whether unknown names may be asked outside. */
  readonly forwards: boolean;
  /** The service's own resolvers; empty: the node's. */
  readonly nameservers: readonly string[];
  /** We have not been told yet what there is. @default false */
  readonly isUntold?: boolean;
}

export interface Question {
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  readonly dnsClass: number;
}

export type Resolution =
  | { readonly kind: "addresses"; readonly family: 4 | 6; readonly records: NameRecords }
  | { readonly kind: "pointer"; readonly name: string }
  | { readonly kind: "no-data" | "no-such-name" | "forward" | "failure" };

const NO_DATA: Resolution = { kind: "no-data" };
const FORWARD: Resolution = { kind: "forward" };
const NO_SUCH_NAME: Resolution = { kind: "no-such-name" };
const FAILURE: Resolution = { kind: "failure" };

export function resolve(question: Question, view: AskerView): Resolution {
  if (question.dnsClass !== CLASS_IN && question.dnsClass !== TYPE.any) return unknown(view);
  if (question.type === TYPE.ptr) return resolveAddress(question.name, view);
  const records = findName(question.name, view);
  if (records === undefined) return unknown(view);
  const { type } = question;
  if ((type === TYPE.a || type === TYPE.any) && records.records(4).count > 0)
    return { kind: "addresses", family: 4, records };
  if ((type === TYPE.aaaa || type === TYPE.any) && records.records(6).count > 0)
    return { kind: "addresses", family: 6, records };
  return NO_DATA;
}

function unknown(view: AskerView): Resolution {
  if (view.isUntold === true) return FAILURE;
  return view.forwards ? FORWARD : NO_SUCH_NAME;
}

function resolveAddress(name: string, view: AskerView): Resolution {
  const address = addressOfReverse(name);
  if (address === undefined) return unknown(view);
  for (const network of view.networks) {
    const target = network.names.nameOf(address);
    if (target !== undefined)
      return { kind: "pointer", name: network.name === "" ? target : `${target}.${network.name}` };
  }
  return unknown(view);
}

function findName(name: string, { networks }: AskerView): NameRecords | undefined {
  for (const { names } of networks) {
    const records = names.find(name);
    if (records !== undefined) return records;
  }
  for (const network of networks) {
    const shortLength = name.length - network.name.length - 1;
    if (network.name === "" || shortLength <= 0 || name[shortLength] !== ".") continue;
    if (!name.endsWith(network.name.toLowerCase())) continue;
    const records = network.names.find(name.slice(0, shortLength));
    if (records !== undefined) return records;
  }
  return undefined;
}

/** "4.3.2.10.in-addr.arpa" -> "10.2.3.4"; of IPv6, the nibbles below ip6.arpa. Source: RFC 3596 section 2.5. */
function addressOfReverse(name: string): string | undefined {
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (v6 !== undefined)
    return formatAddress(6, BigInt(`0x${v6.replaceAll(".", "").split("").reverse().join("")}`));
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  return match === null ? undefined : [match[4], match[3], match[2], match[1]].join(".");
}
