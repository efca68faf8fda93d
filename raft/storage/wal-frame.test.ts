import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { Sealer } from "./data-key.js";
import { encodeFrame, readFrameHead } from "./wal-frame.js";

test("damage at any byte of a frame is seen", () => {
  const random = new SeededRandom("frame");
  const sealer = new Sealer({ dataKey: random.bytes(32), purpose: "test", salt: random.bytes(16), random });
  const frame = encodeFrame({ sequence: 7, group: 5 }, random.bytes(50), sealer);
  assert.deepEqual(readFrameHead(frame, 0), { sequence: 7, group: 5, end: frame.length });
  for (let at = 0; at < frame.length; at++) {
    const bent = Buffer.from(frame);
    bent.writeUInt8(bent.readUInt8(at) ^ 0xff, at);
    assert.equal(readFrameHead(bent, 0), undefined, `byte ${at}`);
  }
});
