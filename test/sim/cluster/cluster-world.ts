/**
 * A simulated cluster from one seed: machines, network, checks. Pure over turns of Node's event loop.
 * Invariant: seed, schedule and code decide everything that happens.
 */

import { type Logger, silentLogger } from "../../../base/log/logger.js";
import { nextTurn } from "../../../base/loop/process-turn.js";
import { SeededRandom } from "../../../base/random/seeded-random.js";
import { Cluster, Network, Node, type Service } from "../../../proto/gen/skein/v1/objects.js";
import { NodeRole } from "../../../proto/gen/skein/v1/types.js";
import type { RaftStart } from "../../../raft/host/host.js";
import { EventQueue } from "../event-queue.js";
import type { Directory } from "../host-transport.js";
import { SimNetwork } from "../sim-network.js";
import { SimTrace } from "../sim-trace.js";
import type { ClusterBug } from "./cluster-bugs.js";
import { ClusterChecks, type MachinesView } from "./cluster-checks.js";
import { addressOf, ClusterMachine, type MachineWorld, nodeIdOf } from "./cluster-machine.js";
import type { ManagerProcess } from "./cluster-manager.js";
import type { WireEnd, WireHost } from "./sim-wire.js";

export interface WorldOptions {
  readonly seed: number;
  readonly bug?: ClusterBug | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export class ClusterWorld implements MachineWorld, MachinesView {
  readonly queue = new EventQueue();
  readonly random: SeededRandom;
  readonly trace: SimTrace;
  readonly network: SimNetwork;
  readonly checks: ClusterChecks;
  readonly directory: Directory = new Map();
  readonly log: Logger;
  readonly machines: readonly ClusterMachine[];
  readonly managerAddresses: readonly string[];
  readonly bug: ClusterBug | undefined;
  isFounded = false;
  #failure: Error | undefined;

  constructor(options: WorldOptions) {
    this.bug = options.bug;
    this.random = new SeededRandom(`cluster-${options.seed}`);
    this.trace = new SimTrace(this.queue, options.print);
    this.log = options.print === undefined ? silentLogger : printingLogger(this, options.print);
    const world = { queue: this.queue, random: this.random.child("network"), trace: this.trace };
    this.network = new SimNetwork(world);
    this.network.isStreaming = true;
    this.checks = new ClusterChecks(this.queue, (error) => this.fail(error));
    this.checks.machines = this;
    const shape = this.random.child("shape");
    const managers = [1, 3, 3, 3, 5][shape.int(0, 5)] ?? 3;
    const workers = 2 + shape.int(0, 4);
    const slots = Array.from({ length: managers + workers }, (_, at) => at + 1);
    const members = slots.slice(0, managers).map((slot) => ({
      raftId: slot,
      nodeId: nodeIdOf(slot),
      address: addressOf(slot),
      learner: false,
    }));
    this.managerAddresses = members.map(({ address }) => address);
    this.machines = slots.map((slot) => {
      const start: RaftStart | undefined =
        slot > managers
          ? undefined
          : managers === 1
            ? { kind: "bootstrap" }
            : { kind: "join", raftId: slot, members, removed: [] };
      return new ClusterMachine(slot, { world: this, random: this.random.child(`machine ${slot}`), start });
    });
  }

  /** Machines begin, and the first leader stores cluster, nodes and a network. */
  async found(): Promise<void> {
    for (const machine of this.machines) machine.startManager();
    const furnished = (): boolean => this.checks.store.view((tx) => tx.list("cluster").length) > 0;
    for (let tries = 0; tries < 20 && !furnished(); tries++) {
      const refused = (error: unknown): void => this.note(0, `furnishing: ${String(error)}`, 40);
      this.machines
        .find(({ manager }) => manager?.raft?.isLeader)
        ?.manager?.store.update((tx) => this.#furnish(tx))
        .catch(refused);
      await this.run(1_000, furnished);
    }
    this.isFounded = true;
    for (const machine of this.machines) {
      machine.manager?.takeDuties();
      machine.startDaemon();
    }
    const ready = (): boolean => this.machines.every((machine) => this.checks.nodeIsReady(machine.nodeId));
    if (!(await this.run(20_000, ready))) throw new Error("the nodes do not become ready");
  }

  #furnish(tx: Parameters<Parameters<ManagerProcess["store"]["update"]>[0]>[0]): void {
    tx.create(
      "cluster",
      Cluster.fromPartial({
        id: "simulated",
        spec: { annotations: { name: "default" }, orphanAfterMs: 25_000, drainDeadlineMs: 10_000 },
        defaultAddressPool: ["10.128.0.0/16"],
        subnetSize: 25,
        vxlanUdpPort: 4789,
      }),
    );
    for (const { slot, nodeId, isManager } of this.machines) {
      const role = isManager ? NodeRole.MANAGER : NodeRole.WORKER;
      tx.create(
        "node",
        Node.fromPartial({
          id: nodeId,
          role,
          spec: { desiredRole: role },
          description: { hostname: nodeId },
          status: { address: `10.0.0.${slot}` },
        }),
      );
    }
    tx.create(
      "network",
      Network.fromPartial({ id: "net1", spec: { annotations: { name: "net1" }, driver: "overlay" } }),
    );
  }

  /** Lets so much time pass at most. @returns whether `until` came true. */
  async run(forMs: number, until: () => boolean = () => false): Promise<boolean> {
    const endMs = this.queue.now + forMs;
    let lookMs = this.queue.now;
    for (;;) {
      if (this.queue.now >= lookMs) {
        if (until()) return true;
        lookMs = this.queue.now + 50;
      }
      const ran = this.queue.runNext(endMs);
      await nextTurn();
      if (this.#failure !== undefined) throw this.#failure;
      if (!ran) return until();
    }
  }

  get containerWatch(): ClusterChecks {
    return this.checks;
  }

  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  note(slot: number, text: string, ...facts: number[]): void {
    this.trace.note([slot, ...facts], () => `${slot === 0 ? "user" : nodeIdOf(slot)} ${text}`);
  }

  adopt(slot: number, end: WireEnd): void {
    this.machines[slot - 1]?.adopt(end);
  }

  managerAt(address: string): ManagerProcess | undefined {
    return this.machines.find(({ slot }) => addressOf(slot) === address)?.manager;
  }

  hostAt(address: string): WireHost {
    const machine = this.machines.find(({ slot }) => addressOf(slot) === address);
    if (machine === undefined) throw new Error(`no machine at ${address}`);
    return machine.listener;
  }

  /** The manager that leads, of the highest term if several believe it. */
  leader(): ManagerProcess | undefined {
    let best: ManagerProcess | undefined;
    for (const { manager } of this.machines) {
      if (manager?.isLeading !== true) continue;
      const term = manager.raft?.status().term ?? 0;
      if (best === undefined || term > (best.raft?.status().term ?? 0)) best = manager;
    }
    return best;
  }

  /** Services whose tasks end and are tried again for ever. */
  endlessServices(): readonly Service[] {
    const services = this.checks.store.view((tx) => tx.list("service"));
    const isEndless = /^(bad|crash):/;
    return services.filter(
      ({ spec, previousSpec, updateStatus }) =>
        isEndless.test(spec?.task?.container?.image ?? "") ||
        (updateStatus !== undefined && isEndless.test(previousSpec?.task?.container?.image ?? "")),
    );
  }

  isolate(slot: number): void {
    for (const { slot: other } of this.machines) {
      if (other === slot) continue;
      this.network.cut(slot, other);
      this.network.cut(other, slot);
    }
    this.#noteCuts();
  }

  partition(inside: ReadonlySet<number>, direction: "both" | "out"): void {
    for (const { slot } of this.machines) {
      for (const { slot: other } of this.machines) {
        if (!inside.has(slot) || inside.has(other)) continue;
        this.network.cut(slot, other);
        if (direction === "both") this.network.cut(other, slot);
      }
    }
    this.#noteCuts();
  }

  heal(): void {
    this.network.healAll();
    this.#healedMs = this.queue.now;
    this.#isCut = false;
  }

  #isCut = false;
  #healedMs = 0;

  #noteCuts(): void {
    this.#isCut = true;
  }

  reachableSinceMs(slot: number): number | undefined {
    const machine = this.machines[slot - 1];
    if (this.#isCut || machine?.daemonSinceMs === undefined) return undefined;
    return Math.max(this.#healedMs, machine.daemonSinceMs);
  }

  slotOf(nodeId: string): number | undefined {
    return this.machines.find((machine) => machine.nodeId === nodeId)?.slot;
  }

  runningEverywhere(): ReturnType<MachinesView["runningEverywhere"]> {
    return this.machines.flatMap(({ slot, containers }) =>
      containers.running().map((container) => ({ slot, container })),
    );
  }
}

/** Not a part of the trace: the run is the same without it. */
function printingLogger(world: { readonly queue: EventQueue }, print: (line: string) => void): Logger {
  const say =
    (level: string) =>
    (message: string, fields: object = {}): void =>
      print(`${world.queue.now.toFixed(1).padStart(9)}   log ${level} ${message} ${JSON.stringify(fields)}`);
  const logger: Logger = {
    debug: () => undefined,
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
    child: () => logger,
  };
  return logger;
}
