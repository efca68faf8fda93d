/**
 * One task as a container: image, sandbox, container, health, exit, removal.
 * Pure: containers, images and network are handed in.
 * Invariants: a container that runs is never started again; one that has exited is never restarted; the
 * sandbox, and with it the host ports, is gone before an end is reported.
 */
import {
  CancelledError,
  messageOf,
  NotFoundError,
  NotImplementedError,
  SkeinError,
} from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { NetworkPlane, TaskSandbox } from "../../net-overlay/network-plane.js";
import type { NodeFacts } from "../../proto/dispatch/task-placeholders.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type ContainerStatus,
  type PhaseMark,
  type PortConfig,
  TaskPhase,
} from "../../proto/gen/skein/v1/types.js";
import { isLive } from "../containers/container-entry.js";
import type {
  ContainerRecord,
  ContainerSpecification,
  LogReadOptions,
  LogRecord,
  TaskContainerManager,
} from "../containers/container-manager.js";
import type { Controller, TaskDependencies, TaskFailure } from "./controller.js";
import { exitFailure, failureOf, sandboxFailure, TaskFailureError, unhealthyWords } from "./failure-cause.js";
import type { ImagePuller } from "./image-puller.js";
import type { StartLimit } from "./start-limit.js";
import type { TaskContainers } from "./task-containers.js";
import type { TaskHooks } from "./task-hooks.js";
import { wantedImages } from "./task-images.js";
import {
  containerSpecification,
  predefinedNetwork,
  type TaskNetwork,
  taskHostname,
} from "./task-specification.js";

export interface ControllerComponents {
  readonly containers: TaskContainerManager;
  readonly puller: ImagePuller;
  readonly network: NetworkPlane;
  readonly taskContainers: TaskContainers;
  readonly limit: StartLimit;
  /** Absent: a task that has any is refused. */
  readonly hooks?: TaskHooks | undefined;
  /** Folder with the socket of the node's API; absent: a task that asks for it is refused. */
  readonly apiSocketDir?: string | undefined;
  readonly node: () => NodeFacts;
  /** Whether a path is there on the host: for bind mounts. */
  readonly pathExists: (path: string) => Promise<boolean>;
  /** Called before the container of a task goes; absent: its log goes with it. */
  readonly keepLog?: ((task: Task, containerId: string) => Promise<void>) | undefined;
  /** Stamps when the image was there; absent: nobody does. */
  readonly nowMs?: (() => number) | undefined;
  readonly log: Logger;
}

export class ContainerController implements Controller {
  readonly #components: ControllerComponents;
  readonly #task: Task;
  readonly #dependencies: TaskDependencies;
  #sandbox: TaskSandbox | undefined;
  #ending = false;
  #pulledAtMs: number | undefined;

  constructor(components: ControllerComponents, task: Task, dependencies: TaskDependencies) {
    this.#components = components;
    this.#task = task;
    this.#dependencies = dependencies;
  }

  async prepare({ signal }: { signal: AbortSignal }): Promise<void> {
    const { containers, puller, limit, taskContainers } = this.#components;
    if (this.#record() !== undefined) return this.#adoptSandbox();
    this.#checkHooks();
    await this.#dependencies.settled?.(this.#task, { signal });
    // now: a new session has no data of drivers at first, and a pull may outlast the one before
    const { files, mounts } = this.#specification({ kind: "none" });
    await this.#checkMounts(mounts);
    for (const image of wantedImages(this.#task)) await puller.ensure(image, signal);
    this.#pulledAtMs ??= this.#components.nowMs?.();
    // a stop-first successor is prepared while its predecessor stops
    await this.#components.network.portsReleased(this.#task, { signal });
    await limit.run(
      async () => {
        const network = await this.#connect();
        try {
          if (signal.aborted) throw new CancelledError(`preparing task ${this.#task.id} was cancelled`);
          const record = await containers.create(this.#specification(network, files));
          taskContainers.created(this.#task.id, record.id);
        } catch (error) {
          await this.#disconnect();
          throw error;
        }
      },
      { signal },
    );
  }

  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    const { containers, limit } = this.#components;
    const record = this.#existing();
    if (record.state === "created") {
      try {
        await limit.run(() => containers.start(record.id), { signal });
      } catch (error) {
        // what never ran keeps neither addresses nor host ports from its successor
        if (!signal.aborted && !isLive(this.#record()?.state ?? "dead")) await this.#disconnect();
        throw error;
      }
    } else {
      await this.#adoptSandbox();
    }
    await this.#afterStart(record.id, signal);
    await this.#untilHealthy(record.id, signal);
  }

  async wait({ signal }: { signal: AbortSignal }): Promise<TaskFailure | undefined> {
    const { containers } = this.#components;
    const record = this.#record();
    if (record === undefined) return gone();
    if (isLive(record.state) && this.#sandbox === undefined) await this.#adoptSandbox();
    const unhealthy = new AbortController();
    const stopListening = this.#onHealth(record.id, (health) => {
      if (health === "unhealthy") unhealthy.abort();
    });
    try {
      const ended = await containers.wait(record.id, { signal: AbortSignal.any([signal, unhealthy.signal]) });
      await this.#disconnect();
      return exitFailure(ended);
    } catch (error) {
      if (signal.aborted) throw error;
      if (unhealthy.signal.aborted) return await this.#stopUnhealthy(record.id);
      if (error instanceof NotFoundError) return gone();
      throw error;
    } finally {
      stopListening();
    }
  }

  async shutdown(_options: { signal: AbortSignal }): Promise<void> {
    const record = this.#record();
    this.#ending = true;
    if (record !== undefined && isLive(record.state)) await this.#stop(record);
    await this.#disconnect();
  }

  async terminate(_options: { signal: AbortSignal }): Promise<void> {
    const record = this.#record();
    this.#ending = true;
    if (record !== undefined && isLive(record.state)) {
      await ignoreMissing(this.#components.containers.kill(record.id, "SIGKILL"));
      await ignoreMissing(this.#components.containers.wait(record.id));
    }
    await this.#disconnect();
  }

  async remove(_options: { signal: AbortSignal }): Promise<void> {
    const record = this.#record();
    this.#ending = true;
    if (record !== undefined) {
      await this.#components.keepLog?.(this.#task, record.id);
      await ignoreMissing(
        this.#components.containers.remove(record.id, { force: true, removeVolumes: true }),
      );
      this.#components.taskContainers.removed(this.#task.id);
    }
    await this.#disconnect();
  }

  status(): ContainerStatus | undefined {
    const record = this.#record();
    if (record === undefined) return undefined;
    const ended = record.state === "exited" || record.state === "dead";
    return {
      containerId: record.id,
      pid: record.pid,
      exitCode: ended ? record.exitCode : undefined,
      oomKilled: record.oomKilled,
    };
  }

  hostPorts(): readonly PortConfig[] {
    return this.#sandbox?.hostPorts ?? [];
  }

  health(): string {
    return this.#record()?.health ?? "";
  }

  stations(): readonly PhaseMark[] {
    const startedMs = this.#record()?.startedMs ?? 0;
    return [
      ...(this.#pulledAtMs === undefined ? [] : [{ phase: TaskPhase.PULLED, atMs: this.#pulledAtMs }]),
      ...(startedMs > 0 ? [{ phase: TaskPhase.STARTED, atMs: startedMs }] : []),
    ];
  }

  gatewayAddress(): string {
    return this.#sandbox?.gatewayAddress ?? "";
  }

  async *logs(options: LogReadOptions): AsyncIterable<LogRecord> {
    const record = this.#record();
    if (record !== undefined) yield* this.#components.containers.logs(record.id, options);
  }

  #record(): ContainerRecord | undefined {
    return this.#components.taskContainers.find(this.#task.id);
  }

  #existing(): ContainerRecord {
    const record = this.#record();
    if (record === undefined)
      throw new TaskFailureError("container-removed", "the task's container was removed");
    return record;
  }

  /** @param files absent: as the dependencies are now. */
  #specification(network: TaskNetwork, files?: ContainerSpecification["files"]): ContainerSpecification {
    return containerSpecification({
      task: this.#task,
      node: this.#components.node(),
      network,
      dependencies: this.#dependencies,
      apiSocketDir: this.#components.apiSocketDir,
      files,
    });
  }

  async #checkMounts(mounts: ContainerSpecification["mounts"]): Promise<void> {
    for (const mount of mounts) {
      if (mount.kind !== "bind" || mount.createSource) continue;
      if (await this.#components.pathExists(mount.source)) continue;
      const words = `invalid mount config for type "bind": bind source path does not exist: ${mount.source}`;
      throw new TaskFailureError("mount-missing", words);
    }
  }

  async #connect(): Promise<TaskNetwork> {
    const kind = predefinedNetwork(this.#task);
    if (kind !== undefined) return { kind };
    const { network, node } = this.#components;
    try {
      const extraHosts = this.#task.spec?.container?.hosts ?? [];
      this.#sandbox = await network.attachTask(this.#task, {
        hostname: taskHostname(this.#task, node()),
        extraHosts,
      });
    } catch (error) {
      await this.#disconnect();
      throw sandboxFailure(error);
    }
    return { kind: "sandbox", sandbox: this.#sandbox };
  }

  /**
   * After a restart of the daemon: the plane serves the sandbox again.
   * A running container outweighs a failure here.
   */
  async #adoptSandbox(): Promise<void> {
    const record = this.#record();
    if (record === undefined || record.state === "exited" || record.state === "dead") return;
    try {
      await this.#connect();
    } catch (error) {
      this.#components.log.error("sandbox of a running task not adopted", {
        task: this.#task.id,
        error: messageOf(error),
      });
    }
  }

  async #disconnect(): Promise<void> {
    this.#sandbox = undefined;
    if (predefinedNetwork(this.#task) === undefined) await this.#components.network.detachTask(this.#task.id);
  }

  #onHealth(containerId: string, listener: (health: ContainerRecord["health"]) => void): () => void {
    const stop = this.#components.containers.onEvent((event) => {
      if (event.container.id === containerId) listener(event.container.health);
    });
    listener(this.#components.containers.find(containerId)?.health ?? "");
    return stop;
  }

  /** @throws {TaskFailureError} it turned unhealthy, or ended before it was healthy. */
  #untilHealthy(containerId: string, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const check = (): boolean => {
        const record = this.#components.containers.find(containerId);
        if (record === undefined)
          return finish(new TaskFailureError("container-removed", "the task's container was removed"));
        if (record.state !== "running") return finish(undefined); // how it ended is `wait`'s to tell
        if (record.health === "unhealthy") return finish(unhealthyError(record));
        return record.health === "starting" ? false : finish(undefined);
      };
      const onAbort = (): void => {
        finish(new CancelledError("waiting for the container's health was cancelled"));
      };
      const stop = this.#components.containers.onEvent((event) => {
        if (event.container.id === containerId) check();
      });
      const finish = (error: Error | undefined): true => {
        stop();
        signal.removeEventListener("abort", onAbort);
        if (error === undefined) resolve();
        else reject(error);
        return true;
      };
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      else check();
    }).then(
      () => undefined,
      async (error: unknown) => {
        if (error instanceof TaskFailureError && error.failureCause === "unhealthy")
          await this.#stopUnhealthy(containerId);
        throw error;
      },
    );
  }

  async #stopUnhealthy(containerId: string): Promise<TaskFailure> {
    const failure = failureOf(unhealthyError(this.#record())); // its last probe is forgotten when it stops
    if (!this.#ending) {
      const record = this.#record();
      if (record?.id === containerId) await this.#stop(record);
      await this.#disconnect();
    }
    return failure;
  }

  /** @throws {TaskFailureError} hook-failed; the container is stopped then. */
  async #afterStart(containerId: string, signal: AbortSignal): Promise<void> {
    const hooks = this.#task.spec?.container?.host?.postStart ?? [];
    if (hooks.length === 0) return;
    try {
      await this.#hooks().postStart({ taskId: this.#task.id, containerId }, hooks, signal);
    } catch (error) {
      const record = this.#record();
      if (record === undefined || !isLive(record.state)) return; // how it ended is `wait`'s to tell
      if (!this.#ending && !signal.aborted) {
        await this.#stop(record);
        await this.#disconnect();
      }
      throw error;
    }
  }

  /** Its own commands first, within the grace period; then its signal, with what is left of that. */
  async #stop(record: ContainerRecord): Promise<void> {
    const hooks = this.#task.spec?.container?.host?.preStop ?? [];
    const { stopGracePeriodMs } = record.specification;
    const gracePeriodMs =
      hooks.length === 0
        ? stopGracePeriodMs
        : await this.#hooks().preStop(
            { taskId: this.#task.id, containerId: record.id },
            hooks,
            stopGracePeriodMs,
          );
    await ignoreMissing(this.#components.containers.stop(record.id, { gracePeriodMs }));
  }

  /** Before anything runs: what could not be stopped any more is not begun. */
  #checkHooks(): void {
    const { postStart = [], preStop = [] } = this.#task.spec?.container?.host ?? {};
    if (postStart.length + preStop.length > 0) this.#hooks();
  }

  #hooks(): TaskHooks {
    const { hooks } = this.#components;
    if (hooks === undefined) throw new NotImplementedError("this node runs no hooks of tasks");
    return hooks;
  }
}

function unhealthyError(record: ContainerRecord | undefined): TaskFailureError {
  return new TaskFailureError("unhealthy", unhealthyWords(record?.healthLog?.at(-1)));
}

function gone(): TaskFailure {
  return { cause: "container-removed", message: "the task's container was removed" };
}

async function ignoreMissing(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof SkeinError && error.code === "not-found")) throw error;
  }
}
