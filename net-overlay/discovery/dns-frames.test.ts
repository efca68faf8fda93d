import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { holds } from "../../test/fuzz/holds.js";
import { DnsFrames, FRAME_MAX_BYTES, framed } from "./dns-frames.js";

test("a question longer than any we answer ends the connection", () => {
  assert.equal(new DnsFrames().take(framed(Buffer.alloc(FRAME_MAX_BYTES + 1)).subarray(0, 2)), undefined);
  assert.equal(new DnsFrames().take(framed(Buffer.alloc(FRAME_MAX_BYTES)))?.length, 1);
});

test("fuzz: questions come out as they went in, in whatever pieces they came", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 10 });
  holds(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 50 })), (all, cuts) => {
      const stream = Buffer.concat(all.map((message) => framed(Buffer.from(message))));
      const frames = new DnsFrames();
      const found: Buffer[] = [];
      let at = 0;
      for (const cut of [...cuts, stream.length]) {
        found.push(...(frames.take(stream.subarray(at, at + cut)) ?? []));
        at += cut;
      }
      assert.deepEqual(
        found.map((bytes) => [...bytes]),
        all.map((bytes) => [...bytes]),
      );
    }),
  );
});
