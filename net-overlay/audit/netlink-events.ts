/**
 * What the kernel tells of changes, as far as the audit cares: routing, and foreign rulesets.
 * Pure. Invariant: a ruleset's change is told when its transaction has ended; what is not known for certain
 * to leave our tables alone counts as touching them.
 * Source: rtnetlink(7); linux/netfilter/nf_tables.h and nfnetlink.h.
 */
import { decodeAttributes, readText } from "../dataplane/rtnetlink-codec.js";

/** Links, neighbours, addresses, routes and rules of both families: RTNLGRP_… */
export const ROUTE_GROUPS: readonly number[] = [1, 3, 5, 7, 8, 9, 11, 19];
/** NFNLGRP_NFTABLES */
export const RULESET_GROUPS: readonly number[] = [7];

const HEADER_BYTES = 16;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_NEWGEN = 15;
const NFTA_GEN_ID = 1;
const NFTA_GEN_PROC_PID = 2;
/** Of tables, chains, rules, sets, elements, objects and flow tables alike. */
const NFTA_TABLE = 1;
/** The names of all our tables begin so. */
const OUR_TABLES = "skein";
const NFGENMSG_BYTES = 4;

/** The types of the messages in a datagram, with what they carry. */
export function* messagesOf(datagram: Buffer): Generator<{ type: number; payload: Buffer }> {
  let offset = 0;
  while (offset + HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    if (length < HEADER_BYTES || offset + length > datagram.length) return;
    yield {
      type: datagram.readUInt16LE(offset + 4),
      payload: datagram.subarray(offset + HEADER_BYTES, offset + length),
    };
    offset += (length + 3) & ~3;
  }
}

/** A transaction of nftables that has ended. */
export interface Transaction {
  /** The number of the ruleset that it left. */
  readonly generation: number;
  readonly isOwn: boolean;
  /** Whether it may have changed a table of ours. */
  readonly touchesOurs: boolean;
}

/** Puts together what the kernel tells of a transaction, which may come in several datagrams. */
export class TransactionReader {
  readonly #ownPid: number;
  /** The first may have begun before anybody listened. */
  #touchesOurs = true;

  /** @param ownPid as the kernel counts processes. */
  constructor(ownPid: number) {
    this.#ownPid = ownPid;
  }

  *read(datagram: Buffer): Generator<Transaction> {
    for (const { type, payload } of messagesOf(datagram)) {
      if (type >> 8 !== NFNL_SUBSYS_NFTABLES) continue;
      const attributes = decodeAttributes(payload.subarray(NFGENMSG_BYTES));
      if ((type & 0xff) !== NFT_MSG_NEWGEN) {
        this.#touchesOurs ||= readText(attributes.get(NFTA_TABLE))?.startsWith(OUR_TABLES) !== false;
        continue;
      }
      yield {
        generation: attributes.get(NFTA_GEN_ID)?.readUInt32BE(0) ?? 0,
        isOwn: attributes.get(NFTA_GEN_PROC_PID)?.readUInt32BE(0) === this.#ownPid,
        touchesOurs: this.#touchesOurs,
      };
      this.#touchesOurs = false;
    }
  }
}
