/**
 * The control loops on a store of their own, with make-believe agents that do at once what they are told:
 * for scenario tests. Time is a manual clock; nothing runs between calls.
 * Pure.
 */
import { describeSpecChange } from "../../manager/control/spec-change.js";
import { type ControlLoops, createControlLoops } from "../../manager/orchestrator/control-loops.js";
import { isTerminal, isUnassigned, newestFirst, stateRank } from "../../manager/orchestrator/task-state.js";
import { Network, Node, Service, type Task } from "../../proto/gen/skein/v1/objects.js";
import {
  NodeAvailability,
  NodeState,
  ServiceSpec,
  TaskState,
  type TaskStatus,
  UpdateState,
} from "../../proto/gen/skein/v1/types.js";
import { createTestStore, type TestStore } from "./test-store.js";

type Partial_<T> = T extends { fromPartial(object: infer P): unknown } ? P : never;
export type ServiceSpecPartial = Partial_<typeof ServiceSpec>;
export type NodePartial = Partial_<typeof Node>;

export class ControlLab {
  readonly test: TestStore;
  loops: ControlLoops;
  /** What an agent makes of a task that is to run; the default runs everything. */
  run: (task: Task) => Partial<TaskStatus> = () => ({ state: TaskState.RUNNING, message: "started" });
  /** What an agent makes of a task that is to be prepared, and to wait then; the default prepares everything. */
  prepare: (task: Task) => Partial<TaskStatus> = () => ({ state: TaskState.READY, message: "prepared" });
  /** Nodes whose agents are silent. */
  readonly silent = new Set<string>();

  #leaders = 0;

  constructor(options: { seed?: string; delay?: () => Promise<void> } = {}) {
    this.test = createTestStore({ seed: "control-lab", ...options });
    this.loops = this.#makeLoops();
    this.loops.start();
  }

  #makeLoops(): ControlLoops {
    const { store, clock, random, log } = this.test;
    return createControlLoops({ store, clock, random, log });
  }

  /** A new leader: new loops on the same store. */
  async changeLeader(): Promise<void> {
    await this.loops.close();
    this.loops = createControlLoops({
      ...this.test,
      random: this.test.random.child(`leader ${++this.#leaders}`),
    });
    this.loops.start();
    await this.loops.idle();
  }

  async close(): Promise<void> {
    await this.loops.close();
  }

  async addNodes(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.addNode({ id });
  }

  async addNode(node: NodePartial & { id: string }): Promise<void> {
    const full = Node.fromPartial({
      spec: { availability: NodeAvailability.ACTIVE },
      status: { state: NodeState.READY, address: "10.9.0.1" },
      description: {
        hostname: node.id,
        platform: { os: "linux", architecture: "amd64" },
        resources: { nanoCpus: 4e9, memoryBytes: 2 ** 32 },
      },
      ...node,
    });
    await this.test.store.update((tx) => tx.create("node", full));
    await this.loops.idle();
  }

  async updateNode(id: string, change: (node: Node) => Node): Promise<void> {
    await this.test.store.update((tx) => {
      const node = tx.get("node", id);
      if (node !== undefined) tx.update("node", change(node));
    });
    await this.settle();
  }

  async nodeDown(id: string): Promise<void> {
    this.silent.add(id);
    await this.updateNode(id, (node) => ({
      ...node,
      status: { message: "", address: "", ...node.status, state: NodeState.DOWN },
    }));
  }

  async nodeUp(id: string): Promise<void> {
    this.silent.delete(id);
    await this.updateNode(id, (node) => ({
      ...node,
      status: { message: "", address: "", ...node.status, state: NodeState.READY },
    }));
  }

  async setAvailability(id: string, availability: NodeAvailability): Promise<void> {
    await this.updateNode(id, (node) => ({
      ...node,
      drainStartedAtMs: availability === NodeAvailability.DRAIN ? this.test.clock.nowMs() : 0,
      spec: {
        annotations: undefined,
        desiredRole: node.role,
        drainDeadlineMs: 0,
        ...node.spec,
        availability,
      },
    }));
  }

  async createNetwork(id: string, subnet = ""): Promise<void> {
    const network = Network.fromPartial({
      id,
      spec: {
        annotations: { name: id },
        driver: "overlay",
        ipamConfigs: subnet === "" ? [] : [{ subnet, range: "", gateway: "", reserved: {} }],
      },
    });
    await this.test.store.update((tx) => tx.create("network", network));
    await this.loops.idle();
  }

  async createService(id: string, spec: ServiceSpecPartial): Promise<void> {
    const full = ServiceSpec.fromPartial({
      mode: { $case: "replicated", value: { replicas: 1 } },
      ...spec,
      annotations: { name: id, labels: {} },
      task: { container: { image: "app:1" }, ...spec.task },
    });
    await this.test.store.update((tx) =>
      tx.create("service", Service.fromPartial({ id, spec: full, specVersion: { index: 1 } })),
    );
    await this.settle();
  }

  /**
   * As the control API does it: a new specification keeps the old one and forgets the state of the last
   * update.
   */
  async updateService(id: string, change: (spec: ServiceSpec) => ServiceSpec): Promise<void> {
    await this.test.store.update((tx) => {
      const service = tx.get("service", id);
      if (service?.spec === undefined) return;
      const spec = change(service.spec);
      tx.update("service", {
        ...service,
        spec,
        specVersion: { index: (service.meta?.version?.index ?? 0) + 1 },
        specChange: describeSpecChange(service.spec, spec),
        previousSpec: service.spec,
        previousSpecVersion: service.specVersion,
        updateStatus: undefined,
      });
    });
    await this.settle();
  }

  /** `docker service update` without a change, on a service whose update is paused. */
  async resume(id: string): Promise<void> {
    await this.test.store.update((tx) => {
      const service = tx.get("service", id);
      if (service === undefined) return;
      tx.update("service", { ...service, specVersion: { index: 0 }, updateStatus: undefined });
    });
    await this.settle();
  }

  /** As the control API does it. */
  async rollback(id: string): Promise<void> {
    await this.test.store.update((tx) => {
      const service = tx.get("service", id);
      if (service?.previousSpec === undefined) return;
      tx.update("service", {
        ...service,
        spec: service.previousSpec,
        specVersion: { index: 0 },
        specChange: describeSpecChange(service.spec, service.previousSpec),
        previousSpec: service.spec,
        previousSpecVersion: service.specVersion,
        updateStatus: {
          state: UpdateState.ROLLBACK_STARTED,
          startedAtMs: this.test.clock.nowMs(),
          completedAtMs: 0,
          message: "manually requested rollback",
        },
      });
    });
    await this.settle();
  }

  async scale(id: string, replicas: number): Promise<void> {
    await this.updateService(id, (spec) => ({ ...spec, mode: { $case: "replicated", value: { replicas } } }));
  }

  async setImage(id: string, image: string): Promise<void> {
    await this.updateService(id, (spec) => withImage(spec, image));
  }

  async removeService(id: string): Promise<void> {
    await this.test.store.update((tx) => tx.remove("service", id));
    await this.settle();
  }

  /** What the tasks of a service wait for now: "1 n1 drain: waits for …". */
  waits(serviceId: string): string[] {
    return this.tasks(serviceId).flatMap((task) =>
      task.waits
        .filter(({ untilMs }) => untilMs === 0)
        .map(({ message }) => `${task.slot} ${task.nodeId || "-"} ${message}`),
    );
  }

  /** Why tasks of a service were told to stop, newest first within a slot. */
  stops(serviceId: string): string[] {
    return this.tasks(serviceId)
      .filter(({ stoppedBecause }) => stoppedBecause !== "")
      .map((task) => `${task.slot} ${task.stoppedBecause}`);
  }

  service(id: string): Service {
    const service = this.test.store.view((tx) => tx.get("service", id));
    if (service === undefined) throw new Error(`no service ${id}`);
    return service;
  }

  /** Newest first within a slot. */
  tasks(serviceId: string): readonly Task[] {
    const tasks = newestFirst(this.test.store.view((tx) => tx.list("task", { by: "serviceId", serviceId })));
    const mode = this.test.store.view((tx) => tx.get("service", serviceId))?.spec?.mode?.$case;
    const place = (task: Task): string => (task.slot === 0 && mode !== "replicatedJob" ? task.nodeId : "");
    return [...tasks].sort(
      (a, b) => a.slot - b.slot || (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0),
    );
  }

  running(serviceId: string): readonly Task[] {
    return this.tasks(serviceId).filter(
      (task) => task.status?.state === TaskState.RUNNING && task.desiredState === TaskState.RUNNING,
    );
  }

  /** A transcript of a service's tasks: "1 n2 RUNNING/RUNNING app:1 scale: 1 to 2 replicas". */
  show(serviceId: string): string[] {
    return this.tasks(serviceId).map((task) => {
      const state = (task.status?.state ?? "").replace("TASK_STATE_", "");
      const desired = task.desiredState.replace("TASK_STATE_", "");
      const image = task.spec?.container?.image ?? "";
      return `${task.slot} ${task.nodeId || "-"} ${state}/${desired} ${image} ${task.createdBecause}`;
    });
  }

  async setStatus(taskId: string, status: Partial<TaskStatus>): Promise<void> {
    await this.test.store.update((tx) => {
      const task = tx.get("task", taskId);
      if (task?.status === undefined) return;
      // As the leader takes reports: what comes late, or twice, moves nothing back.
      if (status.state !== undefined && stateRank(status.state) < stateRank(task.status.state)) return;
      tx.update("task", {
        ...task,
        status: { ...task.status, timestampMs: this.test.clock.nowMs(), ...status },
      });
    });
  }

  async crash(taskId: string, exitCode = 1): Promise<void> {
    await this.setStatus(taskId, {
      state: exitCode === 0 ? TaskState.COMPLETE : TaskState.FAILED,
      err: exitCode === 0 ? "" : `exit code ${exitCode}`,
    });
    await this.settle();
  }

  async advance(byMs: number): Promise<void> {
    this.test.clock.advance(byMs);
    await this.settle();
  }

  /** Loops and agents take turns until nobody has anything to do. */
  async settle(): Promise<void> {
    for (let round = 0; round < 200; round++) {
      await this.loops.idle();
      if (!(await this.#agentsAct())) return;
    }
    throw new Error("the cluster does not settle");
  }

  async #agentsAct(): Promise<boolean> {
    const due = this.test.store
      .view((tx) => tx.list("task"))
      .flatMap((task) => {
        const status = this.#agentAnswer(task);
        return status === undefined ? [] : [{ id: task.id, status }];
      });
    for (const { id, status } of due) await this.setStatus(id, status);
    return due.length > 0;
  }

  #agentAnswer(task: Task): Partial<TaskStatus> | undefined {
    if (task.nodeId === "" || this.silent.has(task.nodeId) || isUnassigned(task) || isTerminal(task))
      return undefined;
    if (this.test.store.view((tx) => tx.get("node", task.nodeId)) === undefined) return undefined;
    const { desiredState } = task;
    const stop =
      stateRank(desiredState) > stateRank(TaskState.RUNNING) && desiredState !== TaskState.COMPLETE;
    if (stop) return { state: TaskState.SHUTDOWN, message: "shutdown" };
    const state = task.status?.state;
    if (desiredState === TaskState.READY) {
      return state === TaskState.READY ? undefined : this.prepare(task);
    }
    if (state === TaskState.RUNNING) return undefined;
    const answer = this.run(task);
    return answer.state === state ? undefined : answer;
  }
}

export function withImage(spec: ServiceSpec, image: string): ServiceSpec {
  const { task } = spec;
  if (task?.container === undefined) throw new Error("the service has no container");
  return { ...spec, task: { ...task, container: { ...task.container, image } } };
}
