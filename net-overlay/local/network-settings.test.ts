/**
 * Networks that hold settings, and those that are made of them, in Docker's words.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { LocalNetworkRequest } from "../../proto/engine/networks.js";
import { bridgeRequest } from "./local-network-fixtures.js";
import { NetworkBook } from "./network-book.js";

function openBook(): NetworkBook {
  const random = new SeededRandom(7);
  return new NetworkBook({
    load: () => [],
    save: () => undefined,
    foreignSubnets: () => [],
    random,
    nowMs: () => 1,
  });
}

const settings = (asked: Partial<LocalNetworkRequest> = {}): LocalNetworkRequest =>
  bridgeRequest("settings", { configOnly: true, configFrom: "", ...asked });
const madeOf = (name: string, asked: Partial<LocalNetworkRequest> = {}): LocalNetworkRequest =>
  bridgeRequest("net", { configFrom: name, ...asked });
const ipam = [{ subnet: "10.79.0.0/24", ipRange: "", gateway: "", auxiliaryAddresses: {} }];

test("a network is made of the settings of another, which then stays", () => {
  const book = openBook();
  const options = { "com.docker.network.driver.mtu": "1400" };
  const held = book.create(settings({ ipam, options, labels: { a: "b" }, enableIpv6: true }));
  assert.deepEqual([held.driver, held.configOnly, held.ipam], ["null", true, ipam], "no subnet is taken");
  const made = book.create(madeOf("settings", { internal: true }));
  assert.deepEqual(
    [made.driver, made.configOnly, made.configFrom, made.internal, made.enableIpv6],
    ["bridge", undefined, "settings", true, true],
  );
  assert.deepEqual([made.options, made.labels], [options, { a: "b" }]);
  assert.ok(made.ipam.some(({ subnet }) => subnet === "10.79.0.0/24"));
  assert.throws(() => book.create(madeOf("settings", { name: "second" })), /Pool overlaps/);
  assert.throws(
    () => book.remove("settings"),
    /error while removing network: configuration network "settings" is in use/,
  );
  book.remove("net");
  book.remove("settings");
});

test("what is neither settings nor a network of settings is refused", () => {
  const book = openBook();
  book.create(settings());
  book.create(bridgeRequest("plain"));
  const cases: readonly (readonly [LocalNetworkRequest, RegExp])[] = [
    [madeOf("nothing"), /configuration network "nothing" does not exist/],
    [madeOf("plain"), /configuration network "plain" does not exist/],
    [madeOf("settings", { ipam }), /user specified configurations are not supported/],
    [madeOf("settings", { labels: { a: "b" } }), /user specified configurations are not supported/],
    [madeOf("settings", { enableIpv6: true }), /user specified configurations are not supported/],
    [madeOf("settings", { options: { a: "b" } }), /network driver options are not supported if the network/],
    [
      settings({ name: "x", configFrom: "settings" }),
      /a configuration network cannot depend on another configuration network/,
    ],
    [settings({ name: "x", internal: true }), /Network operator fields like \[ ingress \| internal/],
    [settings({ name: "x", attachable: true }), /Network operator fields like/],
    [settings(), /network with name settings already exists/],
    [
      settings({ name: "x", ipam: [{ subnet: "no", ipRange: "", gateway: "", auxiliaryAddresses: {} }] }),
      /Invalid subnet no : invalid CIDR address: no/,
    ],
  ];
  for (const [request, words] of cases) assert.throws(() => book.create(request), words);
});
