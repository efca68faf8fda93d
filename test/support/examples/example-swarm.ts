/**
 * Three hosts, all managers, on which examples of examples/ are built, deployed, broken and removed.
 * Edge: to the lab.
 */
import assert from "node:assert/strict";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Lab } from "../lab/lab.js";
import type { LabHost } from "../lab/lab-host.js";
import { must } from "../lab/lab-services.js";
import {
  call,
  containerOf,
  containers,
  formSwarm,
  isUp,
  nodes,
  pidOf,
  type SwarmTask,
  tasks,
  unframed,
  until,
} from "../lab/lab-swarm.js";
import type { CommandOptions } from "../lab/shell.js";
import { importDebianBase } from "./debian-base.js";
import { buildImage, copyImages } from "./image-moves.js";
import { PackageProxy } from "./package-proxy.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const EXAMPLES = resolve(HERE, HERE.includes("/dist/") ? "../../../.." : "../../..", "examples");

/** Image -> folder of its Dockerfile, in examples/. */
export type ExampleImages = Readonly<Record<string, string>>;

interface ServiceState {
  readonly ID: string;
  readonly Spec: { readonly Name: string };
  readonly ServiceStatus: {
    readonly RunningTasks: number;
    readonly DesiredTasks: number;
    readonly CompletedTasks: number;
  };
  readonly JobStatus?: unknown;
}

export interface Ran {
  readonly code: number;
  readonly output: string;
}

export class ExampleSwarm {
  readonly lab: Lab;

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  /** A swarm whose every host has the images. */
  static async open(images: ExampleImages): Promise<ExampleSwarm> {
    const lab = await Lab.open({ hosts: 3, clients: 1 });
    const swarm = new ExampleSwarm(lab);
    try {
      await formSwarm(lab, { managers: 3 });
      await swarm.#build(images);
    } catch (error) {
      await lab.close();
      throw error;
    }
    return swarm;
  }

  async #build(images: ExampleImages): Promise<void> {
    const [first, ...others] = this.lab.hosts as [LabHost, ...LabHost[]]; // it has three
    await importDebianBase(first.socketPath);
    const proxy = await PackageProxy.open(this.lab);
    try {
      const args = { http_proxy: proxy.url, https_proxy: proxy.url };
      for (const [tag, folder] of Object.entries(images))
        await buildImage(first, { folder: join(EXAMPLES, folder), tag, args });
    } finally {
      await proxy.close();
    }
    await copyImages(first, others, Object.keys(images));
  }

  /** @param name its folder, and the name of its stack. */
  example(name: string): Example {
    return new Example(this, name);
  }

  /** Nothing of the lab may be left. */
  async close(): Promise<void> {
    assert.deepEqual(await this.lab.close(), []);
  }
}

/** One example as a stack of the swarm. */
export class Example {
  readonly lab: Lab;
  readonly name: string;
  readonly folder: string;

  constructor({ lab }: ExampleSwarm, name: string) {
    this.lab = lab;
    this.name = name;
    this.folder = join(EXAMPLES, name);
  }

  /** A host whose daemon runs: any manager answers for the swarm. */
  get asked(): LabHost {
    const found = this.lab.hosts.find(({ daemonPid }) => daemonPid !== undefined);
    if (found === undefined) throw new Error("no host of the lab runs");
    return found;
  }

  async deploy(options: CommandOptions = {}): Promise<string> {
    const file = join(this.folder, "compose.yml");
    const args = ["stack", "deploy", "-c", file, this.name];
    return must(this.asked.skein(args, { timeoutMs: 180_000, ...options }));
  }

  /** Waits until every service has the tasks it wants, healthy; every job has completed. */
  async converged(timeoutMs = 120_000): Promise<void> {
    const filters = encodeURIComponent(
      JSON.stringify({ label: [`com.docker.stack.namespace=${this.name}`] }),
    );
    let seen = "";
    await until(
      `${this.name} runs`,
      timeoutMs,
      async () => {
        const all = await call<ServiceState[]>(this.asked, "GET", `/services?status=1&filters=${filters}`);
        seen = all
          .map(({ Spec, ServiceStatus: { RunningTasks, DesiredTasks, CompletedTasks } }) =>
            [Spec.Name, RunningTasks, DesiredTasks, CompletedTasks].join(" "),
          )
          .join(", ");
        const fine = all.every(
          ({ JobStatus, ServiceStatus: { RunningTasks, DesiredTasks, CompletedTasks } }) =>
            JobStatus === undefined ? RunningTasks === DesiredTasks : CompletedTasks >= 1,
        );
        return all.length > 0 && fine ? true : undefined;
      },
      () => seen,
    ).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await this.#causes()}`);
    });
  }

  async #causes(): Promise<string> {
    const { stdout } = await this.asked.skein(["stack", "ps", "--no-trunc", this.name]);
    return stdout;
  }

  /** The task of a slot that runs. */
  async task(service: string, slot = 1): Promise<SwarmTask> {
    const all = await tasks(this.asked, `${this.name}_${service}`);
    const found = all.find((task) => isUp(task) && (task.Slot ?? 1) === slot);
    if (found === undefined) throw new Error(`no task of ${service}.${slot} runs`);
    return found;
  }

  /** Waits until a healthy task runs in the place of one that was killed. */
  async replaced(service: string, killed: SwarmTask): Promise<void> {
    await until(`${service} runs again`, 60_000, async () => {
      const all = await tasks(this.asked, `${this.name}_${service}`);
      return (
        all.some((task) => isUp(task) && task.Slot === killed.Slot && task.ID !== killed.ID) || undefined
      );
    });
  }

  async hostOf(task: SwarmTask): Promise<LabHost> {
    const node = (await nodes(this.asked)).find(({ ID }) => ID === task.NodeID);
    const host = this.lab.hosts.find(({ name }) => name === node?.Description.Hostname);
    if (host === undefined) throw new Error(`task ${task.ID} is on no host of the lab`);
    return host;
  }

  /** Runs a shell command in a task's container, on whichever host it is. Exit code 125: there is none that runs. */
  async exec(service: string, script: string, slot = 1): Promise<Ran> {
    const { asked } = this;
    const order = { Cmd: ["sh", "-c", script], AttachStdout: true, AttachStderr: true };
    const made = await asked.api("POST", `/containers/${this.name}_${service}.${slot}/exec`, order);
    if (made.status >= 400) return { code: 125, output: made.body };
    const { Id } = made.json as { Id: string }; // Docker's shape
    const { body } = await asked.api("POST", `/exec/${Id}/start`, { Detach: false, Tty: false });
    const ended = await asked.api("GET", `/exec/${Id}/json`);
    const code = (ended.json as { ExitCode?: number } | undefined)?.ExitCode ?? 125;
    return { code, output: unframed(body).trim() };
  }

  /** @throws {Error} with what it wrote when it fails. */
  async must(service: string, script: string, slot = 1): Promise<string> {
    const { code, output } = await this.exec(service, script, slot);
    if (code !== 0) throw new Error(`${service}.${slot}: ${script}: exit ${code}: ${output}`);
    return output;
  }

  /** kill -9 of a container's first process, as when the kernel takes it. */
  async killTask(service: string, slot = 1): Promise<SwarmTask> {
    const task = await this.task(service, slot);
    process.kill(await pidOf(await this.hostOf(task), containerOf(task)), "SIGKILL");
    return task;
  }

  async remove(): Promise<void> {
    await must(this.asked.skein(["stack", "rm", this.name]));
    await until(`${this.name} is gone`, 60_000, async () => {
      const running = this.lab.hosts.filter(({ daemonPid }) => daemonPid !== undefined);
      const left = await Promise.all(running.map((host) => containers(host)));
      return left.flat().some(({ Names }) => Names.some((name) => name.startsWith(`/${this.name}_`)))
        ? undefined
        : true;
    });
  }
}
