/** What a client asks of a network of the cluster. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LocalNetworkRequest } from "../../proto/engine/networks.js";
import { clusterNetworkIn } from "./cluster-network-in.js";
import { Fields } from "./fields.js";

const SETTINGS: LocalNetworkRequest = {
  ...{ name: "settings", driver: "null", internal: false, attachable: false, configOnly: true },
  ...{ enableIpv4: false, enableIpv6: true, ipamDriver: "default", ipamOptions: { x: "y" } },
  ipam: [{ subnet: "fd00::/64", ipRange: "", gateway: "fd00::9", auxiliaryAddresses: { a: "fd00::a" } }],
  ...{ options: { encrypted: "" }, labels: { k: "v" } },
};
const read = (body: object) => clusterNetworkIn(Fields.of({ Name: "n", ...body }), () => SETTINGS);

test("encrypted is a yes by itself, and can be a no", () => {
  const encrypted = (text: string) => read({ Options: { encrypted: text } }).encrypted;
  assert.deepEqual(["", "true", "1", "false", "0"].map(encrypted), [true, true, true, false, false]);
  assert.equal(read({}).encrypted, false);
  assert.throws(() => encrypted("perhaps"), /encrypted must be true or false, got "perhaps"/);
});

test("families are as asked for, IPv4 alone when nothing is said", () => {
  const families = (body: object) => {
    const { ipv4Disabled, ipv6Enabled } = read(body);
    return [!ipv4Disabled, ipv6Enabled];
  };
  assert.deepEqual(families({}), [true, false]);
  assert.deepEqual(families({ EnableIPv4: true, EnableIPv6: true }), [true, true]);
  assert.deepEqual(families({ EnableIPv4: false, EnableIPv6: true }), [false, true]);
});

test("settings of another network are copied, and nothing may stand beside them", () => {
  const from = { ConfigFrom: { Network: "settings" } };
  const spec = read({ ...from, Attachable: true });
  assert.deepEqual(
    [spec.configFrom, spec.attachable, spec.encrypted, spec.ipv4Disabled, spec.ipv6Enabled],
    ["settings", true, true, true, true],
  );
  assert.deepEqual(spec.annotations, { name: "n", labels: { k: "v" } });
  assert.deepEqual(spec.ipamConfigs, [
    { subnet: "fd00::/64", gateway: "fd00::9", range: "", reserved: { a: "fd00::a" } },
  ]);
  for (const own of [
    { Labels: { a: "b" } },
    { EnableIPv6: true },
    { IPAM: { Config: [{ Subnet: "10.0.0.0/24" }] } },
  ])
    assert.throws(() => read({ ...from, ...own }), /user specified configurations are not supported/);
  assert.throws(() => read({ ...from, Options: { a: "b" } }), /network driver options are not supported/);
});
