/**
 * Words for causes that plans and people read.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clockText } from "./cause.js";

test("a time in words: the time of day, and never beyond what a date can name", () => {
  assert.equal(clockText(Date.UTC(2026, 0, 1, 10, 20, 30)), "10:20:30 UTC");
  assert.equal(clockText(8.64e15), "00:00:00 UTC");
  for (const atMs of [8.65e15, Number.POSITIVE_INFINITY, Number.NaN]) assert.equal(clockText(atMs), "never");
});
