/**
 * One service under 32 connections, by its virtual address from inside a task and by the mesh of every host,
 * while it is updated, drained and scaled in: no request may fail. Edge: to the lab.
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type HeavyLoadOptions, type HeavyResult, startHeavyLoad } from "./heavy-load.js";
import type { Lab } from "./lab.js";
import type { LabHost } from "./lab-host.js";
import {
  call,
  containerOf,
  createService,
  isUp,
  nodeOf,
  pidOf,
  serviceSpec,
  tasks,
  until,
  untilNodes,
  untilRunning,
} from "./lab-swarm.js";
import { isOver, whenItAnswers } from "./network-drill.js";
import { run } from "./shell.js";

export type SteadyChange = "rolling update" | "drain" | "scale-down";
export const STEADY_CHANGES: readonly SteadyChange[] = ["rolling update", "drain", "scale-down"];

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, HERE.includes("/dist/") ? "../../../.." : "../../..");
const SERVER = "/skein/dist/test/support/lab/keeping-server-main.js";
const NAME = "steady";
const CLIENT = "steadyclient";
const PORT = 8195;
const REPLICAS = 3;
const SETTLE_MS = 90_000;
/** A server of ours says farewell for eight seconds at most. */
const GRACE_MS = 15_000;

/** The server's program and what it needs of the machine, read only. */
function mounts(): object[] {
  const program = dirname(process.execPath);
  const folders = ["/usr", "/lib", "/lib64", ...(program.startsWith("/usr/") ? [] : [program])];
  const own = folders.map((path) => ({ Type: "bind", Source: path, Target: path, ReadOnly: true }));
  return [...own, { Type: "bind", Source: ROOT, Target: "/skein", ReadOnly: true }];
}

export class SteadyLoad {
  readonly #lab: Lab;
  readonly #asked: LabHost;

  private constructor(lab: Lab, asked: LabHost) {
    this.#lab = lab;
    this.#asked = asked;
  }

  /** @param asked a manager; the client's task is on its node, which is never drained. */
  static async raise(lab: Lab, asked: LabHost): Promise<SteadyLoad> {
    const Name = "steady-net";
    const { Id } = await call<{ Id: string }>(asked, "POST", "/networks/create", { Name, Driver: "overlay" });
    const ports = [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: PORT, PublishMode: "ingress" }];
    const command = [process.execPath, SERVER];
    const spec = whenItAnswers(
      serviceSpec({ name: NAME, replicas: REPLICAS, command, networks: [Id], ports }),
    );
    const template = spec["TaskTemplate"] as { ContainerSpec: object };
    const ContainerSpec = { ...template.ContainerSpec, Mounts: mounts(), StopGracePeriod: GRACE_MS * 1e6 };
    await call(asked, "POST", "/services/create", {
      ...spec,
      TaskTemplate: { ...template, ContainerSpec },
      UpdateConfig: { Parallelism: 1, Order: "start-first", Monitor: 1_000_000, FailureAction: "pause" },
    });
    await untilRunning(asked, NAME, REPLICAS, SETTLE_MS);
    await createService(asked, {
      name: CLIENT,
      networks: [Id],
      constraints: [`node.hostname==${asked.name}`],
    });
    await untilRunning(asked, CLIENT, 1);
    const steady = new SteadyLoad(lab, asked);
    for (const where of [await steady.#inside(), steady.#outside()])
      await run("nsenter", [where, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65000"]);
    return steady;
  }

  /** @returns what came of the load by virtual address and by mesh. */
  async during(
    change: SteadyChange,
    options: HeavyLoadOptions,
  ): Promise<Record<"vip" | "mesh", HeavyResult>> {
    const mesh = this.#lab.hosts.map(({ address }) => `http://${address}:${PORT}/`);
    const loads = [
      await startHeavyLoad(await this.#inside(), [`http://${await this.#virtualIp()}:8080/`], options),
      await startHeavyLoad(this.#outside(), mesh, options),
    ];
    let results: HeavyResult[] = [];
    try {
      await this.#carryOut(change);
      await new Promise((wake) => setTimeout(wake, 500)); // what the last change broke shows here
    } finally {
      results = await Promise.all(loads.map((load) => load.stop()));
    }
    const none = { requests: 0, failures: ["no load"] };
    return { vip: results[0] ?? none, mesh: results[1] ?? none };
  }

  async #carryOut(change: SteadyChange): Promise<void> {
    if (change === "rolling update") {
      await this.#update((spec) => {
        const template = spec["TaskTemplate"] as { ForceUpdate?: number };
        return { TaskTemplate: { ...template, ForceUpdate: (template.ForceUpdate ?? 0) + 1 } };
      });
      await until("the update is completed", SETTLE_MS, async () => {
        const { UpdateStatus } = await call<{ UpdateStatus?: { State: string } }>(
          this.#asked,
          "GET",
          `/services/${NAME}`,
        );
        return UpdateStatus?.State === "completed" ? true : undefined;
      });
    } else if (change === "drain") {
      const victim = await this.#servingHost();
      await this.#setAvailability(victim, "drain");
      await this.#settled(REPLICAS);
      await this.#setAvailability(victim, "active");
    } else {
      await this.#update(() => ({ Mode: { Replicated: { Replicas: 1 } } }));
      await this.#settled(1);
      await this.#update(() => ({ Mode: { Replicated: { Replicas: REPLICAS } } }));
    }
    await this.#settled(REPLICAS);
  }

  async #settled(count: number): Promise<void> {
    let last = "";
    await until(
      `${NAME} has ${count} tasks and none that is leaving`,
      SETTLE_MS,
      async () => {
        const all = await tasks(this.#asked, NAME);
        last = all.map(({ DesiredState, Status }) => `${DesiredState}/${Status.State}`).join(", ");
        const left = all.filter((task) => !isUp(task) && !isOver(task));
        return all.filter(isUp).length === count && left.length === 0 ? true : undefined;
      },
      () => last,
    );
  }

  /** One with a task, but not the client's. */
  async #servingHost(): Promise<LabHost> {
    const serving = new Set((await tasks(this.#asked, NAME)).filter(isUp).map(({ NodeID }) => NodeID));
    const others = this.#lab.hosts.filter((host) => host !== this.#asked);
    for (const host of others) if (serving.has((await nodeOf(host, this.#asked)).ID)) return host;
    throw new Error(`all of ${NAME} is on ${this.#asked.name}`);
  }

  async #setAvailability(host: LabHost, Availability: string): Promise<void> {
    const { ID, Version, Spec } = await nodeOf(host, this.#asked);
    const path = `/nodes/${ID}/update?version=${Version.Index}`;
    await call(this.#asked, "POST", path, { ...Spec, Availability });
    await untilNodes(
      this.#asked,
      `${host.name} is ${Availability}`,
      (all) => all.find((node) => node.ID === ID)?.Spec.Availability === Availability,
    );
  }

  async #update(edit: (spec: Record<string, unknown>) => object): Promise<void> {
    const path = `/services/${NAME}`;
    const { Version, Spec } = await call<{ Version: { Index: number }; Spec: Record<string, unknown> }>(
      this.#asked,
      "GET",
      path,
    );
    await call(this.#asked, "POST", `${path}/update?version=${Version.Index}`, { ...Spec, ...edit(Spec) });
  }

  async #inside(): Promise<string> {
    const [task] = await untilRunning(this.#asked, CLIENT, 1);
    if (task === undefined) throw new Error("untilRunning() answers as many as asked for");
    return `--net=/proc/${await pidOf(this.#asked, containerOf(task))}/ns/net`;
  }

  #outside(): string {
    const [client] = this.#lab.clients;
    if (client === undefined) throw new Error("the lab needs a client");
    return `--net=/run/netns/${client.netns}`;
  }

  async #virtualIp(): Promise<string> {
    const { Endpoint } = await call<{ Endpoint: { VirtualIPs: { Addr: string }[] } }>(
      this.#asked,
      "GET",
      `/services/${NAME}`,
    );
    return Endpoint.VirtualIPs[0]?.Addr.split("/")[0] ?? "";
  }
}

/** @returns words for whatever failed; empty: nothing did, and there was load. */
export function failuresOf(results: Readonly<Record<"vip" | "mesh", HeavyResult>>): string[] {
  return Object.entries(results).flatMap(([way, { requests, failures }]) => [
    ...failures.map((words) => `${way}: ${words}`),
    ...(requests < 100 ? [`${way}: only ${requests} requests`] : []),
  ]);
}
