/**
 * Subnets and addresses of local networks: by tables, and by a property.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { IpamConfiguration } from "../../proto/engine/networks.js";
import { formatCidr, parseCidr } from "../ipam/cidr.js";
import { chooseSubnet, DEFAULT_POOLS, localSubnet, SubnetLeases } from "./subnet-leases.js";

const subnet = (asked: Partial<IpamConfiguration>): IpamConfiguration => ({
  subnet: "10.1.0.0/29",
  ipRange: "",
  gateway: "",
  auxiliaryAddresses: {},
  ...asked,
});
const leases = (asked: Partial<IpamConfiguration> = {}): SubnetLeases =>
  new SubnetLeases(localSubnet(subnet(asked)));

test("the lowest free address is given, a freed one again", () => {
  const pool = leases();
  assert.deepEqual([pool.take("a"), pool.take("b"), pool.take("c")], ["10.1.0.2", "10.1.0.3", "10.1.0.4"]);
  pool.release("10.1.0.3", "somebody else");
  assert.equal(pool.take("d"), "10.1.0.5");
  pool.release("10.1.0.3", "b");
  assert.deepEqual([pool.take("e"), pool.take("f"), pool.take("g")], ["10.1.0.3", "10.1.0.6", undefined]);
});

test("range, gateway and auxiliary addresses are kept to", () => {
  const auxiliaryAddresses = { router: "10.1.0.129" };
  const asked = {
    subnet: "10.1.0.0/24",
    ipRange: "10.1.0.128/30",
    gateway: "10.1.0.254",
    auxiliaryAddresses,
  };
  const pool = leases(asked);
  assert.deepEqual(
    [pool.take("a"), pool.take("b"), pool.take("c"), pool.take("d")],
    ["10.1.0.128", "10.1.0.130", "10.1.0.131", undefined],
  );
  pool.reserve("10.1.0.9", "chosen");
  for (const address of ["10.1.0.9", "10.1.0.254", "10.1.0.129", "10.1.0.255", "10.1.0.0"])
    assert.throws(() => pool.reserve(address, "late"), { message: "Address already in use" }, address);
  assert.throws(() => pool.reserve("10.2.0.9", "late"), /does not belong/);
  assert.equal(localSubnet(subnet({ ipRange: "10.1.0.4/30" })).gateway, "10.1.0.4", "of the range");
});

test("what does not fit is refused by name", () => {
  for (const [asked, words] of [
    [{ subnet: "banana" }, /^Invalid subnet banana : invalid CIDR address: banana$/],
    [
      { gateway: "10.9.0.1" },
      /^failed to allocate gateway \(10\.9\.0\.1\): Requested address is out of range$/,
    ],
    [{ ipRange: "10.9.0.0/30" }, /invalid ip-range 10\.9\.0\.0\/30/],
    [{ auxiliaryAddresses: { a: "10.9.0.1" } }, /auxiliary address a \(10\.9\.0\.1\)/],
    [{ subnet: "10.1.0.0/32", ipRange: "10.1.0.0/33" }, /Invalid subnet/],
  ] as const)
    assert.throws(() => localSubnet(subnet(asked)), { message: words });
});

test("automatic subnets pass over what is taken, by the host as well", () => {
  const taken = ["172.17.0.0/16", "172.18.9.0/24"].map(parseCidr);
  const chosen = chooseSubnet(DEFAULT_POOLS, taken);
  assert.equal(chosen && formatCidr(chosen), "172.19.0.0/16");
  const last = chooseSubnet(DEFAULT_POOLS, [parseCidr("172.16.0.0/12"), parseCidr("192.168.0.0/17")]);
  assert.equal(last && formatCidr(last), "192.168.128.0/20");
  assert.equal(chooseSubnet([{ base: "10.0.0.0/24", size: 24 }], [parseCidr("10.0.0.0/8")]), undefined);
});

test("no address has two owners, and none is lost", () => {
  const steps = fc.array(fc.record({ take: fc.boolean(), owner: fc.constantFrom("a", "b", "c") }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(steps, (all) => {
      const pool = leases();
      const held: [string, string][] = [];
      for (const { take, owner } of all) {
        if (take) {
          const address = pool.take(owner);
          assert.equal(address === undefined, held.length === 5);
          if (address === undefined) continue;
          assert.ok(held.every(([other]) => other !== address));
          held.push([address, owner]);
        } else {
          const at = held.findIndex(([, holder]) => holder === owner);
          const [entry] = at < 0 ? [] : held.splice(at, 1);
          if (entry !== undefined) pool.release(entry[0], owner);
        }
      }
    }),
  );
});
