import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { Sealer } from "./data-key.js";
import { encodeFrame, findLaterGroup, openFrame, readFrame, SECTOR_BYTES } from "./wal-frame.js";

const random = new SeededRandom("frame");
const sealer = new Sealer({ dataKey: random.bytes(32), purpose: "test", salt: random.bytes(16), random });

function frameOf(recordBytes: number, place = { sequence: 7, group: 5 }): Buffer {
  return encodeFrame(place, random.bytes(recordBytes), sealer);
}

test("a frame is whole sectors, none of them zero, and gives back its records", () => {
  for (const recordBytes of [0, 1, 451, 452, 453, 963, 964, 965, 2_000]) {
    const records = random.bytes(recordBytes);
    const frame = encodeFrame({ sequence: 7, group: 5 }, records, sealer);
    assert.equal(frame.length % SECTOR_BYTES, 0);
    const found = readFrame(frame, 0);
    assert.equal(found.kind, "frame");
    if (found.kind !== "frame") continue;
    assert.equal(found.head.end, frame.length);
    assert.ok(openFrame(frame, 0, found.head, sealer).equals(records));
  }
});

test("damage at any byte of a frame is seen, and told from a torn write", () => {
  for (const frame of [frameOf(50), frameOf(900)]) {
    for (let at = 0; at < frame.length; at++) {
      for (const bits of [0x01, 0xff]) {
        const bent = Buffer.from(frame);
        bent.writeUInt8(bent.readUInt8(at) ^ bits, at);
        assert.equal(readFrame(bent, 0).kind, "damaged", `byte ${at}`);
      }
    }
  }
});

test("a frame that lacks any set of its sectors is blank or torn, never damaged", () => {
  const frame = frameOf(5 * SECTOR_BYTES);
  const sectors = frame.length / SECTOR_BYTES;
  for (let set = 1; set < 1 << sectors; set++) {
    const torn = Buffer.from(frame);
    for (let sector = 0; sector < sectors; sector++) {
      if ((set & (1 << sector)) !== 0)
        torn.fill(0, sector * SECTOR_BYTES, sector * SECTOR_BYTES + SECTOR_BYTES);
    }
    assert.equal(readFrame(torn, 0).kind, (set & 1) === 1 ? "blank" : "torn", `set ${set}`);
  }
});

test("a later group is known by its first sector alone", () => {
  const bytes = Buffer.concat([frameOf(2_000), frameOf(2_000, { sequence: 8, group: 8 })]);
  const second = bytes.length / 2;
  bytes.fill(0, 0, second);
  bytes.fill(0, second + SECTOR_BYTES);
  assert.equal(findLaterGroup(bytes, 0, 7), second);
  assert.equal(findLaterGroup(bytes, 0, 8), undefined);
});
