/**
 * One machine of a simulated cluster: its disk, its containers, a daemon with the real agent, and a manager
 * on some.
 * Pure. Invariant: what a crash leaves is disk and, when only a process died, running containers.
 */
import { EventEmitter } from "node:events";
import { CancelledError, UnavailableError } from "../../../base/errors/errors.js";
import { toGrpcStatus } from "../../../base/grpc/grpc-errors.js";
import type { Random } from "../../../base/random/random.js";
import { NodeDescription } from "../../../proto/gen/skein/v1/types.js";
import type { RaftStart } from "../../../raft/host/host.js";
import { type Agent, createAgent } from "../../../worker/agent/agent.js";
import type { ManagerConnection } from "../../../worker/agent/manager-connection.js";
import { MemoryNetworkPlane } from "../../../worker/exec/memory-network-plane.js";
import { MemoryAgentState } from "../../../worker/state/memory-agent-state.js";
import type { CrashKind } from "../core-disk.js";
import { HostClock } from "../host-clock.js";
import { HostDisk } from "../host-disk.js";
import { HostLife } from "../host-life.js";
import { HostStateFolder } from "../host-state.js";
import { ManagerProcess, type ManagerWorld } from "./cluster-manager.js";
import { type ContainerWatch, SimContainers, SimExecutor } from "./sim-containers.js";
import { WireEnd, type WireHost } from "./sim-wire.js";

export interface MachineWorld extends ManagerWorld {
  readonly managerAddresses: readonly string[];
  readonly containerWatch: ContainerWatch;
  note(slot: number, text: string, ...facts: number[]): void;
  /** Who listens at a manager's address; a life that is over when nobody does. */
  hostAt(address: string): WireHost;
  /** The stream ends with that machine's manager. */
  adopt(slot: number, end: WireEnd): void;
}

interface Daemon extends WireHost {
  readonly agent: Agent;
  readonly ends: Set<WireEnd>;
}

export class ClusterMachine {
  readonly slot: number;
  readonly nodeId: string;
  readonly containers: SimContainers;
  readonly #world: MachineWorld;
  readonly #random: Random;
  readonly #start: RaftStart | undefined;
  readonly #disk: HostDisk;
  readonly #folder: HostStateFolder;
  readonly #state = new MemoryAgentState();
  #network = new MemoryNetworkPlane();
  manager: ManagerProcess | undefined;
  readonly #managerEnds = new Set<WireEnd>();
  #daemon: Daemon | undefined;
  #lives = 0;
  hasPower = true;
  /** Simulated instant since which the daemon runs; undefined: it does not. */
  daemonSinceMs: number | undefined;

  /** @param start how its manager begins; undefined: it is a worker. */
  constructor(slot: number, given: { world: MachineWorld; random: Random; start: RaftStart | undefined }) {
    this.slot = slot;
    this.nodeId = nodeIdOf(slot);
    this.#world = given.world;
    this.#random = given.random;
    this.#start = given.start;
    const { queue, containerWatch } = given.world;
    this.containers = new SimContainers(slot, {
      queue,
      random: this.#random.child("containers"),
      watch: containerWatch,
      bug: given.world.bug,
    });
    this.#disk = new HostDisk({
      queue,
      random: this.#random.child("disk"),
      syncMaxMs: 2 + 10 * this.#random.float(),
      stops: (kind) => this.crashManager(kind),
    });
    this.#folder = new HostStateFolder(this.#random.child("state"));
  }

  get isManager(): boolean {
    return this.#start !== undefined;
  }

  get isDaemonUp(): boolean {
    return this.#daemon !== undefined;
  }

  /** Everything that is not running begins. */
  boot(): void {
    this.hasPower = true;
    this.startManager();
    this.startDaemon();
  }

  startManager(): void {
    const start = this.#start;
    if (start === undefined || this.manager !== undefined || !this.hasPower) return;
    this.#lives += 1;
    const process = new ManagerProcess(
      this.#world,
      {
        slot: this.slot,
        nodeId: this.nodeId,
        address: addressOf(this.slot),
        start,
        disk: this.#disk,
        folder: this.#folder,
        hasPower: () => this.hasPower,
        onStopped: (error) => this.#world.fail(error),
      },
      this.#random.child(`manager ${this.#lives}`),
    );
    this.manager = process;
    this.#world.note(this.slot, "manager starts", 1);
    process.open().catch((error: unknown) => {
      if (!process.life.isDead) this.#world.fail(error);
    });
  }

  crashManager(kind: CrashKind): void {
    const process = this.manager;
    if (process === undefined) return;
    this.#world.note(this.slot, `manager crashes (${kind})`, 2);
    this.manager = undefined;
    process.life.end();
    const { directory } = this.#world;
    directory.delete(this.slot);
    this.#disk.crash(kind);
    this.#folder.crash(kind);
    for (const end of this.#managerEnds) end.died(this.hasPower);
    this.#managerEnds.clear();
  }

  pauseManager(forMs: number): void {
    const process = this.manager;
    if (process === undefined) return;
    this.#world.note(this.slot, `manager stands still for ${forMs.toFixed(0)} ms`, 3);
    process.life.pause();
    this.#world.queue.after(forMs, () => process.life.resume());
  }

  startDaemon(): void {
    if (this.#daemon !== undefined || !this.hasPower) return;
    this.#lives += 1;
    const { queue, log, managerAddresses } = this.#world;
    const random = this.#random.child(`daemon ${this.#lives}`);
    const life = new HostLife(queue);
    const clock = new HostClock(queue, life, 0.98 + 0.04 * random.float());
    const description = NodeDescription.fromPartial({
      hostname: this.nodeId,
      platform: { os: "linux", architecture: "amd64" },
      resources: { nanoCpus: 4e9, memoryBytes: 2 ** 33 },
      dataPathAddress: `10.0.0.${this.slot}`,
    });
    const ends = new Set<WireEnd>();
    clock.jump(queue.now);
    const host: WireHost = { slot: this.slot, life, hasPower: () => this.hasPower };
    const agent = createAgent(
      {
        executor: new SimExecutor(this.containers, { clock, random: random.child("exec"), description }),
        network: this.#network,
        state: this.#state,
        dial: (address) => this.#dial(host, ends, address),
        describe: () => Promise.resolve(description),
        clock,
        random,
        log,
      },
      { nodeId: this.nodeId, managers: managerAddresses },
    );
    this.#daemon = { ...host, agent, ends };
    this.daemonSinceMs = queue.now;
    this.#world.note(this.slot, "daemon starts", 4);
    agent.start().catch((error: unknown) => {
      if (!life.isDead) this.#world.fail(error);
    });
  }

  /** Kill -9 of the daemon: containers go on. */
  crashDaemon(): void {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    this.#world.note(this.slot, "daemon dies", 5);
    this.#daemon = undefined;
    this.daemonSinceMs = undefined;
    daemon.life.end();
    for (const end of daemon.ends) end.died(this.hasPower);
    for (const container of this.containers.all.values()) container.listeners.clear();
  }

  /** An upgrade: says goodbye, stops. */
  stopDaemon(): void {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    this.#world.note(this.slot, "daemon stops", 6);
    daemon.agent.close().then(
      () => {
        if (this.#daemon === daemon) this.crashDaemon();
      },
      (error: unknown) => {
        if (!daemon.life.isDead) this.#world.fail(error);
      },
    );
  }

  powerCut(): void {
    if (!this.hasPower) return;
    this.#world.note(this.slot, "loses its power", 7);
    this.hasPower = false;
    this.crashDaemon();
    this.crashManager("power-cut");
    this.containers.powerCut();
    this.#network = new MemoryNetworkPlane();
  }

  #dial(host: WireHost, ends: Set<WireEnd>, address: string): ManagerConnection {
    const own = new Set<WireEnd>();
    const session = (): WireEnd => {
      const server = this.#world.hostAt(address);
      const { client } = WireEnd.pair(this.#world, host, server);
      own.add(client);
      ends.add(client);
      client.open((end) => {
        const dispatcher = this.#world.managerAt(address)?.dispatcher;
        if (dispatcher === undefined) {
          end.emit("error", toGrpcStatus(new UnavailableError("the manager is starting")));
          return;
        }
        this.#world.adopt(server.slot, end);
        // the handler's part of a call
        dispatcher.handlers.session(Object.assign(end, { nodeId: this.nodeId }) as never);
      });
      return client;
    };
    return {
      dispatcher: { session: session as never }, // the agent's part of a call
      // nobody asks for logs
      logBroker: { listenSubscriptions: silentStream as never, publishLogs: silentStream as never },
      tunnels: () => ({ serveTunnel: silentStream as never }),
      close: () => {
        for (const end of own) end.cancel();
      },
    };
  }

  /** What answers at this machine's address for managers. */
  get listener(): WireHost {
    const life = new HostLife(this.#world.queue);
    life.end();
    return this.manager ?? { slot: this.slot, life, hasPower: () => this.hasPower };
  }

  /** Streams of this machine's manager end with it. */
  adopt(end: WireEnd): void {
    this.#managerEnds.add(end);
  }
}

export const nodeIdOf = (slot: number): string => `node${slot}`;
export const addressOf = (slot: number): string => `10.0.0.${slot}:4242`;

function silentStream(): EventEmitter & { cancel(): void } {
  const stream = new EventEmitter();
  const cancel = (): void => {
    queueMicrotask(() => stream.emit("error", toGrpcStatus(new CancelledError("cancelled"))));
  };
  return Object.assign(stream, { cancel });
}
