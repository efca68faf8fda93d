/**
 * How the costs of a packet, of a connection and of a change grow with services, backends and nodes: two
 * hosts with real sandboxes and a cluster that exists in the resources alone. Edge: to the kernel and tools.
 */
import { performance } from "node:perf_hooks";
import type { TaskSandbox } from "../net-overlay/network-plane.js";
import {
  EndpointResource,
  EndpointState,
  NetworkResource,
  type NodeResource,
  PeerResource,
  ServiceResource,
} from "../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../proto/gen/skein/v1/objects.js";
import { createTestWorld, type TestHost, type TestWorld } from "../test/support/network-world.js";
import * as tools from "./net-tools.js";
import type { Sample } from "./report.js";

const ROUNDS = 3;
const CHANGES = 60;
const NETWORK = "net1";
const PORT = 7000;
const PUBLISHED = 8080;
/** Host numbers of the test's own hosts. */
const OWN_HOSTS = 2;

interface Size {
  readonly services: number;
  /** Of the service that is asked. */
  readonly backends: number;
  readonly nodes: number;
  /** Of each other service. */
  readonly endpointsEach: number;
}

const SMALL: Size = { services: 1, backends: 2, nodes: 3, endpointsEach: 2 };

const VIP = "10.16.0.2";
/** 10.16.0.0/12, counted. */
const addressOf = (index: number): string => `10.${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;

class World {
  readonly #world: TestWorld;
  #revision = 0;
  #server: { readonly task: EndpointResource; readonly sandbox: TaskSandbox } | undefined;
  #client: TaskSandbox | undefined;

  constructor(world: TestWorld) {
    this.#world = world;
  }

  host(index: number): TestHost {
    const host = this.#world.hosts[index];
    if (host === undefined) throw new Error(`no host ${index}`);
    return host;
  }

  get clientNetns(): string {
    return this.#client?.netnsPath ?? "";
  }

  get outsideNetns(): string {
    return this.#world.clientNetns;
  }

  get serverNetns(): string {
    return this.#server?.sandbox.netnsPath ?? "";
  }

  /** The server on the second host, the client on the first. */
  async populate(): Promise<void> {
    await this.tell(SMALL);
    const attach = async (index: number, id: string, address: string): Promise<TaskSandbox> => {
      const host = this.host(index);
      const task = Task.fromPartial({
        id,
        serviceId: "svc0",
        nodeId: host.nodeId,
        networks: [{ networkId: NETWORK, addresses: [`${address}/12`] }],
        endpoint: { ports: [{ targetPort: PORT, publishedPort: PUBLISHED }] },
      });
      return await host.plane.attachTask(task, { hostname: id, extraHosts: [] });
    };
    const sandbox = await attach(1, "server", "10.16.0.10");
    this.#client = await attach(0, "client", "10.16.0.11");
    this.#server = {
      sandbox,
      task: EndpointResource.fromPartial({
        taskId: "server",
        serviceId: "svc0",
        serviceName: "svc0",
        nodeId: this.host(1).nodeId,
        state: EndpointState.READY,
        attachments: [{ networkId: NETWORK, addresses: ["10.16.0.10/12"] }],
        gatewayAddress: sandbox.gatewayAddress,
      }),
    };
    await this.tell(SMALL);
  }

  async tell(size: Size): Promise<void> {
    this.#revision += 1;
    const changes = {
      complete: true,
      revision: this.#revision,
      upserts: this.resources(size),
      removals: [],
    };
    for (const { plane } of this.#world.hosts) await plane.apply(changes);
  }

  async change(index: number, endpoint: EndpointResource): Promise<void> {
    this.#revision += 1;
    const upserts: NodeResource[] = [{ resource: { $case: "endpoint", value: endpoint } }];
    await this.host(index).plane.apply({ complete: false, revision: this.#revision, upserts, removals: [] });
  }

  /** One host's daemon starts anew and is told everything. */
  async restart(index: number, size: Size): Promise<void> {
    const host = this.host(index);
    await host.restart();
    this.#revision += 1;
    await host.plane.apply({
      complete: true,
      revision: this.#revision,
      upserts: this.resources(size),
      removals: [],
    });
  }

  close(): Promise<void> {
    return this.#world.close();
  }

  /** Of the services that exist in the resources alone. */
  endpointOf(service: number, slot: number, { nodes, endpointsEach }: Size): EndpointResource {
    const index = 1_000 + service * endpointsEach + slot;
    const number = 3 + (index % Math.max(1, nodes - OWN_HOSTS));
    return EndpointResource.fromPartial({
      taskId: `task${service}-${slot}`,
      serviceId: `svc${service}`,
      serviceName: `svc${service}`,
      nodeId: `far${number}`,
      state: EndpointState.READY,
      attachments: [{ networkId: NETWORK, addresses: [`${addressOf(index)}/12`] }],
      gatewayAddress: `100.${64 + (number >> 8)}.${number & 255}.${2 + (index % 250)}`,
      slot: slot + 1,
    });
  }

  resources(size: Size): NodeResource[] {
    const ipam = [{ subnet: "10.16.0.0/12", gateway: "10.16.0.1" }];
    const all: NodeResource[] = [
      {
        resource: {
          $case: "network",
          value: NetworkResource.fromPartial({ id: NETWORK, name: "front", vni: 4097, ipam }),
        },
      },
    ];
    const peer = (nodeId: string, number: number, dataPathAddress: string): void => {
      const value = PeerResource.fromPartial({
        nodeId,
        hostname: nodeId,
        number,
        dataPathAddress,
        vxlanUdpPort: 4789,
      });
      all.push({ resource: { $case: "peer", value } });
    };
    for (const { nodeId, number, address } of this.#world.hosts) peer(nodeId, number, address);
    for (let number = 3; number <= size.nodes; number++)
      peer(`far${number}`, number, `10.98.${number >> 8}.${number & 255}`);
    for (let service = 0; service < size.services; service++) {
      const vip = service === 0 ? VIP : addressOf(500_000 + service);
      const value = ServiceResource.fromPartial({
        id: `svc${service}`,
        name: `svc${service}`,
        virtualIps: [{ networkId: NETWORK, address: `${vip}/12` }],
        ports: [{ targetPort: PORT, publishedPort: service === 0 ? PUBLISHED : 20_000 + service }],
      });
      all.push({ resource: { $case: "service", value } });
      if (service > 0)
        for (let slot = 0; slot < size.endpointsEach; slot++) {
          const endpoint = this.endpointOf(service, slot, size);
          all.push({ resource: { $case: "endpoint", value: endpoint } });
        }
    }
    const server = this.#server?.task;
    if (server !== undefined) {
      // the server's host must know the way back
      const attachments = [{ networkId: NETWORK, addresses: ["10.16.0.11/12"] }];
      const { nodeId } = this.host(0);
      const value = EndpointResource.fromPartial({ taskId: "client", nodeId, attachments });
      all.push({ resource: { $case: "endpoint", value } });
    }
    if (server !== undefined)
      for (let slot = 0; slot < size.backends; slot++) {
        // all of them lead to the one task: what is measured is the choice
        const value = { ...server, taskId: slot === 0 ? "server" : `server${slot}` };
        all.push({ resource: { $case: "endpoint", value } });
      }
    return all;
  }
}

const GROWN: readonly { readonly name: string; readonly size: Size }[] = [
  { name: "1 to 1 000 services", size: { ...SMALL, services: 1_000 } },
  { name: "2 to 200 backends", size: { ...SMALL, backends: 200 } },
  { name: "3 to 1 000 nodes", size: { ...SMALL, nodes: 1_000 } },
];
const KINDS = [
  { kind: "kept", name: "a request" },
  { kind: "opened", name: "a connection" },
] as const;

async function flatSamples(world: World): Promise<readonly Sample[]> {
  const ways = [
    { name: "VIP", netns: world.clientNetns, address: VIP, port: PORT },
    { name: "mesh", netns: world.outsideNetns, address: world.host(0).address, port: PUBLISHED },
  ];
  const shares = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, size } of GROWN) {
      const taken: Record<string, number[]> = {};
      for (const [i, state] of [SMALL, size, SMALL].entries()) {
        await world.tell(state);
        for (const way of ways)
          for (const { kind } of KINDS) {
            const { p10 } = await tools.latency(way.netns, way.address, way.port, kind);
            const values = taken[`${way.name} ${kind}`] ?? [];
            values[i] = p10;
            taken[`${way.name} ${kind}`] = values;
          }
      }
      for (const way of ways)
        for (const { kind, name: what } of KINDS) {
          const [before = 0, grown = 0, after = 0] = taken[`${way.name} ${kind}`] ?? [];
          const key = `${what} through the ${way.name}, ${name}: flat (+- 10 %)`;
          shares.set(key, [...(shares.get(key) ?? []), (2 * grown) / (before + after)]);
          console.error(`  ${key}: ${before} ${grown} ${after} us`);
        }
    }
  }
  return [...shares].map(([name, values]) => ({ name, unit: "x", values, goal: 1.1, inclusive: true }));
}

async function changeSamples(world: World): Promise<readonly Sample[]> {
  const size: Size = { ...SMALL, services: 1_000, endpointsEach: 10 };
  await world.tell(size);
  const changeMs: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const endpoint = world.endpointOf(1 + ((i >> 1) % 999), 3, size);
    const state = i % 2 === 0 ? EndpointState.DRAINING : EndpointState.READY;
    const startedAt = performance.now();
    await world.change(0, { ...endpoint, state });
    changeMs.push(performance.now() - startedAt);
  }
  const wholeMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    await world.restart(0, size);
    wholeMs.push(performance.now() - startedAt);
    console.error(`  whole state again: ${wholeMs.at(-1)} ms`);
  }
  return [
    {
      name: "one endpoint change at 1 000 services with 10 000 endpoints: <= 5 ms",
      unit: "ms",
      values: changeMs,
      goal: 5,
      inclusive: true,
    },
    { name: "full re-apply: <= 2 s", unit: "ms", values: wholeMs, goal: 2_000, inclusive: true },
  ];
}

export async function netGrowthSamples(): Promise<readonly Sample[]> {
  const world = new World(await createTestWorld(OWN_HOSTS));
  try {
    await world.populate();
    const server = await tools.serveEcho(world.serverNetns, PORT);
    try {
      return [...(await changeSamples(world)), ...(await flatSamples(world))];
    } finally {
      server.close();
    }
  } finally {
    await world.close();
  }
}
