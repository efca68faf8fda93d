/** Reading logs: tail, pieces, rotation, following. */
import assert from "node:assert/strict";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { LogReadOptions } from "./container-manager.js";
import { shiftLogs } from "./fs-log-files.js";
import { readLog } from "./fs-log-reader.js";

const all: LogReadOptions = { follow: false, tail: -1, sinceMs: 0, stdout: true, stderr: true };

function line(number: number, text: string, options: { stream?: string; tag?: string } = {}): string {
  const second = String(number % 60).padStart(2, "0");
  return (
    `2026-11-20T22:00:${second}.066641879+00:00 ${options.stream ?? "stdout"} ${options.tag ?? "F"} ` +
    `${text}\n`
  );
}

describe("log reader", () => {
  let folder: string;
  let path: string;
  let ended = true;
  const listeners = new Set<() => void>();
  const source = (): Parameters<typeof readLog>[0] => ({
    path,
    ended: () => ended,
    onEnd: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  const read = async (options: Partial<LogReadOptions>): Promise<string[]> => {
    const lines: string[] = [];
    for await (const record of readLog(source(), { ...all, ...options }))
      lines.push(Buffer.from(record.data).toString("utf8"));
    return lines;
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "skl-"));
    path = join(folder, "log");
    ended = true;
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("a missing log is empty", async () => {
    assert.deepEqual(await read({}), []);
  });

  it("pieces are joined per stream, and a last piece has no newline", async () => {
    const text = [
      line(1, "he", { tag: "P" }),
      line(2, "err", { stream: "stderr" }),
      line(3, "llo"),
      "torn rubbish\n",
      line(4, "end", { tag: "P" }),
    ];
    await writeFile(path, text.join(""));
    assert.deepEqual(await read({}), ["err\n", "hello\n", "end"]);
    assert.deepEqual(await read({ stdout: false }), ["err\n"]);
  });

  it("tail counts lines from the end, whatever the block size", async () => {
    const lines = Array.from({ length: 3000 }, (_, i) => line(i, `line ${i} ${"x".repeat(i % 97)}`));
    await writeFile(path, lines.join(""));
    for (const tail of [0, 1, 2, 999, 2999, 3000, 5000]) {
      const found = await read({ tail });
      assert.equal(found.length, Math.min(tail, 3000), `tail ${tail}`);
      if (tail > 0) assert.match(found.at(-1) ?? "", /^line 2999 /);
    }
  });

  it("tail keeps a line of pieces whole", async () => {
    await writeFile(path, [line(1, "a"), line(2, "b", { tag: "P" }), line(3, "c")].join(""));
    assert.deepEqual(await read({ tail: 1 }), ["bc\n"]);
    assert.deepEqual(await read({ tail: 2 }), ["a\n", "bc\n"]);
  });

  it("since and until cut by time", async () => {
    await writeFile(path, [line(1, "a"), line(2, "b"), line(3, "c")].join(""));
    assert.deepEqual(await read({ sinceMs: Date.parse("2026-11-20T22:00:02Z") }), ["b\n", "c\n"]);
    assert.deepEqual(await read({ untilMs: Date.parse("2026-11-20T22:00:02.5Z") }), ["a\n", "b\n"]);
  });

  it("rotated files come first, and tail reaches into them", async () => {
    await writeFile(path, line(1, "a") + line(2, "b"));
    await shiftLogs(path, 3);
    await writeFile(path, line(3, "c"));
    await shiftLogs(path, 3);
    await writeFile(path, line(4, "d"));
    assert.deepEqual(await read({}), ["a\n", "b\n", "c\n", "d\n"]);
    assert.deepEqual(await read({ tail: 3 }), ["b\n", "c\n", "d\n"]);
    await shiftLogs(path, 3);
    assert.deepEqual(await read({}), ["c\n", "d\n"]);
  });

  it("following goes on over rotations and ends with the container", async () => {
    ended = false;
    await writeFile(path, line(1, "a"));
    const seen: string[] = [];
    const following = (async () => {
      for await (const record of readLog(source(), { ...all, follow: true })) {
        seen.push(Buffer.from(record.data).toString("utf8").trim());
        if (seen.at(-1) === "a") {
          await appendFile(path, line(2, "b"));
          await shiftLogs(path, 5);
          await appendFile(`${path}.1`, line(3, "c")); // the monitor has not reopened yet
          await writeFile(path, line(4, "d"));
          await shiftLogs(path, 5);
          await writeFile(path, line(5, "e"));
        }
        if (seen.at(-1) === "e") {
          await appendFile(path, line(6, "f"));
          ended = true;
          for (const listener of listeners) listener();
        }
      }
    })();
    await following;
    assert.deepEqual(seen, ["a", "b", "c", "d", "e", "f"]);
    assert.equal(listeners.size, 0);
  });

  it("following stops when the caller gives up", async () => {
    ended = false;
    const abort = new AbortController();
    await writeFile(path, line(1, "a"));
    const seen: string[] = [];
    for await (const record of readLog(source(), { ...all, follow: true, signal: abort.signal })) {
      seen.push(record.timestamp);
      abort.abort();
    }
    assert.deepEqual(seen, ["2026-11-20T22:00:01.066641879Z"]);
  });
});
