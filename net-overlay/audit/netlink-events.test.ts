import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeMessage, text, u32 } from "../dataplane/rtnetlink-codec.js";
import { TransactionReader } from "./netlink-events.js";

const NFTABLES = 10 << 8;
const [NEW_CHAIN, NEW_RULE, NEW_GENERATION] = [NFTABLES | 3, NFTABLES | 6, NFTABLES | 15];
const fixed = Uint8Array.of(2, 0, 0, 10);

const about = (type: number, table: string): Uint8Array =>
  encodeMessage({ type, flags: 0, fixed, attributes: [text(1, table)] });

/** Numbers of nftables are big-endian. */
const swapped = (value: number): number => Buffer.from(Uint32Array.of(value).buffer).readUInt32BE(0);

const end = (generation: number, pid: number): Uint8Array => {
  const attributes = [u32(1, swapped(generation)), u32(2, swapped(pid))];
  return encodeMessage({ type: NEW_GENERATION, flags: 0, fixed, attributes });
};

test("a transaction is told when it ends, with whether it touched a table of ours", () => {
  const reader = new TransactionReader(7);
  const read = (...messages: Uint8Array[]) => [...reader.read(Buffer.concat(messages))];
  const untouched = { isOwn: false, touchesOurs: false };
  const touched = { isOwn: false, touchesOurs: true };
  assert.deepEqual(read(about(NEW_CHAIN, "filter"), end(4, 8)), [{ generation: 4, ...touched }], "the first");
  assert.deepEqual(read(about(NEW_CHAIN, "filter"), end(5, 8)), [{ generation: 5, ...untouched }]);
  assert.deepEqual(read(about(NEW_CHAIN, "skein"), about(NEW_RULE, "filter")), []);
  assert.deepEqual(read(about(NEW_RULE, "filter"), end(6, 8), end(7, 7)), [
    { generation: 6, ...touched },
    { generation: 7, isOwn: true, touchesOurs: false },
  ]);
  const nameless = encodeMessage({ type: NEW_RULE, flags: 0, fixed });
  assert.deepEqual(read(nameless, end(8, 8)), [{ generation: 8, ...touched }], "not known for certain");
});
