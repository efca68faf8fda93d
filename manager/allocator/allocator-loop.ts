/**
 * The allocator: gives nodes their number, networks their VNI and subnets,
 * services their ports and virtual addresses, and new tasks their addresses,
 * after which a task is PENDING and may be scheduled.
 * Pure (the store is handed in). Invariants: every lease is rebuilt from the store when the loop starts;
 * a task is allocated once; what cannot be had is said on the task and tried again when something changed.
 */
import { invariant } from "../../base/errors/invariant.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import type { Cluster, Network, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { type Endpoint, TaskPhase, TaskState, type TaskStatus } from "../../proto/gen/skein/v1/types.js";
import { isAttachment } from "../attachments/attachment-task.js";
import type { ControlLoopComponents } from "../orchestrator/orchestrator-loop.js";
import { deepEqual } from "../orchestrator/spec-equality.js";
import { type LoopInput, StoreLoop } from "../orchestrator/store-loop.js";
import { withPhase, withWait, withWaitsOver } from "../orchestrator/task-account.js";
import { isTerminal, isWanted } from "../orchestrator/task-state.js";
import type { ReadTx, StoreChange, WriteTx } from "../store/types.js";
import { AddressSpace } from "./address-space.js";
import {
  type AllocationView,
  allocateEndpoint,
  allocateNetwork,
  allocateTask,
  hasEndpoint,
  needsAllocation,
  REFUSAL_CAUSES,
  Refusal,
} from "./allocate.js";

/** One object's change, checked again and written in a transaction. */
type Write = (tx: WriteTx) => void;

interface Phase {
  readonly writes: readonly Write[];
  /** Objects whose leases must be read back once the writes are over. */
  readonly owners: readonly string[];
}

/** Nothing may hold the event loop for more than 20 ms. */
const SLICE_MS = 6;
/** Between two looks at the clock. */
const ITEMS_PER_LOOK = 16;

class Allocator {
  readonly #components: ControlLoopComponents;
  #space = new AddressSpace(undefined);
  /** Tasks, services, networks and nodes that still lack something. */
  readonly #tasks = new Set<string>();
  readonly #services = new Set<string>();
  readonly #networks = new Set<string>();
  readonly #nodes = new Set<string>();
  /** Why a network could not be allocated; one entry per such network. */
  readonly #networkProblems = new Map<string, string>();
  #poolKey = "";

  constructor(components: ControlLoopComponents) {
    this.#components = components;
  }

  async pass(input: LoopInput, signal: AbortSignal): Promise<undefined> {
    const { store } = this.#components;
    if (input.reset || input.changes.some((change) => this.#changesPools(change))) await this.#rebuild();
    else {
      await this.#forEach(input.changes, (change) =>
        store.view((tx) => this.#sync(tx, change.table, change.id)),
      );
    }
    // Subnets are committed before anybody is given an address in them.
    await this.#run(
      store.view((tx) => this.#planBases(tx)),
      signal,
    );
    await this.#run(
      store.view((tx) => this.#planUsers(tx)),
      signal,
    );
    return undefined;
  }

  async #run(phase: Phase, signal: AbortSignal): Promise<void> {
    if (phase.writes.length === 0) return;
    const { store } = this.#components;
    await store.batch(phase.writes, (tx, write) => write(tx), { signal });
    await this.#forEach(phase.owners, (id) =>
      store.view((tx) => {
        for (const table of ["node", "network", "service", "task"] as const) {
          if (tx.get(table, id) !== undefined || table === "task") this.#sync(tx, table, id);
        }
      }),
    );
  }

  #changesPools(change: StoreChange): boolean {
    return change.table === "cluster" && poolKeyOf(change.after) !== this.#poolKey;
  }

  /** In slices: there may be a hundred thousand. What changes meanwhile comes with the next pass. */
  async #forEach<T>(items: readonly T[], visit: (item: T) => void): Promise<void> {
    const { clock } = this.#components;
    let sliceEndMs = clock.monotonicMs() + SLICE_MS;
    for (const [at, item] of items.entries()) {
      visit(item);
      if (at % ITEMS_PER_LOOK !== 0 || clock.monotonicMs() < sliceEndMs) continue;
      await nextTurn();
      sliceEndMs = clock.monotonicMs() + SLICE_MS;
    }
  }

  async #rebuild(): Promise<void> {
    const { store } = this.#components;
    const cluster = store.view((tx) => tx.list("cluster"))[0];
    this.#poolKey = poolKeyOf(cluster);
    this.#space = new AddressSpace(cluster);
    for (const set of [this.#tasks, this.#services, this.#networks, this.#nodes]) set.clear();
    for (const table of ["node", "network", "service", "task"] as const) {
      const objects = store.view((tx) => tx.list(table));
      await this.#forEach(objects, ({ id }) => store.view((tx) => this.#sync(tx, table, id)));
      if (table !== "service" && table !== "task") continue;
      const holders = objects as readonly (Service | Task)[]; // of the table
      await this.#forEach(holders, (object) => this.#space.recall(object));
    }
  }

  /** Makes leases and open work of one object equal to what the store says now. */
  #sync(tx: ReadTx, table: StoreChange["table"], id: string): void {
    switch (table) {
      case "node": {
        const node = tx.get("node", id);
        this.#space.syncNode(id, node);
        mark(this.#nodes, id, node !== undefined && node.number === 0);
        break;
      }
      case "network": {
        const network = tx.get("network", id);
        this.#space.syncNetwork(id, network);
        if (network === undefined) this.#networkProblems.delete(id);
        mark(
          this.#networks,
          id,
          network !== undefined && (network.pendingDelete || needsAllocation(network)),
        );
        break;
      }
      case "service": {
        const service = tx.get("service", id);
        this.#space.syncService(id, service);
        const open =
          service !== undefined && !service.pendingDelete && !hasEndpoint(service, this.#viewOf(tx));
        mark(this.#services, id, open);
        break;
      }
      case "task": {
        const task = tx.get("task", id);
        this.#space.syncTask(id, task);
        mark(this.#tasks, id, task !== undefined && isOpen(task));
        break;
      }
      default:
        break;
    }
  }

  /** Node numbers and networks. */
  #planBases(tx: ReadTx): Phase {
    const writes: Write[] = [];
    const owners: string[] = [];
    for (const id of sorted(this.#nodes)) {
      const number = this.#space.takeNodeNumber(id);
      if (number === undefined) {
        this.#components.log.error("no free node number", { nodeId: id });
        continue;
      }
      owners.push(id);
      writes.push((write) => {
        const node = write.get("node", id);
        if (node !== undefined && node.number === 0) write.update("node", { ...node, number });
      });
    }
    for (const id of sorted(this.#networks)) {
      const network = tx.get("network", id);
      if (network === undefined) continue;
      const write = network.pendingDelete ? removal(tx, network) : this.#networkWrite(network);
      if (write === undefined) continue;
      owners.push(id);
      writes.push(write);
    }
    return { writes, owners };
  }

  #networkWrite(network: Network): Write | undefined {
    const allocated = allocateNetwork(this.#space, network);
    if (allocated instanceof Refusal) {
      this.#space.syncNetwork(network.id, network);
      const reason = allocated.text;
      if (this.#networkProblems.get(network.id) !== reason) {
        this.#components.log.warn("network cannot be allocated", { networkId: network.id, reason });
        this.#networkProblems.set(network.id, reason);
      }
      return undefined;
    }
    this.#networkProblems.delete(network.id);
    return (tx) => {
      const current = tx.get("network", network.id);
      // Planned on what it was: a change meanwhile is planned with the next pass.
      if (current === undefined || !needsAllocation(current) || !deepEqual(current.ipam, network.ipam))
        return;
      tx.update("network", { ...current, ...allocated });
    };
  }

  /** Endpoints of services and addresses of tasks. */
  #planUsers(tx: ReadTx): Phase {
    const view = this.#viewOf(tx);
    const writes: Write[] = [];
    const owners: string[] = [];
    const refusals = new Map<string, Refusal>();
    const endpoints = new Map<string, Endpoint>();
    for (const id of sorted(this.#services)) {
      const service = tx.get("service", id);
      if (service === undefined) continue;
      const endpoint = allocateEndpoint(this.#space, service, view);
      if (endpoint instanceof Refusal) {
        this.#space.syncService(id, service);
        refusals.set(id, endpoint);
        continue;
      }
      endpoints.set(id, endpoint);
      owners.push(id);
      writes.push((write) => writeEndpoint(write, service, endpoint));
    }
    for (const id of sorted(this.#tasks)) {
      const task = tx.get("task", id);
      if (task === undefined || !isOpen(task)) continue;
      const service = tx.get("service", task.serviceId);
      const endpoint = endpoints.get(task.serviceId) ?? service?.endpoint;
      const refusal = refusals.get(task.serviceId);
      const networks = refusal ?? allocateTask(this.#space, task, view);
      if (networks instanceof Refusal) {
        this.#space.syncTask(id, task);
        if (task.status?.err !== networks.text) writes.push((write) => this.#explain(write, id, networks));
        continue;
      }
      owners.push(id);
      writes.push((write) => {
        const current = write.get("task", id);
        if (current === undefined || !isOpen(current)) return;
        const nowMs = this.#components.clock.nowMs();
        const status = this.#status(current, { message: "waiting for a node", err: "", cause: "" });
        write.update("task", {
          ...current,
          networks,
          allocated: true,
          endpoint: {
            spec: current.endpoint?.spec,
            ports: endpoint?.ports ?? [],
            virtualIps: endpoint?.virtualIps ?? [],
          },
          waits: withWaitsOver(current.waits, { causes: REFUSAL_CAUSES, nowMs }),
          status: { ...withPhase(status, TaskPhase.ALLOCATED, nowMs), state: nextState(current) },
        });
      });
    }
    return { writes, owners };
  }

  #viewOf(tx: ReadTx): AllocationView {
    return {
      network: (id) => tx.get("network", id),
      serviceName: (id) => tx.get("service", id)?.spec?.annotations?.name || id,
      networkProblem: (id) => this.#networkProblems.get(id),
    };
  }

  #explain(tx: WriteTx, taskId: string, refusal: Refusal): void {
    const task = tx.get("task", taskId);
    if (task === undefined || !isOpen(task)) return;
    const told = { message: "waiting for network resources", err: refusal.text, cause: refusal.cause };
    const nowMs = this.#components.clock.nowMs();
    const causes = REFUSAL_CAUSES.filter((cause) => cause !== refusal.cause);
    const waits = withWait(withWaitsOver(task.waits, { causes, nowMs }), {
      cause: refusal.cause,
      message: refusal.text,
      sinceMs: nowMs,
    });
    tx.update("task", { ...task, waits, status: this.#status(task, told) });
  }

  #status(task: Task, told: { message: string; err: string; cause: string }): TaskStatus {
    invariant(task.status !== undefined, "a task has a status from the start");
    return { ...task.status, ...told, timestampMs: this.#components.clock.nowMs() };
  }
}

/** An attachment has nothing to be placed and nothing to run. */
function nextState(task: Task): TaskState {
  return isAttachment(task) ? TaskState.RUNNING : TaskState.PENDING;
}

function isOpen(task: Task): boolean {
  return !task.allocated && isWanted(task) && !isTerminal(task);
}

/** A network that is to go goes when nothing refers to it any more. */
function removal(tx: ReadTx, network: Network): Write | undefined {
  const lookup = { by: "networkId", networkId: network.id } as const;
  const used = (view: ReadTx): boolean =>
    view.list("service", lookup).length > 0 || view.list("task", lookup).some((task) => !isTerminal(task));
  if (used(tx)) return undefined;
  return (write) => {
    if (write.get("network", network.id)?.pendingDelete === true && !used(write))
      write.remove("network", network.id);
  };
}

/** Written only while the service still asks for what was allocated. */
function writeEndpoint(tx: WriteTx, planned: Service, endpoint: Endpoint): void {
  const current = tx.get("service", planned.id);
  if (current === undefined || current.pendingDelete) return;
  const same =
    deepEqual(current.spec?.endpoint, planned.spec?.endpoint) &&
    deepEqual(current.spec?.task?.networks, planned.spec?.task?.networks);
  if (same) tx.update("service", { ...current, endpoint });
}

function mark(set: Set<string>, id: string, open: boolean): void {
  if (open) set.add(id);
  else set.delete(id);
}

function sorted(set: ReadonlySet<string>): readonly string[] {
  return [...set].sort();
}

function poolKeyOf(cluster: Cluster | undefined): string {
  return JSON.stringify([cluster?.defaultAddressPool ?? [], cluster?.subnetSize ?? 0]);
}

export function createAllocator(components: ControlLoopComponents): StoreLoop {
  const allocator = new Allocator(components);
  return new StoreLoop({
    ...components,
    name: "allocator",
    tables: ["cluster", "node", "network", "service", "task"],
    pass: (input, signal) => allocator.pass(input, signal),
  });
}
