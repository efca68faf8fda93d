/**
 * Which local networks there are, and what is refused, in Docker's words.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { LocalNetworkRecord, LocalNetworkRequest } from "../../proto/engine/networks.js";
import { type Cidr, parseCidr } from "../ipam/cidr.js";
import { bridgeRequest } from "./local-network-fixtures.js";
import { type LocalNetworkOptions, NetworkBook } from "./network-book.js";

class Shelf {
  records: readonly LocalNetworkRecord[] = [];
  foreign: readonly Cidr[] = [];

  open(options: LocalNetworkOptions = {}): NetworkBook {
    return new NetworkBook(
      {
        load: () => this.records,
        save: (records) => {
          this.records = JSON.parse(JSON.stringify(records)) as LocalNetworkRecord[]; // as a file would
        },
        foreignSubnets: () => this.foreign,
        random: new SeededRandom(7),
        nowMs: () => 1_000,
      },
      options,
    );
  }
}

const request = (asked: Partial<LocalNetworkRequest>): LocalNetworkRequest => bridgeRequest("net", asked);
const ipam = (subnet: string) => [{ subnet, ipRange: "", gateway: "", auxiliaryAddresses: {} }];

test("bridge, host and none are there, and the same after a restart", () => {
  const shelf = new Shelf();
  const book = shelf.open();
  assert.deepEqual(
    book.list().map(({ name, driver }) => [name, driver]),
    [
      ["bridge", "bridge"],
      ["host", "host"],
      ["none", "null"],
    ],
  );
  const made = book.create(request({ name: "mine" }));
  shelf.foreign = [parseCidr("172.17.0.0/16")]; // a docker came later: the default bridge stays where it is
  const again = shelf.open();
  assert.deepEqual(again.list(), book.list());
  assert.equal(again.find(made.id.slice(0, 7))?.name, "mine");
  assert.equal(shelf.open({ bip: "10.5.0.1/24" }).find("bridge")?.ipam[0]?.subnet, "10.5.0.0/24");
});

test("automatic subnets avoid the host's and each other; a ULA is the node's own", () => {
  const shelf = new Shelf();
  shelf.foreign = [parseCidr("172.18.0.0/16")];
  const book = shelf.open();
  const subnets = (record: LocalNetworkRecord): string[] => record.ipam.map(({ subnet }) => subnet);
  assert.deepEqual(subnets(book.get("bridge")), ["172.17.0.0/16"]);
  assert.deepEqual(subnets(book.create(request({ name: "a" }))), ["172.19.0.0/16"]);
  const [four, six] = subnets(book.create(request({ name: "b", enableIpv6: true })));
  assert.equal(four, "172.20.0.0/16");
  assert.match(six ?? "", /^fd[0-9a-f]{2}:.*::\/64$/);
  const other = subnets(book.create(request({ name: "c", enableIpv6: true })))[1];
  assert.notEqual(other, six);
});

test("refusals are Docker's", () => {
  const book = new Shelf().open();
  book.create(request({ ipam: ipam("10.1.0.0/16") }));
  for (const [asked, code, words] of [
    [{}, "already-exists", "network with name net already exists"],
    [
      { name: "x", ipam: ipam("10.1.2.0/24") },
      "permission-denied",
      "Pool overlaps with other one on this address space",
    ],
    [{ name: "bridge" }, "permission-denied", "operation is not permitted on predefined bridge network "],
    [{ name: "x", driver: "host" }, "permission-denied", 'only one instance of "host" network is allowed'],
    [{ name: "x", driver: "nosuch" }, "not-found", 'plugin "nosuch" not found'],
    [{ name: "x", ipamDriver: "zz" }, "not-found", 'plugin "zz" not found'],
    [{ name: "" }, "internal", "invalid name: "],
  ] as const) {
    assert.throws(() => book.create(request(asked)), { code, message: words });
  }
  assert.throws(() => book.create(request({ name: "x", driver: "macvlan" })), { code: "not-implemented" });
  for (const name of ["bridge", "host", "none"])
    assert.throws(() => book.remove(name), {
      message: `${name} is a pre-defined network and cannot be removed`,
    });
  assert.throws(() => book.remove("nope"), { message: "network nope not found" });
  assert.equal(book.list().length, 4, "nothing is left of what was refused");
});

test("a bridge's name is one the kernel and the rules can take", () => {
  const book = new Shelf().open();
  const named = (name: string) => ({ options: { "com.docker.network.bridge.name": name } });
  for (const name of ['a"; drop', "sixteen-letters-", "a/b", "..", "a b"])
    assert.throws(() => book.create(request(named(name))), { code: "invalid-argument" }, name);
  book.create(request({ name: "one", ...named("mine0") }));
  assert.throws(
    () => book.create(request({ name: "two", ...named("mine0") })),
    /networks have same bridge name/,
  );
});
