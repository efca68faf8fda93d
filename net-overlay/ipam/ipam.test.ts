/**
 * Addresses, subnets and pools: arithmetic by tables, leases by properties.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { AddressPool } from "./address-pool.js";
import { cidrsOverlap, formatAddress, formatCidr, parseAddress, parseCidr } from "./cidr.js";
import { IntegerPool } from "./integer-pool.js";
import { SubnetPool } from "./subnet-pool.js";

test("a subnet loses its host bits and keeps its text", () => {
  for (const [text, expected] of [
    ["10.0.1.7/24", "10.0.1.0/24"],
    ["255.255.255.255/0", "0.0.0.0/0"],
    ["fd00:0:0:1::5/64", "fd00:0:0:1::/64"],
    ["::ffff:10.0.0.1/128", "::ffff:a00:1/128"],
    ["1:0:0:2:0:0:0:3/128", "1:0:0:2::3/128"],
  ] as const) {
    assert.equal(formatCidr(parseCidr(text)), expected);
  }
});

test("what is no address or subnet is refused by name", () => {
  for (const text of [
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0/8",
    "10.0.0.256/8",
    "x/8",
    "1::2::3/64",
    "1:2/64",
    "10.0.0.0/",
  ]) {
    assert.throws(() => parseCidr(text), InvalidArgumentError, text);
  }
});

test("every address survives its text", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (value) => {
      assert.equal(parseAddress(formatAddress(6, value)).value, value);
      const v4 = value & 0xffffffffn;
      assert.equal(parseAddress(formatAddress(4, v4)).value, v4);
    }),
  );
});

test("subnets overlap when one contains the other", () => {
  const overlap = (a: string, b: string): boolean => cidrsOverlap(parseCidr(a), parseCidr(b));
  assert.ok(overlap("10.0.0.0/8", "10.9.0.0/16"));
  assert.ok(overlap("10.9.0.0/16", "10.0.0.0/8"));
  assert.ok(!overlap("10.0.0.0/24", "10.0.1.0/24"));
  assert.ok(!overlap("10.0.0.0/24", "fd00::/8"));
});

test("a /24 gives 253 addresses beside its gateway, and a freed one last", () => {
  const pool = new AddressPool({ subnet: "10.0.1.0/24" });
  assert.equal(pool.gateway, "10.0.1.1");
  assert.equal(pool.take("a"), "10.0.1.2/24");
  pool.release("10.0.1.2/24", "a");
  for (let i = 0; i < 252; i++) assert.notEqual(pool.take(`t${i}`), "10.0.1.2/24");
  assert.equal(pool.take("last"), "10.0.1.2/24");
  assert.equal(pool.take("one too many"), undefined);
  assert.deepEqual([pool.usedCount, pool.capacity], [254, 254]);
});

test("a range, a gateway and reserved addresses are respected", () => {
  const pool = new AddressPool({
    subnet: "10.0.1.0/24",
    range: "10.0.1.128/30",
    gateway: "10.0.1.254",
    reserved: ["10.0.1.129"],
  });
  assert.deepEqual(
    [1, 2, 3, 4].map((i) => pool.take(`t${i}`)),
    ["10.0.1.128/24", "10.0.1.130/24", "10.0.1.131/24", undefined],
  );
  assert.ok(pool.reserve("10.0.1.5", "static"), "a chosen address may lie outside the range");
  assert.ok(!pool.reserve("10.0.1.5", "other"));
  assert.throws(() => new AddressPool({ subnet: "10.0.1.0/24", gateway: "10.0.2.1" }), /gateway 10.0.2.1/);
  assert.throws(() => new AddressPool({ subnet: "10.0.1.0/24", range: "10.0.0.0/16" }), /range/);
  assert.throws(() => new AddressPool({ subnet: "10.0.1.0/31" }), /no room/);
});

test("an IPv6 subnet gives addresses too", () => {
  assert.equal(new AddressPool({ subnet: "fd00:1::/64" }).take("a"), "fd00:1::2/64");
});

test("any address of a large subnet can be chosen, and its range is handed out wherever it lies", () => {
  const pool = new AddressPool({ subnet: "fd00:1::/64", range: "fd00:1::abcd:0:0:0/126" });
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((i) => pool.take(`t${i}`)),
    [
      "fd00:1:0:0:abcd::/64",
      "fd00:1::abcd:0:0:1/64",
      "fd00:1::abcd:0:0:2/64",
      "fd00:1::abcd:0:0:3/64",
      undefined,
    ],
  );
  assert.ok(pool.reserve("fd00:1::ffff:ffff:ffff:ffff", "a"));
  assert.ok(!pool.reserve("fd00:1::ffff:ffff:ffff:ffff", "b"));
  assert.equal(pool.ownerOf("fd00:1::ffff:ffff:ffff:ffff"), "a");
  pool.release("fd00:1::ffff:ffff:ffff:ffff", "b");
  assert.equal(pool.unavailableCount, 7, "4 of the range, the gateway, the network address and a's");
  pool.release("fd00:1::ffff:ffff:ffff:ffff", "a");
  assert.equal(pool.unavailableCount, 6);
  assert.ok(!pool.reserve("fd00:1::", "a"), "the network's own");
  const small = new AddressPool({ subnet: "10.0.1.0/29" });
  assert.ok(!small.reserve("10.0.1.7", "a"), "the broadcast address");
  assert.ok(!small.reserve("10.0.2.1", "a"), "of another subnet");
});

test("the search goes on behind the newest address that was seen", () => {
  const pool = new AddressPool({ subnet: "10.0.1.0/29" });
  pool.seen("10.0.1.4/29", 10);
  pool.seen("10.0.1.3/29", 5);
  pool.seen("10.0.2.3/24", 20);
  assert.equal(pool.take("a"), "10.0.1.5/29");
  pool.seen("10.0.1.6/29", 11);
  assert.equal(pool.take("b"), "10.0.1.2/29", "round again");
});

test("subnets of one family never come from pools of the other", () => {
  const pool = new SubnetPool({ pools: ["10.0.0.0/23", "fd00::/63"], subnetSize: 24 });
  assert.deepEqual(
    [pool.take("a", 6), pool.take("a", 4), pool.take("b", 6), pool.take("b", 6), pool.take("b", 4)],
    ["fd00::/64", "10.0.0.0/24", "fd00:0:0:1::/64", undefined, "10.0.1.0/24"],
  );
  assert.deepEqual([pool.leaseCount(4), pool.leaseCount(6)], [2, 2]);
  assert.equal(pool.describe(6), "fd00::/63 cut into /64");
});

test("subnets come lowest first and skip those that users chose", () => {
  const pool = new SubnetPool({ pools: ["10.0.0.0/8"], subnetSize: 24 });
  pool.reserve("10.0.1.0/25", "user");
  assert.deepEqual([pool.take("a"), pool.take("b")], ["10.0.0.0/24", "10.0.2.0/24"]);
  pool.releaseAll("user");
  assert.equal(pool.take("c"), "10.0.1.0/24");
});

test("a second pool is used when the first is empty", () => {
  const pool = new SubnetPool({ pools: ["10.0.0.0/24", "10.1.0.0/23"], subnetSize: 24 });
  const taken = ["a", "b", "c", "d"].map((owner) => pool.take(owner));
  assert.deepEqual(taken, ["10.0.0.0/24", "10.1.0.0/24", "10.1.1.0/24", undefined]);
  assert.throws(() => new SubnetPool({ pools: ["10.0.0.0/25"], subnetSize: 24 }), InvalidArgumentError);
});

test("an integer has one owner, and nothing is handed out twice or lost", () => {
  const operations = fc.array(
    fc.record({
      take: fc.boolean(),
      value: fc.integer({ min: 1, max: 12 }),
      owner: fc.constantFrom("a", "b", "c"),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(operations, fc.boolean(), (steps, rotating) => {
      const pool = new IntegerPool({ min: 1, max: 10, rotating });
      const model = new Map<number, string>();
      for (const { take, value, owner } of steps) {
        if (take && value > 5) {
          const taken = pool.take(owner);
          assert.equal(taken === undefined, model.size === 10);
          if (taken === undefined) continue;
          assert.ok(!model.has(taken));
          if (!rotating) for (let lower = 1; lower < taken; lower++) assert.ok(model.has(lower));
          model.set(taken, owner);
        } else if (take) {
          const free = (model.get(value) ?? owner) === owner;
          assert.equal(pool.reserve(value, owner), free);
          if (free) model.set(value, owner);
        } else {
          pool.release(value, owner);
          if (model.get(value) === owner) model.delete(value);
        }
        assert.equal(pool.usedCount, model.size);
      }
    }),
  );
});
