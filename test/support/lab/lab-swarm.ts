/**
 * A swarm in a lab: formed, driven and observed through the hosts' APIs. Edge: to the lab.
 * Everything that waits polls until a deadline and says on failure what it saw last.
 */
import { existsSync, readFileSync } from "node:fs";
import { patient } from "../patience.js";
import { busyboxImage } from "./busybox-image.js";
import type { Lab } from "./lab.js";
import type { HttpAnswer, LabHost } from "./lab-host.js";

export const IMAGE = "skein-hello:latest";
/** A task that answers on 8080, logs each request, and ends at once when asked to. */
export const HTTPD = ["httpd", "-f", "-vv", "-p", "8080", "-h", "/www"];
/** A task that stays and writes what it is told to its log. */
export const SLEEPER = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"];

export interface SwarmTask {
  readonly ID: string;
  readonly Slot?: number;
  readonly NodeID?: string;
  readonly DesiredState: string;
  readonly Status: {
    readonly State: string;
    readonly Message?: string;
    readonly Err?: string;
    readonly ContainerStatus?: {
      readonly ContainerID?: string;
      readonly PID?: number;
      readonly ExitCode?: number;
    };
  };
}

export interface SwarmNode {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly Spec: { readonly Role: string; readonly Availability: string };
  readonly Description: { readonly Hostname: string };
  readonly Status: { readonly State: string; readonly Message?: string };
  readonly ManagerStatus?: { readonly Leader?: boolean; readonly Reachability?: string };
}

export interface LabContainer {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly State: string;
  readonly Labels: Readonly<Record<string, string>>;
}

export interface ServiceWish {
  readonly name: string;
  readonly command?: readonly string[];
  readonly image?: string;
  readonly replicas?: number;
  /** Placement constraints such as `node.hostname==host2`. */
  readonly constraints?: readonly string[];
  readonly networks?: readonly string[];
  readonly ports?: readonly Readonly<Record<string, unknown>>[];
  /** Milliseconds between a task's end and its successor. @default 0 */
  readonly restartDelayMs?: number;
  readonly restart?: "any" | "none" | "on-failure";
}

/** @throws {Error} naming what did not come true, and what `probe` saw last. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined>,
  seen?: () => string,
): Promise<T> {
  const deadline = Date.now() + patient(timeoutMs);
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() >= deadline)
      throw new Error(
        `${what}: not within ${patient(timeoutMs)} ms${seen === undefined ? "" : `; last seen: ${seen()}`}`,
      );
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

/** @throws {Error} with the answer when the status is 400 or more. */
export async function call<T>(host: LabHost, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await host.api(method, path, body);
  if (answer.status >= 400)
    throw new Error(`${method} ${path} on ${host.name} answered ${answer.status}: ${answer.body.trim()}`);
  return answer.json as T; // the caller names the shape that the Engine API documents
}

export const messageIn = (answer: HttpAnswer): string =>
  (answer.json as { message?: string } | undefined)?.message ?? answer.body;

export async function initSwarm(host: LabHost): Promise<void> {
  await call(host, "POST", "/swarm/init", { AdvertiseAddr: host.address, ListenAddr: "0.0.0.0:2377" });
}

export function join(host: LabHost, at: LabHost, token: string): Promise<HttpAnswer> {
  const addresses = {
    AdvertiseAddr: host.address,
    ListenAddr: "0.0.0.0:2377",
    RemoteAddrs: [`${at.address}:2377`],
  };
  return host.api("POST", "/swarm/join", { ...addresses, JoinToken: token });
}

export async function tokens(host: LabHost): Promise<{ Manager: string; Worker: string }> {
  return (await call<{ JoinTokens: { Manager: string; Worker: string } }>(host, "GET", "/swarm")).JoinTokens;
}

export function nodes(host: LabHost): Promise<readonly SwarmNode[]> {
  return call(host, "GET", "/nodes");
}

/**
 * Starts all hosts; the first `managers` of them become managers, the others up to `members` workers;
 * the image is on each.
 * @default members: all hosts
 */
export async function formSwarm(lab: Lab, options: { managers: number; members?: number }): Promise<void> {
  const count = options.members ?? lab.hosts.length;
  await Promise.all(lab.hosts.map((host) => host.start()));
  const first = lab.host(1);
  await initSwarm(first);
  const { Manager, Worker } = await tokens(first);
  for (const [index, host] of lab.hosts.entries()) {
    if (index === 0 || index >= count) continue;
    const answer = await join(host, first, index < options.managers ? Manager : Worker);
    if (answer.status !== 200) throw new Error(`${host.name} could not join: ${answer.body}`);
  }
  const image = await busyboxImage();
  await Promise.all(lab.hosts.map((host) => call(host, "POST", "/images/load?quiet=1", image)));
  await untilNodes(
    first,
    "all nodes ready",
    (all) => all.length === count && all.every((node) => node.Status.State === "ready"),
  );
}

export async function untilNodes(
  host: LabHost,
  what: string,
  test: (all: readonly SwarmNode[]) => boolean,
  timeoutMs = 20_000,
): Promise<readonly SwarmNode[]> {
  let last = "";
  return until(
    what,
    timeoutMs,
    async () => {
      const answer = await host.api("GET", "/nodes");
      last = answer.body;
      const all = answer.status === 200 ? (answer.json as readonly SwarmNode[]) : [];
      return test(all) ? all : undefined;
    },
    () => last,
  );
}

export async function nodeOf(host: LabHost, asked: LabHost): Promise<SwarmNode> {
  const found = (await nodes(asked)).find(
    (node) => node.Description.Hostname === host.name && node.Status.State !== "down",
  );
  if (found === undefined) throw new Error(`${host.name} is no node of the swarm`);
  return found;
}

export async function leader(lab: Lab, ask: LabHost): Promise<LabHost> {
  const all = await untilNodes(ask, "a leader", (list) =>
    list.some((node) => node.ManagerStatus?.Leader === true),
  );
  const name = all.find((node) => node.ManagerStatus?.Leader === true)?.Description.Hostname;
  const host = lab.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) throw new Error(`the leader ${name} is no host of the lab`);
  return host;
}

export function serviceSpec(wish: ServiceWish): Record<string, unknown> {
  return {
    Name: wish.name,
    TaskTemplate: {
      ContainerSpec: {
        Image: wish.image ?? IMAGE,
        Command: wish.command ?? SLEEPER,
        StopGracePeriod: 1_000_000_000,
      },
      RestartPolicy: {
        Condition: wish.restart ?? "any",
        Delay: (wish.restartDelayMs ?? 0) * 1e6,
        MaxAttempts: 0,
      },
      Placement: { Constraints: wish.constraints ?? [] },
      Networks: (wish.networks ?? []).map((Target) => ({ Target })),
    },
    Mode: { Replicated: { Replicas: wish.replicas ?? 1 } },
    ...(wish.ports === undefined ? {} : { EndpointSpec: { Mode: "vip", Ports: wish.ports } }),
  };
}

export async function createService(host: LabHost, wish: ServiceWish): Promise<string> {
  return (await call<{ ID: string }>(host, "POST", "/services/create", serviceSpec(wish))).ID;
}

export async function removeService(host: LabHost, name: string): Promise<void> {
  await call(host, "DELETE", `/services/${name}`);
}

export function tasks(host: LabHost, service: string): Promise<readonly SwarmTask[]> {
  return call(host, "GET", `/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`);
}

export const isUp = (task: SwarmTask): boolean =>
  task.DesiredState === "running" && task.Status.State === "running";

export async function untilTasks(
  host: LabHost,
  service: string,
  what: string,
  test: (all: readonly SwarmTask[]) => boolean,
  timeoutMs = 20_000,
): Promise<readonly SwarmTask[]> {
  let last: readonly SwarmTask[] = [];
  return until(
    `${service}: ${what}`,
    timeoutMs,
    async () => {
      last = await tasks(host, service);
      return test(last) ? last : undefined;
    },
    () =>
      JSON.stringify(last.map((task) => [task.ID, task.Slot, task.NodeID, task.DesiredState, task.Status])),
  );
}

/** @returns the running tasks, once there are as many as wished. */
export async function untilRunning(
  host: LabHost,
  service: string,
  count: number,
  timeoutMs = 20_000,
): Promise<readonly SwarmTask[]> {
  const all = await untilTasks(
    host,
    service,
    `${count} running`,
    (list) => list.filter(isUp).length === count,
    timeoutMs,
  );
  return all.filter(isUp);
}

/** All containers of a host, stopped ones too. */
export function containers(host: LabHost): Promise<readonly LabContainer[]> {
  return call(host, "GET", "/containers/json?all=1");
}

export function containerOf(task: SwarmTask): string {
  const id = task.Status.ContainerStatus?.ContainerID;
  if (id === undefined || id === "") throw new Error(`task ${task.ID} has no container`);
  return id;
}

/** Process id of the container's first process, as its host says. */
export async function pidOf(host: LabHost, containerId: string): Promise<number> {
  return (await call<{ State: { Pid: number } }>(host, "GET", `/containers/${containerId}/json`)).State.Pid;
}

/**
 * When the process started, in clock ticks since boot:
 * tells a process from a later one of the same id. undefined: it is gone.
 */
export function processStart(pid: number): string | undefined {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return undefined;
  return readFileSync(path, "utf8").split(") ")[1]?.split(" ")[19];
}

/** Log lines of a service, task or container, without their frame headers. */
export async function logLines(host: LabHost, path: string): Promise<readonly string[]> {
  const { body } = await host.api("GET", `${path}/logs?stdout=1&stderr=1`);
  return unframed(body).split("\n").filter(Boolean);
}

/** Without the frame headers: eight bytes each, stream, three zeros, length (which may hold a line feed). */
export function unframed(body: string): string {
  let text = "";
  for (let at = 0; at < body.length; at += 1) {
    if (body.charCodeAt(at) <= 2 && body.startsWith("\0\0\0", at + 1)) at += 7;
    else text += body[at];
  }
  return text;
}

/** Whatever a swarm may leave in a host's network namespace. Empty on a host that left. */
export async function networkTraces(host: LabHost): Promise<string[]> {
  const [tables, links, rules, routes] = await Promise.all([
    host.attempt("nft", ["list", "tables"]),
    host.attempt("ip", ["-o", "link"]),
    host.attempt("ip", ["rule"]),
    host.attempt("ip", ["route", "show", "table", "all"]),
  ]);
  const lines = (text: string): string[] =>
    text
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  return [
    ...lines(tables.stdout).filter((line) => line.includes("skein")),
    ...lines(links.stdout)
      .filter((line) => !/^\d+: (lo|eth0)[@:]/.test(line))
      .map((line) => `link ${line}`),
    ...lines(rules.stdout)
      .filter((line) => !/^(0|32766|32767):/.test(line))
      .map((line) => `rule ${line}`),
    ...lines(routes.stdout)
      .filter((line) => /^(100\.64|unreachable|blackhole)|table (?!local)\S/.test(line))
      .map((line) => `route ${line}`),
  ];
}

/**
 * The end of a lab's swarm: every host whose daemon runs leaves, then the lab is closed.
 * @returns what the swarm left on a host, and what could not be removed: a test asserts that it is empty.
 */
export async function dissolve(lab: Lab): Promise<string[]> {
  const left: string[] = [];
  for (const host of lab.hosts.filter(({ daemonPid }) => daemonPid !== undefined)) {
    try {
      await host.api("POST", "/swarm/leave?force=1"); // 503 when it is in none: nothing to leave
      left.push(...(await networkTraces(host)).map((trace) => `${host.name}: ${trace}`));
    } catch (error) {
      left.push(`${host.name} does not leave: ${String(error)}`); // the lab is closed all the same
    }
  }
  return [...left, ...(await lab.close())];
}
