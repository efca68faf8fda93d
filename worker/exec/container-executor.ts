/**
 * Runs tasks as containers of this node.
 * Pure: its world is handed in. Invariant: containers of tasks that are not retained do not stay.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { NetworkPlane } from "../../net-overlay/network-plane.js";
import type { NodeFacts } from "../../proto/dispatch/task-placeholders.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { NodeDescription } from "../../proto/gen/skein/v1/types.js";
import { isLive } from "../containers/container-entry.js";
import type { TaskContainerManager } from "../containers/container-manager.js";
import type { ImageStore } from "../images/image-store.js";
import { ContainerController, type ControllerComponents } from "./container-controller.js";
import type { Controller, Executor, TaskDependencies } from "./controller.js";
import { ImagePuller } from "./image-puller.js";
import { StartLimit } from "./start-limit.js";
import { TaskContainers } from "./task-containers.js";
import { type HookComponents, TaskHooks } from "./task-hooks.js";

export interface ExecutorComponents {
  readonly containers: TaskContainerManager;
  readonly images: ImageStore;
  readonly network: NetworkPlane;
  readonly describe: () => Promise<NodeDescription>;
  /** Who this node is now, for placeholders. */
  readonly node: () => NodeFacts;
  readonly pathExists: (path: string) => Promise<boolean>;
  /** Called before the container of a task goes; absent: its log goes with it. */
  readonly keepLog?: (task: Task, containerId: string) => Promise<void>;
  /** Wall clock: stamps when the image was there, and how old a pull is; absent: nobody stamps. */
  readonly nowMs?: () => number;
  /** Absent: a task with hooks is refused. */
  readonly hooks?: HookComponents;
  /** Folder with the socket of the node's API; absent: a task that asks for it is refused. */
  readonly apiSocketDir?: string;
  readonly log: Logger;
}

export interface ExecutorInit {
  /** Sandboxes and containers made or started at once. @default 4; twice the cores is a good choice */
  readonly startsMax?: number;
}

export interface ContainerExecutor extends Executor {
  close(): void;
}

export function createContainerExecutor(
  components: ExecutorComponents,
  init: ExecutorInit = {},
): ContainerExecutor {
  return new ContainerTaskExecutor(components, init);
}

class ContainerTaskExecutor implements ContainerExecutor {
  readonly #components: ExecutorComponents;
  readonly #taskContainers: TaskContainers;
  readonly #controllers: ControllerComponents;

  constructor(components: ExecutorComponents, init: ExecutorInit) {
    this.#components = components;
    this.#taskContainers = new TaskContainers(components.containers);
    this.#controllers = {
      containers: components.containers,
      puller: new ImagePuller(components.images, components.nowMs ?? (() => 0)),
      network: components.network,
      taskContainers: this.#taskContainers,
      limit: new StartLimit({ concurrencyMax: init.startsMax ?? 4 }),
      node: components.node,
      pathExists: components.pathExists,
      keepLog: components.keepLog,
      nowMs: components.nowMs,
      ...(components.hooks === undefined ? {} : { hooks: new TaskHooks(components.hooks, components.log) }),
      apiSocketDir: components.apiSocketDir,
      log: components.log,
    };
  }

  describe(): Promise<NodeDescription> {
    return this.#components.describe();
  }

  controller(task: Task, dependencies: TaskDependencies): Controller {
    return new ContainerController(this.#controllers, task, dependencies);
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    const strays = this.#taskContainers.taskIds().filter((taskId) => !taskIds.has(taskId));
    // Sandboxes are asked for at once: after the containers it could hit a task that came meanwhile.
    await Promise.all([
      this.#components.network.retain(taskIds),
      ...strays.map((taskId) => this.#removeStray(taskId)),
    ]);
  }

  close(): void {
    this.#taskContainers.close();
  }

  async #removeStray(taskId: string): Promise<void> {
    const { containers, log } = this.#components;
    const record = this.#taskContainers.find(taskId);
    if (record === undefined) return;
    log.info("container of a task that is not ours any more is removed", { task: taskId });
    try {
      if (isLive(record.state)) {
        await containers.stop(record.id, { gracePeriodMs: record.specification.stopGracePeriodMs });
      }
      await containers.remove(record.id, { force: true, removeVolumes: true });
    } catch (error) {
      log.warn("stray container not removed", { task: taskId, error: messageOf(error) });
    }
  }
}
