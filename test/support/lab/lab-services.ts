/**
 * What tests of everyday use ask beside lab-swarm.ts: tasks that run and no others,
 * containers that are gone, words of a refusal.
 * Edge: to the daemons' sockets.
 */
import type { Lab } from "./lab.js";
import type { LabHost } from "./lab-host.js";
import { call, messageIn, type SwarmTask, tasks, until } from "./lab-swarm.js";
import type { CommandResult } from "./shell.js";

/** A task with what GET /tasks shows beyond its state. */
export interface SeenTask extends SwarmTask {
  readonly Spec: { readonly ContainerSpec: { readonly Env?: readonly string[] } };
  readonly NetworksAttachments?: readonly {
    readonly Network: { readonly Spec?: { readonly Name: string } };
    readonly Addresses: readonly string[];
  }[];
}

/** @throws {Error} with the command's words when it failed. @returns its standard output. */
export async function must(result: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await result;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

export function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "");
}

export const seenTasks = async (host: LabHost, service: string): Promise<readonly SeenTask[]> =>
  (await tasks(host, service)) as readonly SeenTask[]; // GET /tasks shows both

function describeTasks(all: readonly SwarmTask[]): string {
  return all
    .map(
      ({ ID, Slot, DesiredState, Status }) =>
        `${ID}.${Slot ?? "-"} wants ${DesiredState}, ` +
        `is ${Status.State} ${Status.Message ?? ""} ${Status.Err ?? ""}`,
    )
    .join("\n");
}

/** The first answer of `pick` about the tasks of a service that is not undefined. */
export function fromTasks<T>(
  host: LabHost,
  service: string,
  what: string,
  pick: (all: readonly SeenTask[]) => T | undefined,
  timeoutMs = 20_000,
): Promise<T> {
  let last: readonly SeenTask[] = [];
  return until(
    `${service}: ${what}`,
    timeoutMs,
    async () => {
      last = await seenTasks(host, service);
      return pick(last);
    },
    () => describeTasks(last),
  );
}

/** Waits until exactly `count` tasks are wanted and run. @returns them. */
export function running(
  host: LabHost,
  service: string,
  count: number,
  timeoutMs = 20_000,
): Promise<readonly SeenTask[]> {
  return fromTasks(
    host,
    service,
    `${count} running and none else wanted`,
    (all) => {
      const wanted = all.filter((task) => task.DesiredState === "running");
      return wanted.length === count && wanted.every((task) => task.Status.State === "running")
        ? wanted
        : undefined;
    },
    timeoutMs,
  );
}

/** Waits for one running task. */
export async function oneRunning(host: LabHost, service: string): Promise<SeenTask> {
  const [task] = await running(host, service, 1);
  if (task === undefined) throw new Error("running() answers as many as asked for");
  return task;
}

/** Waits until no container with these labels is left on any host, stopped ones included. */
export async function noContainers(lab: Lab, label: string, timeoutMs = 20_000): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  let left: string[] = [];
  await until(
    `no container labelled ${label}`,
    timeoutMs,
    async () => {
      const lists = await Promise.all(
        lab.hosts.map((host) =>
          call<{ Names: string[]; State: string }[]>(
            host,
            "GET",
            `/containers/json?all=1&filters=${filters}`,
          ),
        ),
      );
      left = lists.flat().map(({ Names, State }) => `${Names[0]} ${State}`);
      return left.length === 0 ? true : undefined;
    },
    () => left.join(", "),
  );
}

export async function removed(lab: Lab, service: string): Promise<void> {
  await call(lab.host(1), "DELETE", `/services/${service}`);
  await noContainers(lab, `com.docker.swarm.service.name=${service}`);
}

/** The words and the status with which a request was refused. */
export async function refusal(host: LabHost, method: string, path: string, body?: unknown): Promise<string> {
  const answer = await host.api(method, path, body);
  return `${answer.status} ${messageIn(answer)}`.trim();
}
