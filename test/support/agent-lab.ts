/**
 * A small cluster in one process for scenario tests: one replicated store,
 * managers that serve sessions over real gRPC on loopback, agents with containers,
 * images and networks in memory.
 * Edge: to loopback sockets. Invariant: `close` ends everything that was made here.
 */
import {
  credentials,
  InterceptingCall,
  type InterceptorOptions,
  type NextCall,
  Server,
  ServerCredentials,
} from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import { systemClock } from "../../base/clock/system-clock.js";
import { Scope } from "../../base/lifecycle/scope.js";
import { type Logger, silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { createDispatcher, type Dispatcher } from "../../manager/dispatcher/dispatcher.js";
import { createGrpcReportSink, type GrpcReportSink } from "../../manager/dispatcher/grpc-report-sink.js";
import { createLeaderReports, type LeaderReports } from "../../manager/dispatcher/leader-reports.js";
import { createLogBroker, type LogBroker } from "../../manager/logbroker/log-broker.js";
import type { MemoryStore } from "../../manager/store/memory-store.js";
import type { StoreBatch } from "../../manager/store/types.js";
import {
  DispatcherClient,
  DispatcherService,
  type ManagerPeer,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { LogBrokerClient, LogBrokerService, LogsService } from "../../proto/gen/skein/v1/logs.js";
import { Cluster, Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { TunnelsClient } from "../../proto/gen/skein/v1/reach.js";
import { NodeDescription, TaskState } from "../../proto/gen/skein/v1/types.js";
import { type Agent, createAgent } from "../../worker/agent/agent.js";
import type { ManagerConnection } from "../../worker/agent/manager-connection.js";
import { createContainerExecutor } from "../../worker/exec/container-executor.js";
import { type ContainerWorld, MemoryContainerManager } from "../../worker/exec/memory-container-manager.js";
import { MemoryImageStore } from "../../worker/exec/memory-image-store.js";
import { MemoryNetworkPlane } from "../../worker/exec/memory-network-plane.js";
import { MemoryAgentState } from "../../worker/state/memory-agent-state.js";
import { createTestStore } from "./test-store.js";

/** Milliseconds a dropped connection has to settle before its channel is closed. */
const CLOSE_DELAY_MS = 300;
const NODE_KEY = "test-node";

export interface LabManager {
  readonly address: string;
  readonly server: Server;
  readonly dispatcher: Dispatcher;
  readonly broker: LogBroker;
  readonly sink: GrpcReportSink;
  /** As a manager that is killed: connections break. */
  kill(): Promise<void>;
}

export interface LabAgent {
  readonly nodeId: string;
  readonly agent: Agent;
  readonly containers: MemoryContainerManager;
  readonly images: MemoryImageStore;
  readonly network: MemoryNetworkPlane;
  readonly state: MemoryAgentState;
}

/** What an agent leaves behind for its successor. */
export interface Leftovers {
  readonly world?: ContainerWorld;
  readonly state?: MemoryAgentState;
  readonly network?: MemoryNetworkPlane;
}

export class AgentLab {
  readonly store: MemoryStore;
  readonly scope = new Scope();
  readonly clock: Clock;
  readonly log: Logger;
  leader: LeaderReports | undefined;
  #peers: readonly ManagerPeer[] = [];
  readonly #peerListeners = new Set<() => void>();
  #count = 0;
  #agentCount = 0;

  constructor(options: { clock?: Clock; log?: Logger } = {}) {
    this.store = createTestStore().store;
    this.clock = options.clock ?? systemClock;
    this.log = options.log ?? silentLogger;
    this.scope.defer(() => this.leader?.close());
  }

  /** Cluster and nodes, ready to be found by their agents. */
  async begin(
    nodeIds: readonly string[],
    cluster: Parameters<typeof Cluster.fromPartial>[0] = {},
  ): Promise<void> {
    await this.store.update((tx) => {
      tx.create("cluster", Cluster.fromPartial({ id: "c1", ...cluster }));
      nodeIds.forEach((id, at) => {
        tx.create("node", Node.fromPartial({ id, number: at + 1, status: { address: `10.9.0.${at + 1}` } }));
      });
    });
    this.lead();
  }

  /** A new leadership begins. */
  lead(): void {
    this.leader?.close();
    this.leader = createLeaderReports({ store: this.store, clock: this.clock, log: this.log });
  }

  async manager(): Promise<LabManager> {
    this.#count += 1;
    const random = new SeededRandom(`manager ${this.#count}`);
    const { store, clock, log } = this;
    const sink = createGrpcReportSink({
      managerNodeId: `m${this.#count}`,
      leader: () => (this.leader === undefined ? { kind: "none" } : { kind: "local", reports: this.leader }),
      clock,
      random,
      log,
    });
    const identify = (call: { metadata: { get(key: string): (string | Buffer)[] } }): string | undefined =>
      call.metadata.get(NODE_KEY)[0]?.toString();
    const dispatcher = createDispatcher({
      store,
      reports: sink,
      managers: {
        list: () => this.#peers,
        onChange: (listener) => {
          this.#peerListeners.add(listener);
          return () => this.#peerListeners.delete(listener);
        },
      },
      trust: () => ({ rootCaPem: "root", issuerPublicKeySha256: "" }),
      readBarrier: () => Promise.resolve(),
      clock,
      random,
      log,
      identify,
    });
    const broker = createLogBroker({ store, clock, random, log, identify });
    const server = new Server();
    server.addService(DispatcherService, dispatcher.handlers);
    server.addService(LogBrokerService, broker.brokerHandlers);
    server.addService(LogsService, broker.logsHandlers);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      });
    });
    const address = `127.0.0.1:${port}`;
    const peer: ManagerPeer = { nodeId: `m${this.#count}`, address, leader: false };
    let killed: Promise<void> | undefined;
    const kill = (): Promise<void> => {
      killed ??= (async () => {
        server.forceShutdown();
        sink.close();
        await dispatcher.close();
        await broker.close();
      })();
      return killed;
    };
    this.scope.defer(kill);
    this.#setPeers([...this.#peers, peer]);
    return { address, server, dispatcher, broker, sink, kill };
  }

  async agent(nodeId: string, managers: readonly LabManager[], leftovers: Leftovers = {}): Promise<LabAgent> {
    const { clock, log } = this;
    this.#agentCount += 1; // a restarted agent draws other ids than its predecessor
    const random = new SeededRandom(`agent ${nodeId} ${this.#agentCount}`);
    const containers = new MemoryContainerManager({
      clock,
      random: random.child("containers"),
      ...(leftovers.world === undefined ? {} : { world: leftovers.world }),
    });
    const images = new MemoryImageStore({ local: ["app:1"] });
    const network = leftovers.network ?? new MemoryNetworkPlane();
    const state = leftovers.state ?? new MemoryAgentState();
    const description = NodeDescription.fromPartial({
      hostname: `host-${nodeId}`,
      dataPathAddress: "10.9.0.1",
    });
    const executor = createContainerExecutor({
      containers,
      images,
      network,
      describe: () => Promise.resolve(description),
      node: () => ({ id: nodeId, hostname: `host-${nodeId}`, os: "linux", architecture: "amd64" }),
      pathExists: (path) => Promise.resolve(path === "/there"),
      log,
    });
    const agent = createAgent(
      {
        executor,
        network,
        state,
        dial: (address) => dialAs(nodeId, address),
        describe: () => executor.describe(),
        clock,
        random,
        log,
      },
      { nodeId, managers: managers.map((manager) => manager.address) },
    );
    this.scope.defer(() => agent.close());
    await agent.start();
    return { nodeId, agent, containers, images, network, state };
  }

  /** A task that the scheduler has just given to a node. */
  async assign(partial: Parameters<typeof Task.fromPartial>[0]): Promise<Task> {
    const task = Task.fromPartial({
      serviceId: "s1",
      slot: 1,
      serviceAnnotations: { name: "web" },
      spec: { container: { image: "app:1" } },
      desiredState: TaskState.RUNNING,
      status: { state: TaskState.ASSIGNED },
      allocated: true,
      ...partial,
    });
    await this.store.update((tx) => tx.create("task", task));
    return task;
  }

  async desire(taskId: string, desiredState: TaskState): Promise<void> {
    await this.store.update((tx) => {
      const task = tx.get("task", taskId);
      if (task !== undefined) tx.update("task", { ...task, desiredState });
    });
  }

  /** Resolves with what `read` gives once it gives something; looks again whenever the store changes. */
  async until<T>(read: () => T | undefined | false, what: string): Promise<T> {
    let wake = (): void => undefined;
    const watch = this.store.watch({ wake: () => wake() });
    const deadlineMs = systemClock.monotonicMs() + 5_000;
    try {
      for (;;) {
        const batches: readonly StoreBatch[] = watch.take();
        const found = read();
        if (found !== undefined && found !== false) return found;
        if (systemClock.monotonicMs() > deadlineMs)
          throw new Error(`not seen: ${what} (${batches.length} batches)`);
        await new Promise<void>((resolve) => {
          wake = resolve;
          systemClock.setTimer(10, resolve); // what is awaited may be outside the store
        });
      }
    } finally {
      watch.close();
    }
  }

  untilTask(taskId: string, state: TaskState): Promise<Task> {
    return this.until(
      () => {
        const task = this.store.view((view) => view.get("task", taskId));
        return task?.status?.state === state ? task : undefined;
      },
      `task ${taskId} in ${state}, it is in ${this.store.view((view) => view.get("task", taskId)?.status?.state)}`,
    );
  }

  close(): Promise<void> {
    return this.scope.close();
  }

  #setPeers(peers: readonly ManagerPeer[]): void {
    this.#peers = peers;
    for (const listener of this.#peerListeners) listener();
  }
}

/**
 * A connection that claims to be of a node: the lab's servers believe it,
 * as certificates are not what is tested here.
 */
function dialAs(nodeId: string, address: string): ManagerConnection {
  const interceptor = (options: InterceptorOptions, nextCall: NextCall): InterceptingCall =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        metadata.set(NODE_KEY, nodeId);
        next(metadata, listener);
      },
    });
  const options = { interceptors: [interceptor] };
  const dispatcher = new DispatcherClient(address, credentials.createInsecure(), options);
  const logBroker = new LogBrokerClient(address, credentials.createInsecure(), {
    ...options,
    channelOverride: dispatcher.getChannel(),
  });
  return {
    dispatcher,
    logBroker,
    tunnels: () =>
      new TunnelsClient(address, credentials.createInsecure(), {
        ...options,
        channelOverride: dispatcher.getChannel(),
      }),
    close: () => {
      // grpc-js 1.14 forgets the socket of a channel that is closed between TCP and HTTP/2 connect,
      // and the test's process would not end: by then it has connected or failed.
      systemClock.setTimer(CLOSE_DELAY_MS, () => dispatcher.close());
    },
  };
}
