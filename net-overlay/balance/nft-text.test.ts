/**
 * How nft is told to choose a backend.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";
import { backendChoice } from "./nft-text.js";

const BACKENDS = ["10.0.1.5", "10.0.1.6"];
const nowhere = { local: new Set<string>() };

test("round robin takes backends in turn", () => {
  assert.equal(
    backendChoice(BalancePolicy.ROUND_ROBIN, BACKENDS, nowhere),
    "numgen inc mod 2 map { 0 : 10.0.1.5, 1 : 10.0.1.6 }",
  );
});

test("the source hash looks at the client's address, with the same seed everywhere", () => {
  assert.equal(
    backendChoice(BalancePolicy.SOURCE_HASH, BACKENDS, nowhere),
    "jhash ip saddr mod 2 seed 0x736b6569 map { 0 : 10.0.1.5, 1 : 10.0.1.6 }",
  );
  assert.equal(
    backendChoice(BalancePolicy.SOURCE_HASH, ["fd00::5 . 80"], { ...nowhere, family: "ip6" }),
    "jhash ip6 saddr mod 1 seed 0x736b6569 map { 0 : fd00::5 . 80 }",
  );
});

test("local first stays on the node while there is a backend, and spills when there is none", () => {
  const local = new Set(["10.0.1.6", "10.0.1.9"]);
  assert.equal(
    backendChoice(BalancePolicy.LOCAL_FIRST, BACKENDS, { local }),
    "numgen inc mod 1 map { 0 : 10.0.1.6 }",
  );
  assert.equal(
    backendChoice(BalancePolicy.LOCAL_FIRST, BACKENDS, nowhere),
    backendChoice(BalancePolicy.ROUND_ROBIN, BACKENDS, nowhere),
  );
});
