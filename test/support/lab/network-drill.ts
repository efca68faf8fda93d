/**
 * A cluster with services whose network is tried: a cable is pulled and put back, and then nothing may be
 * stale anywhere. Edge: to the lab.
 * Invariant of what is asked: names are asked from inside tasks of every node; an answer counts by the
 * task that gave it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { patient } from "../patience.js";
import type { Lab } from "./lab.js";
import type { LabHost } from "./lab-host.js";
import { type SeenTask, seenTasks } from "./lab-services.js";
import {
  call,
  containerOf,
  HTTPD,
  isUp,
  nodeOf,
  nodes,
  pidOf,
  type SwarmTask,
  serviceSpec,
  until,
} from "./lab-swarm.js";
import { attempt } from "./shell.js";

/** `every` has a task on each node. */
export const DRILL_PORTS = { web: 8191, every: 8192 } as const;
type ServiceName = keyof typeof DRILL_PORTS;
const SERVICES: readonly ServiceName[] = ["web", "every"];
const NETWORK = "drill";
/** Every backend must have answered by then; they take turns, so that a few times their number is plenty. */
const ASKS_MAX = 40;
/** A task is called by the head of its id, unless its service says otherwise. */
const HOSTNAME_LENGTH = 12;
const WHOLE_MS = 60_000;
/** The target of the network's design for `net verify`, once the cluster is whole. */
export const VERIFY_MS = 2_000;

export interface Drill {
  /** Its cable is pulled. */
  readonly victim: LabHost;
  /** A manager that keeps its cable. */
  readonly asked: LabHost;
  readonly pulledMs: number;
  /** How many tasks `web` is to have from then on: asked for while the cable is out. */
  readonly replicas: number;
  /** Whose manager is killed meanwhile; it is started again by its daemon. */
  readonly killed?: LabHost;
}

export const isOver = ({ Status }: SwarmTask): boolean =>
  ["shutdown", "complete", "failed", "rejected", "remove", "orphaned"].includes(Status.State);

/** Adds what makes a task ready only when it answers. */
export function whenItAnswers(spec: Record<string, unknown>): Record<string, unknown> {
  const template = spec["TaskTemplate"] as { ContainerSpec: object }; // as serviceSpec makes it
  const Test = ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"];
  const Healthcheck = { Test, Interval: 500e6, Timeout: 5e9, Retries: 10 };
  return {
    ...spec,
    TaskTemplate: { ...template, ContainerSpec: { ...template.ContainerSpec, Healthcheck } },
  };
}

export async function raiseDrillServices(asked: LabHost, replicas: number): Promise<void> {
  await call(asked, "POST", "/networks/create", { Name: NETWORK, Driver: "overlay" });
  for (const name of SERVICES) {
    const PublishedPort = DRILL_PORTS[name];
    const ports = [{ Protocol: "tcp", TargetPort: 8080, PublishedPort, PublishMode: "ingress" }];
    const wish = { name, replicas, command: HTTPD, networks: [NETWORK], ports };
    const mode = name === "every" ? { Mode: { Global: {} } } : {};
    await call(asked, "POST", "/services/create", { ...whenItAnswers(serviceSpec(wish)), ...mode });
  }
}

/** A manager that has just joined has no vote yet: two are no majority until it has. */
export async function untilVoters(asked: LabHost, count: number): Promise<void> {
  let last = "";
  await until(
    `${count} managers have a vote`,
    WHOLE_MS,
    async () => {
      const { body, json } = await asked.api("GET", "/skein/v1/debug/raft");
      last = body;
      const members = (json as { members?: { learner: boolean; reachable: boolean }[] } | undefined)?.members;
      const voters = (members ?? []).filter(({ learner, reachable }) => !learner && reachable);
      return voters.length === count ? true : undefined;
    },
    () => last,
  );
}

/** All nodes ready, as many tasks as wished, none else left. */
export async function untilWhole(lab: Lab, asked: LabHost, replicas: number): Promise<void> {
  const counts = { web: replicas, every: lab.hosts.length };
  let last = "";
  const whole = async (): Promise<true | undefined> => {
    const all = await nodes(asked);
    last = all.map(({ Description, Status }) => `${Description.Hostname} ${Status.State}`).join(", ");
    if (all.some(({ Status }) => Status.State !== "ready")) return undefined;
    for (const name of SERVICES) {
      const known = await seenTasks(asked, name);
      const left = known.filter((task) => !isUp(task) && !isOver(task));
      const up = known.filter(isUp);
      const leaving = left.map(({ DesiredState, Status }) => `${DesiredState}/${Status.State}`);
      last += `; ${name}: ${up.length} up, ${leaving}`;
      if (up.length !== counts[name] || left.length > 0) return undefined;
    }
    return true;
  };
  // while a leader is looked for, managers refuse
  const tried = (): Promise<true | undefined> =>
    whole().catch((error: Error) => {
      last = error.message;
      return undefined;
    });
  await until("the cluster is whole", WHOLE_MS, tried, () => last);
}

/** Pulls the cable, changes what there is meanwhile, puts it back and waits for the cluster to be whole. */
export async function carryOutDrill(lab: Lab, drill: Drill): Promise<void> {
  const { victim, asked, pulledMs, replicas, killed } = drill;
  const pulledAt = performance.now();
  await victim.partition();
  try {
    killed?.killManager();
    await scaleWeb(asked, replicas);
    await sleep(Math.max(0, pulledMs - (performance.now() - pulledAt)));
  } finally {
    await victim.heal();
  }
  await untilWhole(lab, asked, replicas);
}

/** Asked again until there is a leader, who lets nobody change what has changed since. */
export async function scaleWeb(asked: LabHost, Replicas: number): Promise<void> {
  let last = "";
  await until(
    `web is told to have ${Replicas} tasks`,
    WHOLE_MS,
    async () => {
      const seen = await asked.api("GET", "/services/web", undefined, { timeoutMs: 5_000 }).catch(String);
      if (typeof seen === "string" || seen.status !== 200) {
        last = typeof seen === "string" ? seen : seen.body;
        return undefined;
      }
      const { Version, Spec } = seen.json as { Version: { Index: number }; Spec: object }; // Engine API
      const path = `/services/web/update?version=${Version.Index}`;
      const wish = { ...Spec, Mode: { Replicated: { Replicas } } };
      const said = await asked.api("POST", path, wish, { timeoutMs: 5_000 }).catch(String);
      last = typeof said === "string" ? said : said.body;
      return typeof said !== "string" && said.status === 200 ? true : undefined;
    },
    () => last,
  );
}

/** @returns what is wrong; empty: `net verify` said yes in time, and nothing is stale. */
export async function problemsAfter(lab: Lab, asked: LabHost): Promise<string[]> {
  return [...(await verifyProblems(lab, asked)), ...(await staleThings(lab, asked))];
}

async function verifyProblems(lab: Lab, asked: LabHost): Promise<string[]> {
  const startMs = performance.now();
  const { status, body, json } = await asked.api("GET", "/skein/v1/net/verify");
  const tookMs = Math.round(performance.now() - startMs);
  const verdict = json as { Good?: boolean; Nodes?: { Hostname: string; Problems: string[] }[] } | undefined;
  const told = (verdict?.Nodes ?? []).map(({ Hostname, Problems }) => `${Hostname}: ${Problems.join(", ")}`);
  const problems: string[] = [];
  if (verdict?.Good !== true || told.length !== lab.hosts.length)
    problems.push(`net verify on ${asked.name}: ${status} ${told.length > 0 ? told.join("; ") : body}`);
  if (tookMs > patient(VERIFY_MS)) problems.push(`net verify on ${asked.name} took ${tookMs} ms`);
  return problems;
}

async function staleThings(lab: Lab, asked: LabHost): Promise<string[]> {
  const running = new Map<ServiceName, readonly SeenTask[]>();
  for (const name of SERVICES) running.set(name, (await seenTasks(asked, name)).filter(isUp));
  const problems: string[] = [];
  for (const host of lab.hosts) {
    const { ID } = await nodeOf(host, asked);
    const source = running.get("every")?.find(({ NodeID }) => NodeID === ID);
    if (source === undefined) {
      problems.push(`no task of every runs on ${host.name}`);
      continue;
    }
    const inside = `--net=/proc/${await pidOf(host, containerOf(source))}/ns/net`;
    for (const [name, all] of running) {
      const vip = await virtualIp(asked, name);
      const wanted = all.map(addressOf).sort();
      const names = { [`tasks.${name}`]: wanted, [name]: [vip] };
      for (const [asking, expected] of Object.entries(names)) {
        const found = await lookUp(inside, asking);
        if (found.join() !== expected.join())
          problems.push(`${host.name}: ${asking} is ${found.join(" ")}, must be ${expected.join(" ")}`);
      }
      const mesh = `http://${host.address}:${DRILL_PORTS[name]}`;
      const client = `--net=/run/netns/${lab.clients[0]?.netns}`;
      problems.push(
        ...(await wrongBackends(`${host.name}: ${name} by ${vip}`, inside, `http://${vip}:8080`, all)),
      );
      problems.push(...(await wrongBackends(`${host.name}: ${name} by the mesh`, client, mesh, all)));
      for (const address of wanted) {
        const task = all.filter((each) => addressOf(each) === address);
        const url = `http://${address}:8080`;
        problems.push(...(await wrongBackends(`${host.name}: ${name} at ${address}`, inside, url, task)));
      }
    }
  }
  return problems;
}

const addressOf = ({ NetworksAttachments }: SeenTask): string =>
  NetworksAttachments?.find(({ Network }) => Network.Spec?.Name === NETWORK)?.Addresses[0]?.split("/")[0] ??
  "";

async function virtualIp(asked: LabHost, service: string): Promise<string> {
  const { Id } = await call<{ Id: string }>(asked, "GET", `/networks/${NETWORK}`);
  const { Endpoint } = await call<{ Endpoint: { VirtualIPs: { NetworkID: string; Addr: string }[] } }>(
    asked,
    "GET",
    `/services/${service}`,
  );
  return Endpoint.VirtualIPs.find(({ NetworkID }) => NetworkID === Id)?.Addr.split("/")[0] ?? "";
}

async function lookUp(namespace: string, name: string): Promise<string[]> {
  const { stdout } = await attempt("nsenter", [
    namespace,
    "busybox",
    "nslookup",
    "-type=a",
    name,
    "127.0.0.11",
  ]);
  return [...stdout.matchAll(/^Address: (\d+\.\d+\.\d+\.\d+)$/gm)].map(([, address]) => address ?? "").sort();
}

/** Connects until each of the tasks has answered, and a few times more: nobody else may. */
async function wrongBackends(
  what: string,
  namespace: string,
  base: string,
  tasks: readonly SeenTask[],
): Promise<string[]> {
  const unseen = new Set(tasks.map(({ ID }) => ID.slice(0, HOSTNAME_LENGTH)));
  const known = new Set(unseen);
  const curl = [namespace, "curl", "-sS", "--max-time", "5", `${base}/cgi-bin/hello`];
  for (let count = 0; count < ASKS_MAX && (unseen.size > 0 || count < 2 * known.size); count += 1) {
    const { code, stdout, stderr } = await attempt("nsenter", curl);
    const answered = /^host: (\S+)/m.exec(stdout)?.[1] ?? "";
    if (code !== 0) return [`${what}: connection ${count + 1} failed: ${stderr.trim()}`];
    if (!known.has(answered))
      return [`${what}: ${answered} answered, which is none of ${[...known].join(" ")}`];
    unseen.delete(answered);
  }
  return [...unseen].map((missed) => `${what}: ${missed} never answered in ${ASKS_MAX} connections`);
}
