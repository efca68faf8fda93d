/**
 * Networks of the swarm as objects, by the stock docker command on three hosts: what they are made with, what
 * is shown of them where, the ingress network replaced, a full network given another subnet, removal and a
 * deploy at once.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DockerCli, STAYING, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must, running, type SeenTask, seenTasks } from "../support/lab/lab-services.js";
import { call, formSwarm, until } from "../support/lab/lab-swarm.js";

interface Inspected {
  readonly Id: string;
  readonly EnableIPv4: boolean;
  readonly EnableIPv6: boolean;
  readonly Ingress: boolean;
  readonly ConfigFrom: { readonly Network: string };
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string; readonly Gateway: string }[] };
  readonly Options: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Containers: Readonly<
    Record<string, { readonly Name: string; readonly IPv4Address: string }>
  > | null;
  readonly Peers?: readonly { readonly Name: string; readonly IP: string }[];
  readonly Services?: Readonly<Record<string, { readonly VIP: string; readonly Tasks: readonly unknown[] }>>;
  readonly Status?: {
    readonly IPAM: {
      readonly Subnets: Readonly<
        Record<string, { readonly IPsInUse: number; readonly DynamicIPsAvailable: number }>
      >;
    };
  };
}

let lab: Lab;
let manager: LabHost;
let worker: LabHost;
let cli: DockerCli;
const docker = (...args: string[]): Promise<string[]> => cli.lines(...args);
const refused = (...args: string[]): Promise<string> => cli.refused(...args);
const inspect = (host: LabHost, name: string, verbose = false): Promise<Inspected> =>
  call(host, "GET", `/networks/${name}${verbose ? "?verbose=true" : ""}`);
const names = async (host: LabHost): Promise<readonly string[]> =>
  (await call<readonly { Name: string }[]>(host, "GET", "/networks")).map(({ Name }) => Name);
const create = (name: string, ...flags: string[]): Promise<string[]> =>
  docker("network", "create", "-d", "overlay", ...flags, name);
const service = (name: string, ...flags: string[]): Promise<string[]> =>
  docker("service", "create", "-d", "--no-resolve-image", "--name", name, ...flags, ...STAYING);
const remove = async (name: string): Promise<void> => {
  await docker("service", "rm", name);
};

interface Member {
  readonly host: LabHost;
  readonly id: string;
  readonly address: string;
}

/** Every container on the network reaches the address of every other, whatever subnet and node it is on. */
async function untilConnected(network: string, count: number): Promise<void> {
  let last = "";
  const probe = async (): Promise<true | undefined> => {
    const members: Member[] = [];
    for (const host of lab.hosts) {
      for (const [id, { IPv4Address }] of Object.entries((await inspect(host, network)).Containers ?? {}))
        members.push({ host, id, address: IPv4Address.replace(/\/.*$/, "") });
    }
    last = `${members.length} containers`;
    if (members.length !== count) return undefined;
    const addresses = members.map(({ address }) => address).join(" ");
    const script = `for a in ${addresses}; do ping -c 1 -W 2 $a >/dev/null || echo $a; done`;
    for (const { host, id, address } of members) {
      const { code, stdout } = await host.docker(["exec", id, "sh", "-c", script], { timeoutMs: 60_000 });
      last = `${address} does not reach ${stdout.trim()} (${code})`;
      if (code !== 0 || stdout !== "") return undefined; // it was just replaced, or a node has not heard yet
    }
    return true;
  };
  await until("all reach each other", 60_000, probe, () => last);
}

describe("networks as objects", { skip: skipWithoutDocker }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 3 });
    [manager, worker] = [lab.host(1), lab.host(3)];
    cli = new DockerCli(manager);
    await formSwarm(lab, { managers: 1 });
  });

  after(async () => {
    assert.deepEqual(await lab.close(), []);
  });

  test("subnets, gateways, ranges, reserved addresses, options and labels are kept and shown", async () => {
    const [id = ""] = await create(
      "full",
      ...["--subnet", "10.30.0.0/24", "--gateway", "10.30.0.9", "--ip-range", "10.30.0.128/25"],
      ...["--aux-address", "spare=10.30.0.130", "--subnet", "10.31.0.0/24", "--internal", "--attachable"],
      ...["--opt", "com.docker.network.driver.mtu=1350", "--label", "a=b", "--label", "c"],
      ...["--opt", "com.docker.network.driver.overlay.vxlanid_list=7007"],
    );
    const seen = await until("it is allocated", 10_000, async () => {
      const full = await inspect(manager, "full");
      return full.Status === undefined ? undefined : full;
    });
    assert.equal(seen.Id, id);
    // the command tells them in any order
    assert.deepEqual(
      [...seen.IPAM.Config].sort((a, b) => (a.Subnet < b.Subnet ? -1 : 1)),
      [
        {
          Subnet: "10.30.0.0/24",
          IPRange: "10.30.0.128/25",
          Gateway: "10.30.0.9",
          AuxiliaryAddresses: { spare: "10.30.0.130" },
        },
        { Subnet: "10.31.0.0/24", Gateway: "10.31.0.1" },
      ],
    );
    assert.deepEqual(seen.Options, {
      "com.docker.network.driver.mtu": "1350",
      "com.docker.network.driver.overlay.vxlanid_list": "7007",
    });
    assert.deepEqual(seen.Labels, { a: "b", c: "" });
    assert.deepEqual(seen.Status?.IPAM.Subnets, {
      "10.30.0.0/24": { IPsInUse: 4, DynamicIPsAvailable: 126 },
      "10.31.0.0/24": { IPsInUse: 3, DynamicIPsAvailable: 253 },
    });
    assert.match(
      await refused("network", "create", "-d", "overlay", "--subnet", "10.31.0.128/25", "other"),
      /Pool overlaps with other one on this address space/,
    );
    assert.match(
      await refused("network", "create", "-d", "overlay", "--opt", "encrypted", "secret"),
      /no node of the swarm can encrypt/,
    );
    await docker("network", "rm", "full");
  });

  test("both families, one of them, and settings kept on a node", async () => {
    await create("six", "--ipv6");
    await service("both", "--network", "name=six,driver-opt=a=b", "--constraint", "node.hostname==host1");
    await running(manager, "both", 1);
    const six = await inspect(manager, "six");
    assert.deepEqual([six.EnableIPv4, six.EnableIPv6], [true, true]);
    assert.match(six.IPAM.Config[1]?.Subnet ?? "", /^fd53:6b65:696f:[0-9a-f:]*\/64$/);
    const { Endpoint } = await call<{ Endpoint: { VirtualIPs: { Addr: string }[] } }>(
      manager,
      "GET",
      "/services/both",
    );
    assert.deepEqual(
      Endpoint.VirtualIPs.map(({ Addr }) => Addr.includes(":")),
      [false, true],
      "an address of each family",
    );
    const [container] = await docker("ps", "-q", "--filter", "name=both");
    const [shown = ""] = await docker(
      ...["inspect", "-f", '{{json (index .NetworkSettings.Networks "six")}}', container ?? ""],
    );
    const endpoint = JSON.parse(shown) as Readonly<Record<string, unknown>>;
    assert.deepEqual(endpoint["DriverOpts"], { a: "b" });
    assert.match(String(endpoint["GlobalIPv6Address"]), /^fd53:6b65:696f:/);
    await remove("both");

    await docker("network", "create", "--ipv6", "--subnet", "fd00:9::/64", "--config-only", "settings");
    await create("settled", "--config-from", "settings");
    const settled = await inspect(manager, "settled");
    assert.deepEqual([settled.ConfigFrom.Network, settled.EnableIPv6], ["settings", true]);
    assert.match(
      await refused(
        ...["network", "create", "-d", "overlay", "--config-from", "settings", "--label", "a=b", "x"],
      ),
      /user specified configurations are not supported if the network depends on a configuration network/,
    );
    const answer = await manager.api("POST", "/networks/create", {
      ...{ Name: "only-six", Driver: "overlay", EnableIPv4: false, EnableIPv6: true },
    });
    assert.equal(answer.status, 201);
    const only = await until("it is allocated", 10_000, async () => {
      const network = await inspect(manager, "only-six");
      return network.Status === undefined ? undefined : network;
    });
    assert.equal(only.IPAM.Config.length, 1);
    for (const name of ["six", "settled", "only-six", "settings"]) await docker("network", "rm", name);
  });

  test("a node shows the networks it takes part in and may come to, with its containers and their peers", async () => {
    await create("near", "--subnet", "10.40.0.0/24");
    await create("far");
    await create("open", "--attachable");
    await service("here", "--mode", "global", "--network", "near");
    await running(manager, "here", 3);
    const seen = await until("the worker knows", 10_000, async () => {
      const all = await names(worker);
      return all.includes("near") && all.includes("open") ? all : undefined;
    });
    assert.ok(seen.includes("ingress") && !seen.includes("far"), seen.join(" "));
    const ofWorker = new DockerCli(worker);
    assert.match(
      (
        await ofWorker.lines("network", "ls", "--filter", "name=near", "--format", "{{.Driver}} {{.Scope}}")
      ).join(),
      /^overlay swarm$/,
    );
    for (const host of [manager, worker]) {
      const near = await inspect(host, "near");
      assert.deepEqual(
        Object.values(near.Containers ?? {}).map(({ Name, IPv4Address }) => [
          Name.split(".")[0],
          /^10\.40\.0\.\d+\/24$/.test(IPv4Address),
        ]),
        [["here", true]],
        host.name,
      );
      assert.deepEqual(
        near.Peers?.map(({ IP }) => IP).sort(),
        lab.hosts.map(({ address }) => address),
      );
      const verbose = await inspect(host, "near", true);
      assert.deepEqual(Object.keys(verbose.Services ?? {}), ["here"]);
      assert.match(verbose.Services?.["here"]?.VIP ?? "", /^10\.40\.0\.\d+$/);
      assert.equal(verbose.Services?.["here"]?.Tasks.length, 3);
    }
    assert.match(await ofWorker.refused("network", "rm", "near"), /This node is not a swarm manager/);
    await remove("here");
    for (const name of ["near", "far", "open"]) await docker("network", "rm", name);
    await until("the worker has forgotten", 10_000, async () =>
      (await names(worker)).some((name) => ["near", "open"].includes(name)) ? undefined : true,
    );
  });

  test("a full network says so, and gives from another subnet at once", async () => {
    await create("narrow", "--subnet", "10.50.0.0/29");
    await service("many", "--replicas", "6", "--network", "narrow");
    await until("four run", 20_000, async () => {
      const tasks = await seenTasks(manager, "many");
      return tasks.filter(({ Status }) => Status.State === "running").length === 4 ? true : undefined;
    });
    const isWaiting = (task: SeenTask): boolean => task.Status.Err !== undefined && task.Status.Err !== "";
    const waiting = await until("two wait", 10_000, async () => {
      const tasks = (await seenTasks(manager, "many")).filter(isWaiting);
      return tasks.length === 2 ? tasks : undefined;
    });
    assert.match(waiting[0]?.Status.Err ?? "", /no free address in 10\.50\.0\.0\/29 \(6 of 6 in use\)/);
    assert.match(
      await must(manager.skein(["service", "why", "many"])),
      /no free address in 10\.50\.0\.0\/29[\s\S]*network update/,
    );
    const full = await inspect(manager, "narrow");
    assert.deepEqual(full.Status?.IPAM.Subnets["10.50.0.0/29"], { IPsInUse: 8, DynamicIPsAvailable: 0 });
    const flags = ["--subnet-add", "10.51.0.0/24", "--gateway", "10.51.0.7", "--label-add", "grown=yes"];
    await must(manager.skein(["network", "update", "narrow", ...flags]));
    await running(manager, "many", 6);
    const grown = await inspect(manager, "narrow");
    assert.deepEqual(
      grown.IPAM.Config.map(({ Subnet, Gateway }) => [Subnet, Gateway]),
      [
        ["10.50.0.0/29", "10.50.0.1"],
        ["10.51.0.0/24", "10.51.0.7"],
      ],
    );
    assert.deepEqual(grown.Labels, { grown: "yes" });
    assert.deepEqual(grown.Status?.IPAM.Subnets["10.51.0.0/24"], { IPsInUse: 5, DynamicIPsAvailable: 251 });
    await untilConnected("narrow", 6);
    const metrics = (await manager.api("GET", "/metrics")).body;
    assert.match(metrics, /skein_network_addresses_used\{network="narrow",subnet="10\.51\.0\.0\/24"\} 5\n/);
    assert.match(metrics, /skein_network_addresses_total\{network="narrow",subnet="10\.50\.0\.0\/29"\} 8\n/);
    assert.match(await refused("network", "rm", "narrow"), /network narrow is in use by service many/);
    await remove("many");
    await docker("network", "rm", "narrow");
  });

  test("a removed network waits for its tasks; a deploy right behind it gets name and subnet", async () => {
    const file = join(lab.dir, "stack.yml");
    writeFileSync(
      file,
      [
        "version: '3.8'",
        "services:",
        "  app:",
        `    image: ${STAYING[0]}`,
        "    command: [sh, -c, 'sleep 2 & trap \"wait; exit 0\" TERM; while :; do sleep 0.2; done']",
        "    networks: [back]",
        "    deploy: {replicas: 3}",
        "networks:",
        "  back:",
        "    driver: overlay",
        "    ipam: {config: [{subnet: 10.60.0.0/24}]}",
        "",
      ].join("\n"),
    );
    for (let round = 0; round < 3; round++) {
      await docker("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", file, "again");
      await running(manager, "again_app", 3);
      await docker("stack", "rm", "again");
    }
    const left = await call<readonly { Name: string }[]>(manager, "GET", "/networks");
    assert.ok(!left.some(({ Name }) => Name.startsWith("again_")));
  });

  test("the ingress network is replaced while nobody publishes by the mesh", async () => {
    await service("front", "--publish", "8085:80");
    const say = { input: "y\n", timeoutMs: 40_000 };
    const inUse = await manager.docker(["network", "rm", "ingress"], say);
    assert.match(inUse.stderr, /ingress network cannot be removed because service front depends on it/);
    await remove("front");
    await must(manager.docker(["network", "rm", "ingress"], say));
    assert.match(
      await refused(
        ...["service", "create", "-d", "--no-resolve-image", "--name", "front", "--publish", "8085:80"],
        ...STAYING,
      ),
      /service needs ingress network, but no ingress network is present/,
    );
    assert.match(
      await refused("network", "create", "-d", "overlay", "--ingress", "--attachable", "mesh"),
      /ingress network cannot be attachable/,
    );
    await create(
      "mesh",
      ...["--ingress", "--subnet", "10.11.0.0/16", "--gateway", "10.11.0.2"],
      ...["--opt", "com.docker.network.driver.mtu=1200"],
    );
    assert.equal((await inspect(manager, "mesh")).Ingress, true);
    assert.match(
      await refused("network", "create", "-d", "overlay", "--ingress", "second"),
      /ingress network \([0-9a-z]{25}\) is already present/,
    );
    await service("front", "--publish", "8085:80");
    await running(manager, "front", 1);
    await remove("front");
  });

  test("a service may choose its virtual address", async () => {
    await create("chosen", "--subnet", "10.70.0.0/24");
    await service("fixed", "--network", "chosen", "--label", "skein.vip=10.70.0.200");
    await running(manager, "fixed", 1);
    const verbose = await inspect(manager, "chosen", true);
    assert.equal(verbose.Services?.["fixed"]?.VIP, "10.70.0.200");
    await docker("service", "update", "-d", "--label-add", "skein.vip=10.70.0.201", "fixed");
    await until("it has the other", 10_000, async () =>
      (await inspect(manager, "chosen", true)).Services?.["fixed"]?.VIP === "10.70.0.201" ? true : undefined,
    );
    await remove("fixed");
    await docker("network", "rm", "chosen");
  });
});
