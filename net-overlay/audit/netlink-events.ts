/**
 * What the kernel tells of changes, as far as the audit cares: routing, and foreign rulesets.
 * Pure. Invariant: a ruleset's change counts when its transaction ends, and not when it was our own.
 * Source: rtnetlink(7); linux/netfilter/nf_tables.h and nfnetlink.h.
 */
import { decodeAttributes } from "../dataplane/rtnetlink-codec.js";

/** Links, neighbours, addresses, routes and rules of both families: RTNLGRP_… */
export const ROUTE_GROUPS: readonly number[] = [1, 3, 5, 7, 8, 9, 11, 19];
/** NFNLGRP_NFTABLES */
export const RULESET_GROUPS: readonly number[] = [7];

const HEADER_BYTES = 16;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_NEWGEN = 15;
const NFTA_GEN_PROC_PID = 2;
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

/** Whether a transaction of another process ended in it. @param ownPid as the kernel counts processes. */
export function endsForeignTransaction(datagram: Buffer, ownPid: number): boolean {
  for (const { type, payload } of messagesOf(datagram)) {
    if (type !== ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN)) continue;
    const pid = decodeAttributes(payload.subarray(NFGENMSG_BYTES)).get(NFTA_GEN_PROC_PID);
    if (pid?.length !== 4 || pid.readUInt32BE(0) !== ownPid) return true;
  }
  return false;
}
