/**
 * The daemon's flags of networks: what cannot be is refused at the start, not at the first network.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineSettings } from "../proto/engine/settings.js";
import { localNetworkInit } from "./local-network-init.js";

const settings = (asked: Partial<EngineSettings["network"]>): EngineSettings["network"] => ({
  addressPools: [],
  bridgeAddress: "",
  fixedCidr: "",
  mtu: 1500,
  interContainer: true,
  masquerade: true,
  hostAddress: "",
  hostGateway: "",
  ...asked,
});

test("pools are ranges that can be cut into the size asked for", () => {
  const pools = [
    { base: "10.10.0.0/16", size: 24 },
    { base: "fd00:1::/48", size: 64 },
  ];
  assert.deepEqual(localNetworkInit(settings({ addressPools: pools })).pools, pools);
  for (const pool of [
    { base: "10.10.0.0", size: 24 },
    { base: "10.10.0.0/16", size: 8 },
    { base: "10.10.0.0/16", size: 31 },
    { base: "10.10.0.0/16", size: 64 },
    { base: "fd00:1::/48", size: 129 },
  ])
    assert.throws(
      () => localNetworkInit(settings({ addressPools: [pool] })),
      { code: "invalid-argument", message: /^--default-address-pool: / },
      JSON.stringify(pool),
    );
});

test("what is no range names its flag", () => {
  assert.throws(
    () => localNetworkInit(settings({ bridgeAddress: "10.0.0.1" })),
    /--bip: 10.0.0.1 is no range/,
  );
  assert.throws(() => localNetworkInit(settings({ fixedCidr: "x/9" })), /--fixed-cidr: x\/9 is no range/);
});
