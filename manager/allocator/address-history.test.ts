/**
 * Addresses over random histories of networks, services, tasks and leaders: none has two owners, none is
 * lost, and what was freed last is given last.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cidrContains, parseAddress, parseCidr } from "../../net-overlay/ipam/cidr.js";
import { Network, type Task } from "../../proto/gen/skein/v1/objects.js";
import type { NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";
import { removeNetwork } from "../control/network-removal.js";
import { subnetUseOf } from "../control/network-use.js";
import { isTerminal } from "../orchestrator/task-state.js";

const replicas = (count: number) => ({ $case: "replicated", value: { replicas: count } }) as const;
const NETWORKS = ["net-a", "net-b", "net-c"] as const;
const SERVICES = ["s1", "s2", "s3"] as const;

type Kind =
  | "network"
  | "subnet"
  | "remove"
  | "service"
  | "drop"
  | "scale"
  | "vip"
  | "crash"
  | "leader"
  | "wait";
interface Step {
  readonly kind: Kind;
  readonly network: (typeof NETWORKS)[number];
  readonly service: (typeof SERVICES)[number];
  readonly number: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom<Kind[]>(
    ...(["network", "network", "service", "service", "scale", "subnet", "remove"] as const),
    ...(["drop", "vip", "crash", "leader", "wait"] as const),
  ),
  network: fc.constantFrom(...NETWORKS),
  service: fc.constantFrom(...SERVICES),
  number: fc.integer({ min: 0, max: 7 }),
});

/** What users do; the store is written as the control API does. */
class History {
  readonly lab = new ControlLab();
  #count = 0;

  async take({ kind, network, service, number }: Step): Promise<void> {
    const { store } = this.lab.test;
    switch (kind) {
      case "network":
        return this.#createNetwork(network, number);
      case "subnet":
        await store.update((tx) => {
          const [found] = tx.list("network", { by: "name", name: network });
          if (found?.spec === undefined || found.spec.ipamConfigs.length > 3) return;
          const subnet = `10.${100 + (this.#count++ % 100)}.0.0/29`;
          const ipamConfigs = [...found.spec.ipamConfigs, { subnet, range: "", gateway: "", reserved: {} }];
          tx.update("network", { ...found, spec: { ...found.spec, ipamConfigs } });
        });
        return this.lab.settle();
      case "remove":
        await store.update((tx) => {
          const [found] = tx.list("network", { by: "name", name: network });
          const users = found && tx.list("service", { by: "networkId", networkId: found.id });
          if (found !== undefined && users?.length === 0) removeNetwork(tx, found);
        });
        return this.lab.settle();
      case "service": {
        const found = store.view((tx) => tx.list("network", { by: "name", name: network }))[0];
        if (found === undefined || this.#has(service)) return;
        return this.lab.createService(service, {
          mode: replicas(number),
          task: { networks: [{ target: found.id }] },
        });
      }
      case "drop":
        await store.update((tx) =>
          tx.get("service", service) === undefined ? undefined : tx.remove("service", service),
        );
        return this.lab.settle();
      case "scale":
        return this.#has(service) ? this.lab.scale(service, number) : undefined;
      case "vip":
        if (!this.#has(service)) return;
        return this.lab.updateService(service, (spec) => ({
          ...spec,
          endpoint: {
            ...(spec.endpoint ?? { mode: "ENDPOINT_MODE_VIP" as never, ports: [], balance: "" as never }),
            virtualAddresses: this.#somewhere(service, number),
          },
        }));
      case "crash":
        return this.lab.crash(this.lab.running(service)[0]?.id ?? "");
      case "leader":
        return this.lab.changeLeader();
      case "wait":
        return this.lab.advance(60_000);
    }
  }

  #has(service: string): boolean {
    return this.lab.test.store.view((tx) => tx.get("service", service)) !== undefined;
  }

  /** An address of a subnet of the service's network, perhaps one in use. */
  #somewhere(service: string, number: number): readonly string[] {
    const { store } = this.lab.test;
    const [target = ""] = this.lab.service(service).spec?.task?.networks.map((one) => one.target) ?? [];
    const subnet = store.view((tx) => tx.get("network", target))?.ipam[0]?.subnet ?? "";
    if (subnet === "" || number === 0) return [];
    return [
      subnet.includes(":")
        ? subnet.replace("::/64", `::${number + 1}`)
        : subnet.replace(/\d+\/\d+$/, String(number + 1)),
    ];
  }

  async #createNetwork(name: string, number: number): Promise<void> {
    const { store } = this.lab.test;
    if (store.view((tx) => tx.list("network", { by: "name", name })).length > 0) return;
    const spec: Partial<NetworkSpec> = {
      annotations: { name, labels: {} },
      driver: "overlay",
      ipv6Enabled: number % 2 === 1,
      ipv4Disabled: number === 7,
      ipamConfigs: number % 3 === 0 && number !== 7 ? [small(this.#count)] : [],
    };
    const id = `${name}-${this.#count++}`;
    await store.update((tx) => tx.create("network", Network.fromPartial({ id, spec })));
    await this.lab.settle();
  }
}

const small = (count: number) => ({
  ...{ subnet: `10.${200 + (count % 50)}.0.0/28`, range: `10.${200 + (count % 50)}.0.8/29` },
  ...{ gateway: "", reserved: { printer: `10.${200 + (count % 50)}.0.9` } },
});

/** Every address that the store says is held, as "network address", with its owner. */
function leasesOf(lab: ControlLab): { owner: string; networkId: string; address: string }[] {
  return lab.test.store.view((tx) => [
    ...tx
      .list("service")
      .flatMap(({ id, endpoint }) => (endpoint?.virtualIps ?? []).map((vip) => ({ owner: id, ...vip }))),
    ...tx
      .list("task")
      .filter((task) => !isTerminal(task))
      .flatMap(({ id, networks }) =>
        networks.flatMap(({ networkId, addresses }) =>
          addresses.map((address) => ({ owner: id, networkId, address })),
        ),
      ),
  ]);
}

function assertSound(lab: ControlLab): void {
  const networks = lab.test.store.view((tx) => tx.list("network"));
  const owners = new Map<string, string>();
  for (const { owner, networkId, address } of leasesOf(lab)) {
    const network = networks.find(({ id }) => id === networkId);
    assert.ok(network !== undefined, `${owner} holds ${address} of ${networkId}, which is gone`);
    const bare = address.replace(/\/.*$/, "");
    const config = network.ipam.find(({ subnet }) => cidrContains(parseCidr(subnet), parseAddress(bare)));
    assert.ok(config !== undefined, `${address} is in no subnet of ${networkId}`);
    assert.notEqual(bare, config.gateway, `${owner} has the gateway's address`);
    assert.ok(!Object.values(config.reserved).includes(bare), `${bare} was to be left alone`);
    const key = `${networkId} ${address}`;
    assert.equal(owners.get(key) ?? owner, owner, `${key} has two owners`);
    owners.set(key, owner);
  }
  const numbers = networks.map(({ vni }) => vni).filter((vni) => vni !== 0);
  assert.equal(new Set(numbers).size, numbers.length, "a VXLAN identifier is used twice");
  const subnets = networks.flatMap(({ ipam }) => ipam.map(({ subnet }) => parseCidr(subnet)));
  for (const [at, one] of subnets.entries())
    for (const other of subnets.slice(at + 1))
      assert.ok(
        one.family !== other.family || !cidrContains(one, { family: one.family, value: other.base }),
        "two networks have one subnet",
      );
}

/** Nothing is lost: all but what the store says is held can be given, to the last address. */
async function assertNothingLost(history: History): Promise<void> {
  const { lab } = history;
  const { store } = lab.test;
  for (const service of SERVICES)
    await store.update((tx) =>
      tx.get("service", service) === undefined ? undefined : tx.remove("service", service),
    );
  for (let i = 0; i < 10; i++) await lab.advance(60_000);
  const going = store.view((tx) => tx.list("network").filter(({ pendingDelete }) => pendingDelete));
  assert.deepEqual(going, [], "a network that nobody uses is gone");
  for (const network of store.view((tx) => tx.list("network"))) {
    if (network.ipam.length === 0 || network.spec?.ipv6Enabled === true) continue;
    const uses = await subnetUseOf({ store, clock: lab.test.clock }, network);
    const free = uses.reduce((sum, { available }) => sum + available, 0);
    if (free > 60) continue; // a whole /24 shows no more, and takes long
    const id = `last-${network.id}`;
    await lab.createService(id, { mode: replicas(free + 2), task: { networks: [{ target: network.id }] } });
    const placed = lab.tasks(id).filter((task: Task) => task.allocated);
    assert.equal(placed.length, free - 1, `${network.id}: all but the virtual address`);
    assertSound(lab);
  }
}

test("whatever happens to networks, no address has two owners, and none is lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24 }), async (steps) => {
      const history = new History();
      await history.lab.addNodes("n1", "n2");
      for (const each of steps) {
        await history.take(each);
        assertSound(history.lab);
      }
      await assertNothingLost(history);
      await history.lab.close();
    }),
    { numRuns: 40 },
  );
});

test("what was freed is given last, also by a new leader", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createNetwork("net", "10.0.1.0/28");
  await lab.createService("web", { mode: replicas(1), task: { networks: [{ target: "net" }] } });
  const seen: string[] = [];
  for (let round = 0; round < 11; round++) {
    const [task] = lab.running("web");
    seen.push(task?.networks[0]?.addresses[0] ?? "");
    await lab.changeLeader();
    await lab.crash(task?.id ?? "");
    await lab.advance(300_000);
  }
  assert.equal(new Set(seen).size, seen.length, `an address came again too soon: ${seen.join(", ")}`);
  await lab.close();
});

test("a live network that gets another subnet gives from it to who waits", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createNetwork("net", "10.0.1.0/29");
  await lab.createService("web", { mode: replicas(6), task: { networks: [{ target: "net" }] } });
  assert.equal(lab.running("web").length, 4, "6 hosts less gateway and virtual address");
  await lab.test.store.update((tx) => {
    const network = tx.get("network", "net");
    if (network?.spec === undefined) return;
    const added = { subnet: "10.0.2.0/24", range: "", gateway: "10.0.2.9", reserved: {} };
    tx.update("network", {
      ...network,
      spec: { ...network.spec, ipamConfigs: [...network.spec.ipamConfigs, added] },
    });
  });
  await lab.settle();
  assert.equal(lab.running("web").length, 6);
  assert.deepEqual(
    lab.test.store
      .view((tx) => tx.get("network", "net"))
      ?.ipam.map(({ subnet, gateway }) => [subnet, gateway]),
    [
      ["10.0.1.0/29", "10.0.1.1"],
      ["10.0.2.0/24", "10.0.2.9"],
    ],
  );
  await lab.close();
});

test("a network of both families gives one address of each, chosen ones included", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const spec = { annotations: { name: "six" }, driver: "overlay", ipv6Enabled: true };
  await lab.test.store.update((tx) => tx.create("network", Network.fromPartial({ id: "six", spec })));
  await lab.settle();
  const network = lab.test.store.view((tx) => tx.get("network", "six"));
  assert.deepEqual(
    network?.ipam.map(({ subnet, gateway }) => [subnet, gateway]),
    [
      ["10.0.0.0/24", "10.0.0.1"],
      ["fd53:6b65:696f::/64", "fd53:6b65:696f::1"],
    ],
  );
  await lab.createService("web", {
    task: { networks: [{ target: "six", addresses: ["10.0.0.77"] }] },
    endpoint: { virtualAddresses: ["FD53:6b65:696f::abcd:0:9"] },
  });
  assert.deepEqual(lab.service("web").endpoint?.virtualIps, [
    { networkId: "six", address: "10.0.0.2/24" },
    { networkId: "six", address: "fd53:6b65:696f::abcd:0:9/64" },
  ]);
  assert.deepEqual(lab.running("web")[0]?.networks[0]?.addresses, ["10.0.0.77/24", "fd53:6b65:696f::2/64"]);
  await lab.createService("lost", {
    task: { networks: [{ target: "six" }] },
    endpoint: { virtualAddresses: ["192.0.2.1"] },
  });
  assert.match(lab.tasks("lost")[0]?.status?.err ?? "", /virtual address 192\.0\.2\.1 is in no subnet/);
  await lab.close();
});

test("a chosen VXLAN identifier that a network which is going still has is waited for", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const spec = {
    annotations: { name: "old" },
    driver: "overlay",
    driverOptions: { "com.docker.network.driver.overlay.vxlanid_list": "77" },
  };
  const { store } = lab.test;
  const vniOf = (id: string) => store.view((tx) => tx.get("network", id))?.vni;
  await store.update((tx) => tx.create("network", Network.fromPartial({ id: "old", spec })));
  await lab.settle();
  await lab.createService("web", { task: { networks: [{ target: "old" }] } });
  const [task] = lab.running("web");
  assert.equal(vniOf("old"), 77);
  lab.silent.add("n1"); // its task takes its time
  await store.update((tx) => {
    tx.remove("service", "web");
    const old = tx.get("network", "old");
    if (old !== undefined) assert.equal(removeNetwork(tx, old), "going");
    tx.create("network", Network.fromPartial({ id: "new", spec: { ...spec, annotations: { name: "new" } } }));
  });
  await lab.createService("next", { task: { networks: [{ target: "new" }] } });
  assert.match(
    lab.tasks("next")[0]?.status?.err ?? "",
    /network new: VXLAN network identifier 77 is in use by another network/,
  );
  lab.silent.delete("n1");
  await lab.crash(task?.id ?? "");
  await lab.advance(1_000);
  assert.deepEqual([vniOf("old"), vniOf("new")], [undefined, 77]);
  assert.equal(lab.running("next").length, 1);
  await lab.close();
});
