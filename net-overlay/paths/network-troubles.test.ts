/**
 * Troubles in words: order, bounds, and who hears of them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryLogger } from "../../base/log/logger.js";
import { NetworkTroubles, TEXT_CHARACTERS_MAX } from "./network-troubles.js";

test("the text is the same whatever the order, and empty when all is over", () => {
  const troubles = new NetworkTroubles(new MemoryLogger());
  let heard = 0;
  const stop = troubles.onChange(() => {
    heard += 1;
  });
  troubles.set("path 2", "nothing comes back from b");
  troubles.set("path 1", "nothing comes back from a");
  troubles.set("path 1", "nothing comes back from a");
  assert.equal(troubles.text, "nothing comes back from a; nothing comes back from b");
  assert.equal(heard, 2);
  troubles.retain("path ", new Set(["path 2"]));
  assert.equal(troubles.text, "nothing comes back from b");
  stop();
  troubles.clear("path 2");
  assert.equal(troubles.text, "");
  assert.equal(heard, 3);
});

test("a thousand troubles make a short text", () => {
  const troubles = new NetworkTroubles(new MemoryLogger());
  for (let index = 0; index < 1_000; index += 1) troubles.set(`${index}`, "x".repeat(5_000));
  assert.match(troubles.text, /; and 996 more$/);
  assert.ok(troubles.text.length <= TEXT_CHARACTERS_MAX);
});
