import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type ByteFrame, FRAME_BYTES_MAX, FrameStream, WINDOW_BYTES } from "./frame-stream.js";

/** One side of a call; what is written comes out at the other. */
class FakeCall extends EventEmitter {
  other: FakeCall | undefined;
  readonly sent: ByteFrame[] = [];
  ended = false;
  cancelled = false;

  write(frame: ByteFrame, written: (error?: Error | null) => void): void {
    this.sent.push(frame);
    setImmediate(() => {
      this.other?.emit("data", frame);
      written();
    });
  }

  end(): void {
    this.ended = true;
  }

  cancel(): void {
    this.cancelled = true;
    this.other?.emit("error", new Error("cancelled"));
  }

  resume(): this {
    return this;
  }
}

function pair() {
  const [left, right] = [new FakeCall(), new FakeCall()];
  left.other = right;
  right.other = left;
  const open = (call: FakeCall): FrameStream<ByteFrame> =>
    new FrameStream({ call, frame: (part) => part, explain: (error) => error });
  return { left, right, a: open(left), b: open(right) };
}

const dataOf = (call: FakeCall): number => call.sent.reduce((sum, { data }) => sum + data.length, 0);

test("bytes go both ways, in frames, and each direction ends by itself", async () => {
  const { left, right, a, b } = pair();
  const much = Buffer.alloc(1_000_000, "0123456789");
  a.end(much);
  const got: Buffer[] = [];
  for await (const chunk of b.iterator({ destroyOnReturn: false })) got.push(chunk as Buffer);
  assert.ok(Buffer.concat(got).equals(much));
  assert.ok(left.sent.every(({ data }) => data.length <= FRAME_BYTES_MAX));
  b.end("answer");
  const [answer] = (await once(a, "data")) as [Buffer];
  assert.equal(String(answer), "answer");
  await Promise.all([once(a, "close"), b.destroyed || once(b, "close")]);
  assert.deepEqual([left.ended, right.ended, left.cancelled, right.cancelled], [true, true, false, false]);
});

test("no more than the window is on its way to a reader that does not read", async () => {
  const { left, a, b } = pair();
  a.write(Buffer.alloc(4 * WINDOW_BYTES));
  for (let count = 0; count < 200; count++) await turn();
  assert.equal(dataOf(left), WINDOW_BYTES);
  assert.equal(b.readableLength, WINDOW_BYTES);
  let read = 0;
  b.on("data", (chunk: Buffer) => {
    read += chunk.length;
  });
  while (read < 4 * WINDOW_BYTES) await turn();
  assert.equal(dataOf(left), 4 * WINDOW_BYTES);
  b.on("error", () => undefined);
  a.destroy();
});

test("reading in pieces allows more", async () => {
  const { a, b } = pair();
  a.end(Buffer.alloc(3 * WINDOW_BYTES));
  let read = 0;
  while (read < 3 * WINDOW_BYTES) {
    const chunk = b.read(1_000) as Buffer | null;
    if (chunk === null) {
      const rest = b.read() as Buffer | null;
      read += rest?.length ?? 0;
      await turn();
    } else read += chunk.length;
  }
  a.on("error", () => undefined);
  b.destroy();
});

test("a call that ends without its fin breaks the stream", async () => {
  const { left, a, b } = pair();
  b.on("error", () => undefined);
  const broken = once(a, "error") as Promise<[Error]>;
  left.emit("end");
  assert.match((await broken)[0].message, /the other end of the stream is gone/);
  assert.equal(left.cancelled, true);
});

test("who sends more than allowed is cut off", async () => {
  const { right, a, b } = pair();
  a.on("error", () => undefined);
  const broken = once(b, "error") as Promise<[Error]>;
  for (let count = 0; count < 5; count++)
    right.emit("data", { data: Buffer.alloc(WINDOW_BYTES / 2), fin: false, creditBytes: 0 });
  assert.match((await broken)[0].message, /sends more than it may/);
});
