/**
 * The containers of one simulated machine, and an executor that drives them. Pure. Invariants: containers
 * outlive the
 * daemon, and end with their machine; what an image does is in its name.
 *
 *   ok:N      runs until it is stopped             slow:N   takes seconds to prepare and to start
 *   crash:N   ends with code 1 after a while       job:N    ends with code 0 after a while
 *   bad:N     is not found                         stuck:N  takes seconds to stop
 */
import type { Clock } from "../../../base/clock/clock.js";
import { CancelledError, NotFoundError } from "../../../base/errors/errors.js";
import type { Random } from "../../../base/random/random.js";
import type { Task } from "../../../proto/gen/skein/v1/objects.js";
import type { NodeDescription } from "../../../proto/gen/skein/v1/types.js";
import type { Controller, Executor, TaskFailure } from "../../../worker/exec/controller.js";
import type { EventQueue } from "../event-queue.js";
import type { ClusterBug } from "./cluster-bugs.js";

export interface SimContainer {
  readonly taskId: string;
  readonly task: Task;
  state: "created" | "running" | "exited";
  exitCode: number | undefined;
  readonly listeners: Set<() => void>;
}

export interface ContainerWatch {
  /** A process has begun to run. */
  started(slot: number, container: SimContainer): void;
  ended(slot: number, container: SimContainer): void;
}

export class SimContainers {
  readonly #slot: number;
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #watch: ContainerWatch;
  readonly #bug: ClusterBug | undefined;
  readonly all = new Map<string, SimContainer>();

  constructor(
    slot: number,
    given: { queue: EventQueue; random: Random; watch: ContainerWatch; bug: ClusterBug | undefined },
  ) {
    this.#slot = slot;
    this.#queue = given.queue;
    this.#random = given.random;
    this.#watch = given.watch;
    this.#bug = given.bug;
  }

  create(task: Task): SimContainer {
    const container: SimContainer = {
      taskId: task.id,
      task,
      state: "created",
      exitCode: undefined,
      listeners: new Set(),
    };
    this.all.set(task.id, container);
    return container;
  }

  start(container: SimContainer): void {
    if (container.state !== "created") return;
    container.state = "running";
    this.#watch.started(this.#slot, container);
    const image = imageOf(container.task);
    const lifeMs = image.startsWith("crash:") ? 500 : image.startsWith("job:") ? 1_500 : 0;
    if (lifeMs === 0) return;
    this.#queue.after(lifeMs * (0.5 + this.#random.float()), () =>
      this.exit(container, image.startsWith("job:") ? 0 : 1),
    );
  }

  /** As a runtime is asked to stop it. */
  stop(container: SimContainer): void {
    // Planted: it says so, and goes on.
    if (this.#bug === "stop-ignored" && this.#random.float() < 0.3) return;
    this.exit(container, 143);
  }

  exit(container: SimContainer, code: number): void {
    if (container.state !== "running") {
      container.state = "exited";
      return;
    }
    container.state = "exited";
    container.exitCode = code;
    this.#watch.ended(this.#slot, container);
    for (const tell of [...container.listeners]) tell();
  }

  /** The machine lost its power. */
  powerCut(): void {
    for (const container of this.all.values()) {
      container.listeners.clear();
      if (container.state === "running") this.exit(container, 137);
    }
  }

  running(): SimContainer[] {
    return [...this.all.values()].filter(({ state }) => state === "running");
  }
}

export function imageOf(task: Task): string {
  return task.spec?.container?.image ?? "";
}

export class SimExecutor implements Executor {
  readonly #containers: SimContainers;
  readonly #parts: { readonly clock: Clock; readonly random: Random; readonly description: NodeDescription };

  constructor(
    containers: SimContainers,
    parts: { clock: Clock; random: Random; description: NodeDescription },
  ) {
    this.#containers = containers;
    this.#parts = parts;
  }

  describe(): Promise<NodeDescription> {
    return Promise.resolve(this.#parts.description);
  }

  controller(task: Task): Controller {
    return new SimController(task, this.#containers, this.#parts);
  }

  retain(taskIds: ReadonlySet<string>): Promise<void> {
    for (const container of [...this.#containers.all.values()]) {
      if (taskIds.has(container.taskId)) continue;
      this.#containers.exit(container, 143);
      this.#containers.all.delete(container.taskId);
    }
    return Promise.resolve();
  }
}

class SimController implements Controller {
  readonly #task: Task;
  readonly #containers: SimContainers;
  readonly #parts: { readonly clock: Clock; readonly random: Random };

  constructor(task: Task, containers: SimContainers, parts: { clock: Clock; random: Random }) {
    this.#task = task;
    this.#containers = containers;
    this.#parts = parts;
  }

  get #container(): SimContainer | undefined {
    return this.#containers.all.get(this.#task.id);
  }

  async prepare({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#container !== undefined) return;
    const image = imageOf(this.#task);
    await this.#take(image.startsWith("slow:") ? 3_000 : 120, signal);
    if (image.startsWith("bad:")) throw new NotFoundError(`image ${image} is not in the registry`);
    this.#containers.create(this.#task);
  }

  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    const container = this.#container;
    if (container === undefined) throw new NotFoundError("the container is gone");
    if (container.state === "created") this.#containers.start(container);
    await this.#take(imageOf(this.#task).startsWith("slow:") ? 2_000 : 60, signal);
  }

  wait({ signal }: { signal: AbortSignal }): Promise<TaskFailure | undefined> {
    const container = this.#container;
    if (container === undefined)
      return Promise.resolve({ cause: "container-removed", message: "the container is gone" });
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        container.listeners.delete(look);
        reject(new CancelledError("not waited for any more"));
      };
      const look = (): void => {
        if (container.state !== "exited") return;
        container.listeners.delete(look);
        signal.removeEventListener("abort", onAbort);
        const code = container.exitCode ?? 0;
        resolve(code === 0 ? undefined : { cause: "exit-nonzero", message: `exit code ${code}` });
      };
      if (signal.aborted) {
        onAbort();
        return;
      }
      signal.addEventListener("abort", onAbort, { once: true });
      container.listeners.add(look);
      look();
    });
  }

  async shutdown({ signal }: { signal: AbortSignal }): Promise<void> {
    const container = this.#container;
    if (container?.state !== "running") {
      if (container !== undefined) container.state = "exited";
      return;
    }
    await this.#take(imageOf(this.#task).startsWith("stuck:") ? 4_000 : 80, signal);
    this.#containers.stop(container);
  }

  terminate(options: { signal: AbortSignal }): Promise<void> {
    return this.shutdown(options);
  }

  remove(): Promise<void> {
    const container = this.#container;
    if (container !== undefined) this.#containers.exit(container, 137);
    this.#containers.all.delete(this.#task.id);
    return Promise.resolve();
  }

  status(): undefined {
    return undefined;
  }

  hostPorts(): readonly [] {
    return [];
  }

  health(): string {
    return "";
  }

  gatewayAddress(): string {
    return "";
  }

  logs(): AsyncIterable<never> {
    return (async function* () {})();
  }

  /** Up to so many milliseconds, at least a third of it. */
  #take(atMostMs: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#parts;
    return clock.sleep(atMostMs * (1 / 3 + (2 / 3) * random.float()), { signal });
  }
}
