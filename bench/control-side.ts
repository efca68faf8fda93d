/**
 * One side of the control plane's benchmark: three hosts with a swarm of Skein or of Debian's Docker, and what
 * can happen to a host. Edge: to the lab's daemons.
 */
import { join } from "node:path";
import { DockerdPeer } from "../test/support/dockerd-peer.js";
import { busyboxImage } from "../test/support/lab/busybox-image.js";
import { Lab } from "../test/support/lab/lab.js";
import type { LabHost } from "../test/support/lab/lab-host.js";
import { labProcesses } from "../test/support/lab/sweep.js";
import { EngineApi, type Json } from "./engine-api.js";
import { until } from "./swarm-lab.js";

export interface SwarmHost {
  readonly name: string;
  readonly api: EngineApi;
  readonly address: string;
  /** Path of its network namespace. */
  readonly netns: string;
  /** kill -9 of everything on the host: daemons, helpers, containers. */
  kill(): Promise<void>;
  /** Starts the daemon again after `kill`. */
  revive(): Promise<void>;
  /** Pulls its network cable. */
  cut(): Promise<void>;
  heal(): Promise<void>;
}

export interface SwarmSide {
  readonly name: "skein" | "docker";
  readonly hosts: readonly SwarmHost[];
  /** Paths of the network namespaces of machines outside the swarm. */
  readonly clients: readonly string[];
  /** For what a benchmark writes. */
  readonly dir: string;
  /** @returns what could not be removed. */
  close(): Promise<readonly string[]>;
}

/**
 * Docker asks the registry for a tag before each task and falls back to the image it has. One that refuses at
 * once costs it least; a name it cannot look up would cost it seconds.
 */
const REPOSITORY = "127.0.0.1:1/skein-hello";
export const IMAGE = `${REPOSITORY}:latest`;

/** The three hosts have addresses of the same range: each lab has a bridge of its own. */
const HOSTS = 3;

export async function openSide(
  name: "skein" | "docker",
  managers: number,
  options: { readonly clients?: number } = {},
): Promise<SwarmSide> {
  const lab = await Lab.open({ hosts: HOSTS, clients: options.clients ?? 0 });
  const hosts: SwarmHost[] = [];
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<readonly string[]> => {
    for (const { api } of hosts) api.close();
    for (const end of ends) await end();
    return await lab.close();
  };
  try {
    for (const place of lab.hosts) {
      const { host, end } = name === "skein" ? await skeinHost(place) : await dockerHost(place);
      hosts.push(host);
      ends.push(end);
    }
    await formSwarm(hosts, managers);
    const image = await busyboxImage();
    for (const { api } of hosts) {
      await api.load(image);
      await api.call("POST", `/images/skein-hello:latest/tag?repo=${REPOSITORY}&tag=latest`);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const clients = lab.clients.map(({ netns }) => `/run/netns/${netns}`);
  return { name, hosts, clients, dir: lab.dir, close };
}

interface Opened {
  readonly host: SwarmHost;
  readonly end: () => Promise<void>;
}

async function skeinHost(place: LabHost): Promise<Opened> {
  await place.start();
  const host: SwarmHost = {
    name: place.name,
    address: place.address,
    netns: `/run/netns/${place.netns}`,
    api: new EngineApi(place.socketPath),
    kill: () => place.killHost(),
    revive: () => place.start(),
    cut: () => place.partition(),
    heal: () => place.heal(),
  };
  return { host, end: async () => undefined };
}

async function dockerHost(place: LabHost): Promise<Opened> {
  const dir = join(place.dir, "dockerd");
  const open = (): Promise<DockerdPeer> =>
    DockerdPeer.open({
      dir,
      netns: place.netns,
      ownNetns: false,
      daemonArgs: ["--cgroup-parent", `/${place.cgroupParent}`],
    });
  let peer = await open();
  const host: SwarmHost = {
    name: place.name,
    address: place.address,
    netns: `/run/netns/${place.netns}`,
    api: new EngineApi(peer.socketPath),
    kill: async () => {
      for (let round = 0; round < 10; round++) {
        const pids = labProcesses({ dir, prefix: place.cgroupParent });
        if (pids.length === 0) break;
        for (const pid of pids) killQuietly(pid);
        await new Promise((wake) => setTimeout(wake, 20));
      }
    },
    revive: async () => {
      peer = await open();
    },
    cut: () => place.partition(),
    heal: () => place.heal(),
  };
  return { host, end: () => peer.close() };
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // ended meanwhile
  }
}

async function formSwarm(hosts: readonly SwarmHost[], managers: number): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) throw new Error("a swarm needs a host");
  const listen = { ListenAddr: "0.0.0.0:2377" };
  await first.api.call("POST", "/swarm/init", { AdvertiseAddr: first.address, ...listen });
  const tokens = (await first.api.call("GET", "/swarm"))["JoinTokens"] as Json;
  for (const [i, host] of others.entries()) {
    await host.api.call("POST", "/swarm/join", {
      AdvertiseAddr: host.address,
      ...listen,
      RemoteAddrs: [`${first.address}:2377`],
      JoinToken: i + 1 < managers ? tokens["Manager"] : tokens["Worker"],
    });
  }
  await untilReady(first, hosts.length);
}

/** Nodes that are listed twice after a rejoin count once. */
export async function untilReady(manager: SwarmHost, count: number): Promise<void> {
  await until(
    `${count} ready nodes`,
    120_000,
    async () => {
      const nodes = (await manager.api.call("GET", "/nodes")) as unknown as readonly Json[]; // an array
      return nodes.filter((node) => (node["Status"] as Json)["State"] === "ready").length === count;
    },
    50,
  );
}
