/**
 * Distinguished names of our certificates: O, OU and CN, in this order.
 * Pure. Source: RFC 5280 4.1.2.4.
 */
import { oid, sequence, TAG, tlv, utf8 } from "./der.js";

export interface NameParts {
  /** Cluster id. */
  readonly O?: string;
  /** Role. */
  readonly OU?: string;
  /** Node id, or the CA's name. */
  readonly CN: string;
}

const ATTRIBUTES = { O: "2.5.4.10", OU: "2.5.4.11", CN: "2.5.4.3" } as const;

export function distinguishedName(parts: NameParts): Uint8Array {
  const attribute = (type: keyof typeof ATTRIBUTES): Uint8Array[] => {
    const value = parts[type];
    return value === undefined ? [] : [tlv(TAG.set, sequence(oid(ATTRIBUTES[type]), utf8(value)))];
  };
  return sequence(...attribute("O"), ...attribute("OU"), ...attribute("CN"));
}
