/**
 * The thread that touches files: slow and vanishing clients, failing sources, its end.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../../base/clock/system-clock.js";
import type { FileJob } from "./file-jobs.js";
import { FileThread } from "./linux-file-thread.js";
import { isCode } from "./linux-root-view.js";
import { TAR_END_BYTES, type TarEntry, tarHeader } from "./tar-entry.js";

let root: string;
let thread: FileThread;
const source = (): Extract<FileJob, { kind: "read" }>["source"] => ({ root, readOnly: false, mounts: [] });

before(() => {
  root = mkdtempSync("/tmp/skc-thread-");
  mkdirSync(join(root, "d"));
  writeFileSync(join(root, "d/big"), Buffer.alloc(8_000_000, 7));
  thread = new FileThread({ clock: systemClock });
});

after(async () => {
  await thread.close();
  rmSync(root, { recursive: true });
});

/** A handle may go between the listing and the look at it: what the thread closes meanwhile is not open. */
function isHere(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
  } catch (error) {
    if (isCode(error, "ENOENT")) return false;
    throw error;
  }
}

const openHere = (): number => readdirSync("/proc/self/fd").filter(isHere).length;

/** The thread closes in its own time: on a busy machine it may not have had a turn for long. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 2_000 && openHere() > 0; turn++) await sleep(5);
}

function header(changes: Partial<TarEntry>): Buffer {
  const plain = { kind: "file", mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, linkName: "" } as const;
  return tarHeader({ name: "f", ...plain, sizeBytes: 0, major: 0, minor: 0, xattrs: [], ...changes });
}

const write = (input: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<unknown> => {
  const options = { noOverwriteDirNonDir: true, user: undefined };
  return thread.run({ kind: "write", source: source(), path: "/d", ...options }, { input, signal });
};

test("a reader that stops in the middle leaves nothing open, and others go on meanwhile", async () => {
  const slow = await thread.read({ kind: "read", source: source(), path: "/d" });
  assert.equal(slow.stat?.name, "d");
  await slow.tar.next();
  const other = await thread.run({ kind: "stat", source: source(), path: "/d/big" });
  assert.equal(other.kind === "stat" && other.stat.sizeBytes, 8_000_000);
  await slow.tar.return(undefined);
  await quiet();
  assert.equal(openHere(), 0);
});

test("a client that goes away before it reads anything leaves nothing open", async () => {
  const gone = new AbortController();
  await thread.read({ kind: "read", source: source(), path: "/d" }, { signal: gone.signal });
  gone.abort();
  await quiet();
  assert.equal(openHere(), 0);
});

test("a source that fails ends the copy with its own error", async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield header({ name: "half", sizeBytes: 1_000_000 });
    yield Buffer.alloc(1000);
    throw new Error("the client broke off");
  }
  await assert.rejects(write(failing()), { message: "the client broke off" });
  await quiet();
  assert.equal(openHere(), 0);
});

test("a copy that is refused early stops reading its source", async () => {
  let given = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield header({ name: "../../out" });
    for (;;) {
      given += 1;
      yield Buffer.alloc(100_000);
    }
  }
  await assert.rejects(write(endless()), /is outside of/);
  assert.ok(given < 50, String(given));
});

test("a refusal does not wait for a client that is slow to send", async () => {
  const gone = new AbortController();
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield header({ name: "../../out" });
    await new Promise<void>((resolve) => gone.signal.addEventListener("abort", () => resolve()));
  }
  await assert.rejects(write(slow()), /is outside of/);
  gone.abort();
});

test("a copy whose client hangs ends with the client", async () => {
  const gone = new AbortController();
  async function* hanging(): AsyncGenerator<Uint8Array> {
    yield header({ name: "hang", sizeBytes: 10 });
    await new Promise<void>((resolve) => gone.signal.addEventListener("abort", () => resolve()));
    throw new Error("aborted");
  }
  const copy = write(hanging(), gone.signal);
  setImmediate(() => gone.abort());
  await assert.rejects(copy);
  await quiet();
  assert.equal(openHere(), 0);
});

test("many chunks arrive in order and whole", async () => {
  const content = Buffer.alloc(3_000_000, "abcdefgh");
  async function* given(): AsyncGenerator<Uint8Array> {
    yield header({ name: "whole", sizeBytes: content.length });
    for (let at = 0; at < content.length; at += 40_000) yield content.subarray(at, at + 40_000);
    yield Buffer.alloc(512 - (content.length % 512) + TAR_END_BYTES);
  }
  await write(given());
  const { tar } = await thread.read({ kind: "read", source: source(), path: "/d/whole" });
  const parts: Uint8Array[] = [];
  for await (const part of tar) parts.push(part);
  assert.ok(
    Buffer.concat(parts)
      .subarray(512, 512 + content.length)
      .equals(content),
  );
});
