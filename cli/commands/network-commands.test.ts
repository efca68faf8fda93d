import assert from "node:assert/strict";
import { test } from "node:test";
import { imageName } from "../output/image-rows.js";
import { inSubnet, ipamConfigs, networkBody, networkUpdateBody } from "./network-commands.js";
import { scaledMode } from "./service-commands.js";

test("ranges, gateways and reserved addresses go to the subnet they lie in", () => {
  const flags = {
    subnet: ["10.1.0.0/16", "10.2.0.0/24"],
    ipRange: ["10.2.0.128/25"],
    gateway: ["10.1.0.1", "10.2.0.254"],
    auxAddress: ["router=10.1.9.9"],
  };
  assert.deepEqual(ipamConfigs(flags), [
    { Subnet: "10.1.0.0/16", Gateway: "10.1.0.1", AuxiliaryAddresses: { router: "10.1.9.9" } },
    { Subnet: "10.2.0.0/24", IPRange: "10.2.0.128/25", Gateway: "10.2.0.254" },
  ]);
});

test("an address outside all subnets is refused", () => {
  assert.throws(
    () => ipamConfigs({ gateway: ["10.0.0.1"] }),
    /--gateway 10\.0\.0\.1 is in none .* --subnet is missing/,
  );
  assert.throws(
    () => ipamConfigs({ subnet: ["10.1.0.0/24"], gateway: ["10.2.0.1"] }),
    /--gateway 10\.2\.0\.1 is in none of the given subnets \(10\.1\.0\.0\/24\)/,
  );
  assert.throws(
    () => ipamConfigs({ subnet: ["10.1.0.0/24"], gateway: ["10.1.0.1", "10.1.0.2"] }),
    /subnet 10\.1\.0\.0\/24 can have one Gateway/,
  );
});

test("an address lies in its subnet up to the last bit", () => {
  assert.equal(inSubnet("192.168.255.255", "192.168.0.0/16"), true);
  assert.equal(inSubnet("10.0.1.0", "10.0.0.0/24"), false);
  assert.equal(inSubnet("255.255.255.255", "0.0.0.0/0"), true);
  assert.equal(inSubnet("fd00:2::1", "fd00:1::/64"), false);
  assert.equal(inSubnet("fd00:2::/80", "fd00:2::/64"), true);
  assert.equal(inSubnet("10.0.0.1", "fd00::/8"), false);
  assert.equal(inSubnet("10.0.0.1", "10.0.0.0/40"), false);
});

test("what a live network is given is told with the subnets it belongs to", () => {
  assert.deepEqual(
    networkUpdateBody({
      subnetAdd: ["10.2.0.0/24"],
      gateway: ["10.2.0.9"],
      labelAdd: ["a=b"],
      labelRm: ["c"],
    }),
    {
      Subnets: [{ Subnet: "10.2.0.0/24", Gateway: "10.2.0.9" }],
      LabelsAdd: { a: "b" },
      LabelsRemove: ["c"],
    },
  );
  assert.throws(() => networkUpdateBody({}), /nothing to change: give --subnet-add/);
  assert.throws(() => networkUpdateBody({ gateway: ["10.2.0.9"] }), /--subnet is missing/);
});

test("settings for other networks have no driver; IPv4 can be left out", () => {
  const body = networkBody("settings", { configOnly: true });
  assert.deepEqual([body["Driver"], body["ConfigOnly"]], ["", true]);
  const six = networkBody("six", { ipv4: "false", ipv6: true, configFrom: "settings" });
  assert.deepEqual(
    [six["Driver"], six["EnableIPv4"], six["EnableIPv6"], six["ConfigFrom"]],
    ["overlay", false, true, { Network: "settings" }],
  );
  assert.throws(() => networkBody("x", { ipv4: "perhaps" }), /--ipv4 must be true or false, got "perhaps"/);
});

test("a port of a registry is no tag", () => {
  assert.deepEqual(imageName("host:5000/a"), { repository: "host:5000/a" });
  assert.deepEqual(imageName("host:5000/a:1@sha256:00"), {
    repository: "host:5000/a",
    tag: "1",
    digest: "sha256:00",
  });
});

test("only modes with replicas can be scaled", () => {
  assert.deepEqual(scaledMode({ Replicated: { Replicas: 1 } }, "web", 4), { Replicated: { Replicas: 4 } });
  assert.deepEqual(scaledMode({ ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 2 } }, "job", 4), {
    ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 4 },
  });
  assert.throws(
    () => scaledMode({ Global: {} }, "agent", 4),
    /agent: scale can only be used with replicated/,
  );
});
