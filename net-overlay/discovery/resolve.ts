/**
 * What to answer a question asked inside a sandbox: from the names of its networks,
 * or by asking a resolver outside.
 * Pure. Invariants: only names on the asker's own networks are known;
 * a known name of which we have no record of that type gets an empty answer, never "no such name"; a sandbox
 * without a way out never asks outside.
 * Source: RFC 1035, RFC 2308 section 2 (no such name against no data).
 */
import { formatAddress } from "../ipam/cidr.js";
import type { NetworkNames } from "./network-names.js";

export interface AskerView {
  /** In the order of the task's attachments: the first that knows a name answers. */
  readonly networks: readonly { readonly name: string; readonly names: NetworkNames }[];
  /** Whether unknown names may be asked outside. */
  readonly forwards: boolean;
  /** The service's own resolvers; empty: the node's. */
  readonly nameservers: readonly string[];
}

export interface Question {
  readonly name: string;
  /** A, AAAA, PTR… */
  readonly type: string;
}

export type Resolution =
  | { readonly kind: "addresses"; readonly type: "A" | "AAAA"; readonly addresses: readonly string[] }
  | { readonly kind: "pointer"; readonly name: string }
  | { readonly kind: "no-data" }
  | { readonly kind: "no-such-name" }
  | { readonly kind: "forward" };

/** @param turn any counter: equal answers are rotated by it, so that the first one changes. */
export function resolve(question: Question, view: AskerView, turn: number): Resolution {
  const name = question.name.toLowerCase().replace(/\.$/, "");
  const unknown: Resolution = { kind: view.forwards ? "forward" : "no-such-name" };
  if (question.type === "PTR") {
    const address = addressOfReverse(name);
    for (const network of view.networks) {
      const target = address === undefined ? undefined : network.names.byAddress.get(address);
      if (target !== undefined)
        return { kind: "pointer", name: network.name === "" ? target : `${target}.${network.name}` };
    }
    return unknown;
  }
  const addresses = findName(name, view);
  if (addresses === undefined) return unknown;
  if (question.type !== "A" && question.type !== "AAAA") return { kind: "no-data" };
  const isWanted = (address: string): boolean => address.includes(":") === (question.type === "AAAA");
  const wanted = addresses.filter(isWanted);
  if (wanted.length === 0) return { kind: "no-data" };
  const first = turn % wanted.length;
  return {
    kind: "addresses",
    type: question.type,
    addresses: [...wanted.slice(first), ...wanted.slice(0, first)],
  };
}

function findName(name: string, view: AskerView): readonly string[] | undefined {
  for (const { names } of view.networks) {
    const addresses = names.byName.get(name);
    if (addresses !== undefined) return addresses;
  }
  for (const network of view.networks) {
    const suffix = `.${network.name.toLowerCase()}`;
    if (network.name === "" || !name.endsWith(suffix)) continue;
    const addresses = network.names.byName.get(name.slice(0, -suffix.length));
    if (addresses !== undefined) return addresses;
  }
  return undefined;
}

/** "4.3.2.10.in-addr.arpa" -> "10.2.3.4"; of IPv6, the nibbles below ip6.arpa. Source: RFC 3596 section 2.5. */
function addressOfReverse(name: string): string | undefined {
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (v6 !== undefined)
    return formatAddress(6, BigInt(`0x${v6.replaceAll(".", "").split("").reverse().join("")}`));
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(name);
  return match === null ? undefined : [match[4], match[3], match[2], match[1]].join(".");
}
