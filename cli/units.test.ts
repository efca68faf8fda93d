import assert from "node:assert/strict";
import { test } from "node:test";
import { csvPairs, keyValues, parseBytes, parseCpus, parseDuration, parseInteger } from "./units.js";

test("durations add up to nanoseconds", () => {
  assert.equal(parseDuration("1m30s", "--x"), 90e9);
  assert.equal(parseDuration("500ms", "--x"), 5e8);
  assert.equal(parseDuration("0", "--x"), 0);
  assert.throws(
    () => parseDuration("10", "--delay"),
    /--delay must be a duration such as 500ms, 10s or 1m30s, got "10"/,
  );
  assert.throws(() => parseDuration("1s x", "--delay"), /--delay must be a duration/);
});

test("sizes are multiples of 1024", () => {
  assert.equal(parseBytes("64m", "--x"), 64 * 1024 * 1024);
  assert.equal(parseBytes("1.5GiB", "--x"), 1.5 * 1024 ** 3);
  assert.equal(parseBytes("100", "--x"), 100);
  assert.throws(
    () => parseBytes("lots", "--limit-memory"),
    /--limit-memory must be a size such as 64m or 1g, got "lots"/,
  );
});

test("CPUs are billionths, integers have a lower bound", () => {
  assert.equal(parseCpus(".25", "--x"), 250_000_000);
  assert.throws(() => parseCpus("two", "--limit-cpu"), /--limit-cpu must be a number of CPUs/);
  assert.equal(parseInteger("-1", "--x", -1), -1);
  assert.throws(
    () => parseInteger("-1", "--replicas"),
    /--replicas must be an integer of at least 0, got "-1"/,
  );
});

test("pairs keep what stands behind the first equals sign", () => {
  assert.deepEqual(keyValues(["a=b=c", "d"]), { a: "b=c", d: "" });
  assert.deepEqual(
    [...csvPairs('Type=bind,"volume-opt=o=a,b",readonly', "--mount")],
    [
      ["type", "bind"],
      ["volume-opt", "o=a,b"],
      ["readonly", "true"],
    ],
  );
});
