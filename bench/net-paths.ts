/**
 * The ways of packets between three hosts, beside a bare VXLAN, the raw link and Docker's overlay in the same
 * run. Docker's virtual addresses and its ingress need ip_vs, which a kernel may lack: they are not compared.
 * Edge: to the lab's daemons and tools.
 */

import { IMAGE, openSide, type SwarmHost, type SwarmSide } from "./control-side.js";
import type { Json } from "./engine-api.js";
import * as tools from "./net-tools.js";
import { median, type Sample } from "./report.js";
import { IDLE_ARGS, until } from "./swarm-lab.js";

const ROUNDS = 5;
const NETWORK = "bench-net";
const [ECHO_PORT, IPERF_PORT, HTTP_PORT] = [7000, 5201, 80];
/** Published: HTTP keeping the client's address, HTTP with SNAT, iperf3. */
const [KEPT_PORT, SNAT_PORT, BULK_PORT] = [8080, 8081, 8082];

/** A task of a service with one replica. */
export interface PinnedTask {
  readonly service: string;
  readonly netns: string;
  /** On the overlay. */
  readonly address: string;
  /** The service's. */
  readonly vip: string;
}

function hostOf(side: SwarmSide, index: number): SwarmHost {
  const host = side.hosts[index];
  if (host === undefined) throw new Error(`the side has no host ${index}`);
  return host;
}

const recordOf = (value: unknown): Json => (value ?? {}) as Json; // objects where we ask
const listOf = (value: unknown): readonly Json[] => value as readonly Json[]; // arrays where we ask

export async function createOverlay(side: SwarmSide): Promise<void> {
  await hostOf(side, 0).api.call("POST", "/networks/create", { Name: NETWORK, Driver: "overlay" });
}

/** Creates the service on one host. */
export async function createPinned(
  side: SwarmSide,
  name: string,
  index: number,
  ports: readonly Json[] = [],
): Promise<void> {
  const constraint = `node.id==${await nodeIdOf(hostOf(side, index))}`;
  await hostOf(side, 0).api.call("POST", "/services/create", {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: IMAGE, Args: IDLE_ARGS },
      Networks: [{ Target: NETWORK }],
      Placement: { Constraints: [constraint] },
    },
    Mode: { Replicated: { Replicas: 1 } },
    ...(ports.length === 0 ? {} : { EndpointSpec: { Mode: "vip", Ports: ports } }),
  });
}

async function nodeIdOf(host: SwarmHost): Promise<string> {
  return String(((await host.api.call("GET", "/info"))["Swarm"] as Json)["NodeID"]);
}

/** Waits until it runs. */
export async function pinnedTask(side: SwarmSide, name: string, index: number): Promise<PinnedTask> {
  const manager = hostOf(side, 0).api;
  const filters = encodeURIComponent(JSON.stringify({ service: [name], "desired-state": ["running"] }));
  let found: Json | undefined;
  await until(`${side.name}: ${name} runs`, 120_000, async () => {
    const tasks = listOf(await manager.call("GET", `/tasks?filters=${filters}`));
    found = tasks.find((task) => (task["Status"] as Json)["State"] === "running");
    return found !== undefined;
  });
  const attachments = listOf(found?.["NetworksAttachments"]);
  const attachment = attachments.find(
    (one) => ((one["Network"] as Json)["Spec"] as Json)["Name"] === NETWORK,
  );
  const [cidr] = (attachment?.["Addresses"] ?? []) as readonly string[];
  const container = recordOf(recordOf(found?.["Status"])["ContainerStatus"])["ContainerID"];
  const state = (await hostOf(side, index).api.call("GET", `/containers/${String(container)}/json`))["State"];
  const service = await manager.call("GET", `/services/${name}`);
  const vips = listOf((service["Endpoint"] as Json)["VirtualIPs"]);
  const networkId = recordOf(attachment?.["Network"])["ID"];
  const vip = vips.find((one) => one["NetworkID"] === networkId)?.["Addr"];
  return {
    service: name,
    netns: tools.netnsOfProcess(Number((state as Json)["Pid"])),
    address: String(cidr).replace(/\/.*/, ""),
    vip: String(vip).replace(/\/.*/, ""),
  };
}

/** A tunnel between two hosts with nothing else in it. @returns the address of the second host. */
async function bareVxlan(a: SwarmHost, b: SwarmHost): Promise<string> {
  for (const [here, there, own] of [
    [a, b, "192.168.251.1"],
    [b, a, "192.168.251.2"],
  ] as const) {
    const ip = (...args: string[]): Promise<string> => tools.inside(here.netns, "ip", ...args);
    const ends = ["local", here.address, "remote", there.address];
    await ip("link", "add", "bare0", "type", "vxlan", "id", "77", ...ends, "dstport", "4799");
    await ip("addr", "add", `${own}/24`, "dev", "bare0");
    await ip("link", "set", "bare0", "mtu", "1450", "up");
  }
  return "192.168.251.2";
}

interface Way {
  readonly name: string;
  readonly netns: string;
  readonly address: string;
}

/** Values of each way, taken in turns. */
async function inTurns(
  ways: readonly Way[],
  take: (way: Way) => Promise<number>,
  what: string,
): Promise<ReadonlyMap<string, number[]>> {
  const values = new Map<string, number[]>(ways.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const way of ways) values.get(way.name)?.push(await take(way));
  for (const { name } of ways) console.error(`  ${what}, ${name}: ${median(values.get(name) ?? [])}`);
  return values;
}

const of = (values: ReadonlyMap<string, number[]>, name: string): number[] => values.get(name) ?? [];

/** Task to task over the overlay, and through a virtual address. */
async function overlaySamples(skein: SwarmSide, docker: SwarmSide): Promise<readonly Sample[]> {
  const servers: tools.Served[] = [];
  try {
    const ways: Way[] = [];
    for (const side of [skein, docker]) {
      await createOverlay(side);
      await createPinned(side, "from", 0);
      await createPinned(side, "to", 1);
      const [from, to] = [await pinnedTask(side, "from", 0), await pinnedTask(side, "to", 1)];
      servers.push(await tools.serveIperf(to.netns, IPERF_PORT), await tools.serveEcho(to.netns, ECHO_PORT));
      ways.push({ name: side.name, netns: from.netns, address: to.address });
      if (side === skein) ways.push({ name: "vip", netns: from.netns, address: to.vip });
    }
    const [one, two] = [hostOf(skein, 0), hostOf(skein, 1)];
    const bare = await bareVxlan(one, two);
    servers.push(await tools.serveIperf(two.netns, IPERF_PORT), await tools.serveEcho(two.netns, ECHO_PORT));
    ways.push({ name: "raw", netns: one.netns, address: two.address });
    ways.push({ name: "bare", netns: one.netns, address: bare });

    const bulk = await inTurns(
      ways.filter(({ name }) => name !== "vip"),
      (way) => tools.throughput(way.netns, way.address, IPERF_PORT),
      "Gbit/s",
    );
    const kept = await inTurns(
      ways,
      async (way) => (await tools.latency(way.netns, way.address, ECHO_PORT, "kept")).p50,
      "us a request",
    );
    const opened = await inTurns(
      ways.filter(({ name }) => name === "skein" || name === "vip"),
      async (way) => (await tools.latency(way.netns, way.address, ECHO_PORT, "opened")).p50,
      "us a connection",
    );
    const [bareBulk, dockerBulk] = [median(of(bulk, "bare")), median(of(bulk, "docker"))];
    const bareKept = median(of(kept, "bare"));
    const direct = median(of(opened, "skein"));
    return [
      {
        name: "task to task across hosts, TCP: >= 0.95 x of a bare VXLAN",
        unit: "Gbit/s",
        values: of(bulk, "skein"),
        goal: 0.95 * bareBulk,
        inclusive: true,
        better: "higher",
        peer: bareBulk,
      },
      {
        name: "task to task across hosts, TCP: not below Docker's overlay",
        unit: "Gbit/s",
        values: of(bulk, "skein"),
        goal: dockerBulk,
        inclusive: true,
        better: "higher",
        peer: dockerBulk,
      },
      { name: "the raw link", unit: "Gbit/s", values: of(bulk, "raw"), better: "higher" },
      {
        name: "64-byte request, task to task: <= 1.1 x bare VXLAN",
        unit: "us",
        values: of(kept, "skein"),
        goal: 1.1 * bareKept,
        inclusive: true,
        peer: bareKept,
      },
      { name: "64-byte request, Docker's overlay", unit: "us", values: of(kept, "docker") },
      {
        name: "connection setup through a VIP: <= 1.15 x direct",
        unit: "us",
        values: of(opened, "vip"),
        goal: 1.15 * direct,
        inclusive: true,
        peer: direct,
      },
    ];
  } finally {
    for (const server of servers) server.close();
  }
}

/** From a machine outside, through one host to a task on another. */
async function meshSamples(side: SwarmSide): Promise<readonly Sample[]> {
  const servers: tools.Served[] = [];
  const port = (published: number, target: number, more: Json = {}): Json => ({
    Protocol: "tcp",
    TargetPort: target,
    PublishedPort: published,
    PublishMode: "ingress",
    ...more,
  });
  const client = side.clients[0] ?? "";
  const [entry, target] = [hostOf(side, 0), hostOf(side, 1)];
  try {
    await createPinned(side, "web", 1, [
      port(KEPT_PORT, HTTP_PORT),
      port(SNAT_PORT, HTTP_PORT, { SourceMode: "snat" }),
      port(BULK_PORT, IPERF_PORT),
    ]);
    const task = await pinnedTask(side, "web", 1);
    // What one run leaves in the tables of connections is not the next one's matter.
    for (const { netns } of side.hosts)
      await tools.inside(netns, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1");
    for (const [netns, http, bulk] of [
      [task.netns, HTTP_PORT, IPERF_PORT],
      [target.netns, 8099, 5299],
    ] as const) {
      servers.push(await tools.serveHttp(netns, http, side.dir), await tools.serveIperf(netns, bulk));
    }
    const direct = { name: "direct", netns: client, address: `${target.address}:8099` };
    const mesh = { name: "mesh", netns: client, address: `${entry.address}:${KEPT_PORT}` };
    const snat = { name: "snat", netns: client, address: `${entry.address}:${SNAT_PORT}` };
    const rate =
      (kind: "kept" | "opened") =>
      async (way: Way): Promise<number> => {
        const value = await tools.requestRate(way.netns, `http://${way.address}/`, kind);
        await new Promise((wake) => setTimeout(wake, 1_500)); // until those entries have gone
        return value;
      };
    const opened = await inTurns([direct, mesh, snat], rate("opened"), "connections/s");
    const kept = await inTurns([direct, mesh], rate("kept"), "requests/s");
    const bulk = await inTurns(
      [
        { ...direct, address: target.address },
        { ...mesh, address: entry.address },
      ],
      (way) => tools.throughput(way.netns, way.address, way.name === "mesh" ? BULK_PORT : 5299),
      "Gbit/s",
    );
    const share = (
      name: string,
      unit: string,
      values: ReadonlyMap<string, number[]>,
      goal: { readonly of: string; readonly share: number },
    ): Sample => {
      const peer = median(of(values, goal.of));
      const better = "higher" as const;
      return {
        name,
        unit,
        values: of(values, "mesh"),
        goal: goal.share * peer,
        inclusive: true,
        better,
        peer,
      };
    };
    return [
      share("new connections through the mesh: >= 0.9 x with SNAT", "1/s", opened, {
        of: "snat",
        share: 0.9,
      }),
      share("new connections through the mesh: >= 0.4 x direct", "1/s", opened, { of: "direct", share: 0.4 }),
      share("requests on kept connections through the mesh: >= 0.6 x direct", "1/s", kept, {
        of: "direct",
        share: 0.6,
      }),
      share("bulk through the mesh: >= 0.7 x direct", "Gbit/s", bulk, { of: "direct", share: 0.7 }),
    ];
  } finally {
    for (const server of servers) server.close();
  }
}

/** Milliseconds from a task's running to its name on another host. */
async function nameDelay(side: SwarmSide, asker: PinnedTask, round: number): Promise<number> {
  const { api } = hostOf(side, 0);
  const name = `new-${round}`;
  const resolved = tools.resolvedAt(asker.netns, `tasks.${name}`);
  await createPinned(side, name, 1);
  await pinnedTask(side, name, 1);
  const at = await resolved;
  const filters = encodeURIComponent(JSON.stringify({ service: [name] }));
  const [task] = listOf(await api.call("GET", `/tasks?filters=${filters}`));
  const runningAt = Date.parse(String(recordOf(task?.["Status"])["Timestamp"]));
  await api.call("DELETE", `/services/${name}`);
  return at - runningAt;
}

async function nameSamples(skein: SwarmSide, docker: SwarmSide): Promise<readonly Sample[]> {
  const p50 = { skein: [] as number[], docker: [] as number[] };
  const p99 = { skein: [] as number[], docker: [] as number[] };
  const delay = { skein: [] as number[], docker: [] as number[] };
  const lost: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of [skein, docker]) {
      const asker = await pinnedTask(side, "from", 0);
      const taken = await tools.lookupLatency(asker.netns, "to");
      p50[side.name].push(taken.p50);
      p99[side.name].push(taken.p99);
      delay[side.name].push(await nameDelay(side, asker, round));
      if (side === skein) lost.push(await tools.lookupsLost(asker.netns, "to"));
    }
    console.error(
      `  names, us: skein ${p50.skein.at(-1)} (p99 ${p99.skein.at(-1)}), docker ${p50.docker.at(-1)} ` +
        `(p99 ${p99.docker.at(-1)}); lost ${lost.at(-1)}; new after ${delay.skein.at(-1)} ms, ` +
        `docker ${delay.docker.at(-1)} ms`,
    );
  }
  const peer = median(p50.docker);
  return [
    { name: "DNS p50: not above Docker's", unit: "us", values: p50.skein, goal: peer, inclusive: true, peer },
    {
      name: "DNS p99: <= 2 x p50",
      unit: "us",
      values: p99.skein,
      goal: 2 * median(p50.skein),
      inclusive: true,
      peer: median(p99.docker),
    },
    {
      name: "DNS questions lost of 10 000 a second from one container, five seconds",
      unit: "questions",
      values: lost,
      pick: "max",
      goal: 0,
      inclusive: true,
    },
    {
      name: "a new task's name on another host after Running: 100 ms",
      unit: "ms",
      values: delay.skein,
      goal: 100,
      inclusive: true,
      peer: median(delay.docker),
    },
  ];
}

export async function netPathSamples(): Promise<readonly Sample[]> {
  const sides: SwarmSide[] = [];
  try {
    const skein = await openSide("skein", 1, { clients: 1 });
    sides.push(skein);
    const docker = await openSide("docker", 1, { clients: 1 });
    sides.push(docker);
    return [
      ...(await overlaySamples(skein, docker)),
      ...(await nameSamples(skein, docker)),
      ...(await meshSamples(skein)),
    ];
  } finally {
    for (const side of sides) {
      const left = await side.close();
      if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
    }
  }
}
