import assert from "node:assert/strict";
import { test } from "node:test";
import { imageName } from "../output/image-rows.js";
import { inSubnet, ipamConfigs } from "./network-commands.js";
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
