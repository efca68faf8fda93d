/** Keys that let go, and the joining of connections and streams. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AttachedStream, StreamChunk } from "../proto/engine/streams.js";
import { holds } from "../test/fuzz/holds.js";
import { joinClient, multiplexed } from "./attached-client.js";
import { DetachWatch, parseDetachKeys } from "./detach-keys.js";
import { logTail, logTimeNs } from "./log-query.js";

test("keys are letters and control letters", () => {
  assert.deepEqual([...parseDetachKeys("")], [16, 17]);
  assert.deepEqual([...parseDetachKeys("ctrl-a,a,ctrl-@,ctrl-[,ctrl-_")], [1, 97, 0, 27, 31]);
  for (const wrong of ["foo", "ctrl-", "ctrl-A", "a,,b", "ctrl-1", "é"])
    assert.throws(() => parseDetachKeys(wrong), /Invalid detach keys/);
});

test("fuzz: any text is keys or is refused as such", () => {
  holds(
    fc.property(fc.string(), (text) => {
      try {
        assert.ok(parseDetachKeys(text).length > 0);
      } catch (error) {
        assert.match(String(error), /Invalid detach keys/);
      }
    }),
  );
});

test("fuzz: input without the sequence passes unchanged, however it is cut; what is before it passes too", () => {
  const bytes = fc.uint8Array({ max: 3, maxLength: 40 });
  const keys = fc.uint8Array({ max: 3, minLength: 1, maxLength: 4 });
  holds(
    fc.property(bytes, keys, fc.integer({ min: 1, max: 7 }), (input, sequence, step) => {
      const watch = new DetachWatch(sequence);
      const out: number[] = [];
      let detached = false;
      for (let at = 0; at < input.length && !detached; at += step) {
        const pushed = watch.push(input.subarray(at, at + step));
        out.push(...pushed.data);
        ({ detached } = pushed);
      }
      const place = Buffer.from(input).indexOf(Buffer.from(sequence));
      assert.equal(detached, place >= 0);
      if (!detached) out.push(...watch.flush());
      assert.deepEqual(out, [...input.subarray(0, detached ? place : undefined)]);
    }),
    { numRuns: 2_000 },
  );
});

test("times of log requests: seconds with fractions, dates, and refusals", () => {
  assert.equal(logTimeNs(""), 0n);
  assert.equal(logTimeNs("1136073600.000000001"), 1_136_073_600_000_000_001n);
  assert.equal(logTimeNs("2006-01-01T00:00:00.5Z"), 1_136_073_600_500_000_000n);
  assert.throws(() => logTimeNs("abc"), /strconv.ParseInt: parsing "abc": invalid syntax/);
  assert.deepEqual([logTail("all"), logTail("abc"), logTail("0"), logTail("12")], [-1, -1, 0, 12]);
});

class MemoryStream implements AttachedStream {
  readonly written: number[] = [];
  readonly #chunks: readonly StreamChunk[];
  inputEnded = false;
  closed = false;

  constructor(...chunks: StreamChunk[]) {
    this.#chunks = chunks;
  }

  get output(): AsyncIterable<StreamChunk> {
    const chunks = this.#chunks;
    return (async function* () {
      yield* chunks;
      await new Promise((resolve) => setImmediate(resolve));
    })();
  }
  write(data: Uint8Array): Promise<boolean> {
    this.written.push(...data);
    return Promise.resolve(true);
  }
  endInput(): void {
    this.inputEnded = true;
  }
  close(): void {
    this.closed = true;
  }
}

test("output is framed and all of it written before the end; input passes until the keys", async () => {
  const stream = new MemoryStream(
    { stream: 1, data: Buffer.from("out") },
    { stream: 2, data: Buffer.from("err") },
  );
  const sent: Uint8Array[] = [];
  let detached = 0;
  await joinClient(
    {
      input: (async function* () {
        yield Buffer.from("ab\x10");
        yield Buffer.from("\x11rest");
      })(),
      write: (data) => {
        sent.push(data);
        return Promise.resolve(true);
      },
      end: () => sent.push(Buffer.from("END")),
      gone: new AbortController().signal,
    },
    stream,
    { multiplexed: true, stdin: true, detachKeys: parseDetachKeys(""), onDetach: () => detached++ },
  );
  assert.deepEqual(
    Buffer.concat(sent).toString("latin1"),
    "\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03errEND",
  );
  assert.deepEqual([Buffer.from(stream.written).toString(), detached, stream.closed], ["ab", 1, true]);
  assert.equal(multiplexed({ stream: 1, data: Buffer.alloc(70_000) }).length, 70_008);
});
