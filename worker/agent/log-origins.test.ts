import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogRecord } from "../containers/container-manager.js";
import { behind } from "./log-origins.js";

async function* records(...stamps: string[]): AsyncIterable<LogRecord> {
  for (const [at, timestamp] of stamps.entries())
    yield { stream: "stdout", timestamp, data: Buffer.from(String(at)) } as LogRecord;
}

async function read(stamps: string[], timestamp: string, lines: number): Promise<string> {
  let text = "";
  for await (const { data } of behind(records(...stamps), { timestamp, lines }))
    text += Buffer.from(data).toString();
  return text;
}

test("lines behind a position: those of its stamp are counted, older ones are left out", async () => {
  const [a, b, c] = [
    "2026-01-01T00:00:00.000000001Z",
    "2026-01-01T00:00:00.000000002Z",
    "2026-01-01T00:00:01Z",
  ];
  assert.equal(await read([a, b, b, b, c], b, 2), "34");
  assert.equal(await read([a, b, b], b, 2), "");
  assert.equal(await read([a, c], b, 2), "1"); // its lines were rotated away
  assert.equal(await read([b, c, a], a, 1), "012"); // what was written later counts, whatever its stamp
});
