/**
 * One manager put together: Raft, store, CA, control API, dispatcher, log broker, leader's duties,
 * behind one RPC host.
 * Edge: composition of edges. Runs in the manager process; the world (clock, randomness, log) is handed in.
 */
import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { SwarmRecovery } from "../api/ports.js";
import type { Clock } from "../base/clock/clock.js";
import { NotLeaderError } from "../base/errors/errors.js";
import { Scope } from "../base/lifecycle/scope.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import { createBackupHandlers } from "../manager/backup/grpc-backup.js";
import { createNodeCaHandlers } from "../manager/ca/node-ca.js";
import { authorize } from "../manager/ca/rpc-roles.js";
import { createControlHandlers } from "../manager/control/control-handlers.js";
import { createDispatcher } from "../manager/dispatcher/dispatcher.js";
import { createLeaderReportsHandlers } from "../manager/dispatcher/grpc-leader-reports.js";
import { createGrpcReportSink, type LeaderLink } from "../manager/dispatcher/grpc-report-sink.js";
import { type LockFollower, startKeyKeeper } from "../manager/keys/key-keeper.js";
import { dataKeyLockOf } from "../manager/keys/unlock-lock.js";
import { createLogBroker } from "../manager/logbroker/log-broker.js";
import { createMemoryStore, type MemoryStore } from "../manager/store/memory-store.js";
import type { Proposer, Store } from "../manager/store/types.js";
import { BackupService } from "../proto/gen/skein/v1/backup.js";
import { NodeCaService } from "../proto/gen/skein/v1/ca.js";
import { ControlService } from "../proto/gen/skein/v1/control.js";
import { DebugService } from "../proto/gen/skein/v1/debug.js";
import {
  DispatcherService,
  LeaderReportsClient,
  LeaderReportsService,
} from "../proto/gen/skein/v1/dispatcher.js";
import { LogBrokerService, LogsService } from "../proto/gen/skein/v1/logs.js";
import { RaftMembershipService, RaftService } from "../proto/gen/skein/v1/raft.js";
import { NodeRole } from "../proto/gen/skein/v1/types.js";
import type { ForcedCluster } from "../raft/host/force-new-cluster.js";
import { createDebugHandlers } from "../raft/host/grpc-debug.js";
import { createMembershipHandlers } from "../raft/host/grpc-membership.js";
import { openRaftNode } from "../raft/host/host.js";
import type { RaftNode } from "../raft/host/raft-node.js";
import { createRaftHandlers, GrpcTransport } from "../raft/transport/grpc-transport.js";
import { settleForcedCluster } from "./forced-cluster.js";
import { LeaderDuties } from "./leader-duties.js";
import { createLeaderGate, type LeaderView } from "./leader-gate.js";
import { SKEIN_VERSION } from "./machine-facts.js";
import { found, identityOf, startOf, storeWhenLeading } from "./manager-beginning.js";
import { MANAGER_SERVER_NAME, ManagerChannels } from "./manager-channels.js";
import { ManagerDirectoryView } from "./manager-directory.js";
import type { ManagerConfig } from "./manager-messages.js";
import { type HostedService, RpcHost, type TlsIdentity } from "./rpc-host.js";

export interface ManagerWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /**
   * Raft stopped by itself (full disk, I/O error): end the process;
   * its daemon starts it again with a growing pause.
   */
  readonly onStopped: (error: unknown) => void;
  /** The others removed this manager while it was away: end the process, for good. */
  readonly onRemoved?: (reason: string) => void;
  /** Locks the node's identity when the cluster's unlock key changes; absent: nothing is ever locked anew. */
  readonly lockFollower?: LockFollower;
}

const pathsOf = (definition: ServiceDefinition, pick: (name: string) => boolean = () => true): string[] =>
  Object.values(definition)
    .filter((method) => !method.requestStream && !method.responseStream)
    .map((method) => method.path)
    .filter((path) => pick(path.slice(path.lastIndexOf("/") + 1)));

const LEADER_ONLY: ReadonlySet<string> = new Set([
  ...pathsOf(ControlService),
  ...pathsOf(RaftMembershipService),
  ...pathsOf(LeaderReportsService),
  ...pathsOf(NodeCaService, (name) => name === "Issue"),
]);
const LINEARIZABLE: ReadonlySet<string> = new Set(
  pathsOf(ControlService, (name) => /^(Get|List)/.test(name)),
);

const REPLICA_STREAMS: ReadonlySet<string> = new Set([
  ControlService.watchEvents.path,
  LogsService.subscribeLogs.path,
  BackupService.create.path,
]);

/** The store's way into consensus, bound once the member is open. */
class RaftProposer implements Proposer {
  raft: RaftNode | undefined;

  get isLeader(): boolean {
    return this.raft?.isLeader === true;
  }

  propose(data: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<{ index: number }> {
    if (this.raft === undefined) return Promise.reject(new NotLeaderError("raft is not open yet"));
    return this.raft.propose(data, options);
  }
}

export class ManagerRuntime {
  readonly nodeId: string;
  readonly clusterId: string;
  /** Made by `init`; the daemon stores it. */
  readonly createdIdentity: TlsIdentity | undefined;
  /** The account of a forced new cluster. */
  readonly recovery: SwarmRecovery | undefined;
  /** What the data keys were locked under when it began to serve; "": nothing. */
  readonly unlockKey: string;
  /** What it is made of, for whoever measures it from inside. */
  readonly store: Store;
  readonly raft: RaftNode;
  readonly #scope: Scope;
  readonly #channels: ManagerChannels;
  readonly #host: RpcHost;

  private constructor(parts: {
    nodeId: string;
    clusterId: string;
    createdIdentity: TlsIdentity | undefined;
    recovery: SwarmRecovery | undefined;
    unlockKey: string;
    store: Store;
    raft: RaftNode;
    scope: Scope;
    channels: ManagerChannels;
    host: RpcHost;
  }) {
    this.nodeId = parts.nodeId;
    this.clusterId = parts.clusterId;
    this.createdIdentity = parts.createdIdentity;
    this.recovery = parts.recovery;
    this.unlockKey = parts.unlockKey;
    this.store = parts.store;
    this.raft = parts.raft;
    this.#scope = parts.scope;
    this.#channels = parts.channels;
    this.#host = parts.host;
  }

  /** Loads what is imported late, while the files of the installation can still be read. */
  static async preload(): Promise<void> {
    await import("../raft/storage/level-state.js");
  }

  static async open(config: ManagerConfig, world: ManagerWorld): Promise<ManagerRuntime> {
    const { clock, random, log } = world;
    const { mode, place } = config;
    const scope = new Scope();
    try {
      const founded = mode.kind === "init" ? await found(config, world) : undefined;
      const identity = mode.kind === "init" ? identityOf(founded) : mode.identity;
      const nodeId = mode.kind === "init" ? (founded?.node.id ?? "") : mode.nodeId;
      const clusterId = mode.kind === "init" ? (founded?.cluster.id ?? "") : mode.clusterId;
      const channels = new ManagerChannels(identity);
      scope.defer(() => channels.close());
      // Raft hands leadership over while it closes, and the new leader's vote request comes in here:
      // so the host closes after Raft.
      let host: RpcHost | undefined;
      scope.defer(() => host?.close());

      const proposer = new RaftProposer();
      const store = createMemoryStore({
        proposer,
        clock,
        random: random.child("store"),
        log: log.child({ component: "store" }),
      });
      let refusal = "";
      const raftLog = log.child({ component: "raft" });
      const transport = new GrpcTransport({
        dial: () => ({
          credentials: channels.credentials(),
          options: {
            "grpc.ssl_target_name_override": MANAGER_SERVER_NAME,
            "grpc.default_authority": MANAGER_SERVER_NAME,
          },
        }),
        clock,
        random: random.child("transport"),
        log: raftLog,
      });
      const [unlockKey = "", ...former] =
        founded === undefined ? (config.unlockKeys ?? []) : [founded.cluster.unlockKey];
      const keyRandom = random.child("locks");
      let forced: ForcedCluster | undefined;
      const raft = await openRaftNode({
        dir: place.dir,
        clusterId,
        nodeId,
        address: place.advertiseAddress,
        start: await startOf(config, channels, nodeId, (account) => {
          forced = account;
        }),
        transport,
        stateMachine: store,
        clock,
        random: random.child("raft"),
        log: raftLog,
        lock: dataKeyLockOf(unlockKey, keyRandom),
        formerLocks: former.map((key) => dataKeyLockOf(key, keyRandom)).filter((lock) => lock !== undefined),
        onStopped: world.onStopped,
        onRemoved: (reason) => world.onRemoved?.(reason),
        onRefused: (reason) => {
          const advice =
            "a node that was removed or dropped goes on by itself where a manager accepts it; else run " +
            "`skein swarm leave --force` there and join again";
          // each peer repeats it
          if (reason !== refusal) log.warn("a peer refuses this manager", { reason, advice });
          refusal = reason;
        },
      });
      proposer.raft = raft;
      scope.own(raft);
      if (founded !== undefined) await storeWhenLeading(raft, store, founded);
      const address = place.advertiseAddress;
      const recovery =
        forced && (await settleForcedCluster({ raft, store, nodeId, address, clock, log }, forced));

      host = await serve({
        config,
        world,
        scope,
        channels,
        identity,
        clusterId,
        nodeId,
        store,
        raft,
        transport,
      });
      if (world.lockFollower !== undefined) {
        const follower = world.lockFollower;
        const keeperLog = log.child({ component: "key-keeper" });
        const parts = { store, raft, follower, clock, random: keyRandom, log: keeperLog };
        scope.own(startKeyKeeper(parts, { unlockKey }));
      }
      return new ManagerRuntime({
        nodeId,
        clusterId,
        createdIdentity: founded === undefined ? undefined : identity,
        recovery,
        unlockKey,
        store,
        raft,
        scope,
        channels,
        host,
      });
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  /** From now on new connections, in and out, use the new certificate. */
  exchangeIdentity(identity: TlsIdentity): void {
    this.#channels.exchangeIdentity(identity);
    this.#host.exchangeIdentity(identity);
  }

  /** Hands leadership over, then ends everything. */
  close(): Promise<void> {
    return this.#scope.close();
  }
}

interface ServeParts {
  readonly config: ManagerConfig;
  readonly world: ManagerWorld;
  readonly scope: Scope;
  readonly channels: ManagerChannels;
  readonly identity: TlsIdentity;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly store: MemoryStore;
  readonly raft: RaftNode;
  readonly transport: GrpcTransport;
}

async function serve(parts: ServeParts): Promise<RpcHost> {
  const { config, world, scope, channels, identity, clusterId, nodeId, store, raft, transport } = parts;
  const { clock, random, log } = world;
  const view = leaderViewOf(raft);
  const directory = new ManagerDirectoryView(raft);
  scope.own(directory);
  const duties = new LeaderDuties(
    { store, raft, clock, random, log },
    { onChange: () => sink.leaderChanged() },
  );
  scope.own(duties);
  const sink = createGrpcReportSink({
    managerNodeId: nodeId,
    leader: () => leaderLink(view, duties, channels),
    clock,
    random: random.child("reports"),
    log: log.child({ component: "reports" }),
  });
  scope.own(sink);
  scope.defer(raft.onLeadership(() => sink.leaderChanged()));
  const rootCaPem = (): string =>
    store.view((tx) => tx.list("cluster")[0]?.rootCa?.caCertPem) ?? identity.rootCaPem;
  const dispatcher = createDispatcher({
    store,
    reports: sink,
    managers: directory,
    rootCaPem,
    readBarrier: () => raft.readBarrier(),
    clock,
    random: random.child("dispatcher"),
    log: log.child({ component: "dispatcher" }),
  });
  scope.own(dispatcher);
  const broker = createLogBroker({
    store,
    clock,
    random: random.child("logs"),
    log: log.child({ component: "logs" }),
  });
  scope.own(broker);
  const managerAddresses = (): string[] => directory.list().map(({ address }) => address);
  const control = {
    store,
    clock,
    random: random.child("control"),
    log: log.child({ component: "control" }),
    raft,
  };
  const ca = {
    store,
    clock,
    random: random.child("ca"),
    log: log.child({ component: "ca" }),
    managerAddresses,
  };
  const backup = {
    store,
    raft,
    nodeId,
    skeinVersion: SKEIN_VERSION,
    clock,
    random: random.child("backup"),
    log: log.child({ component: "backup" }),
  };
  const services: HostedService[] = [
    hosted(NodeCaService, createNodeCaHandlers(ca)),
    hosted(ControlService, createControlHandlers(control)),
    hosted(BackupService, createBackupHandlers(backup)),
    hosted(DispatcherService, dispatcher.handlers),
    hosted(
      LeaderReportsService,
      createLeaderReportsHandlers(() => duties.reports),
    ),
    hosted(LogsService, broker.logsHandlers),
    hosted(LogBrokerService, broker.brokerHandlers),
    hosted(RaftService, createRaftHandlers(transport)),
    hosted(RaftMembershipService, createMembershipHandlers(raft)),
    hosted(DebugService, createDebugHandlers(raft)),
  ];
  const guard = createLeaderGate({
    definitions: services.map(({ definition }) => definition),
    leaderOnly: LEADER_ONLY,
    linearizable: LINEARIZABLE,
    replicaStreams: REPLICA_STREAMS,
    authorize: (path, peer) => authorize(path, peer, clusterId),
    isKnown: (peer) => {
      const node = store.view((tx) => tx.get("node", peer.nodeId));
      return node !== undefined && (peer.role === "swarm-worker" || node.role === NodeRole.MANAGER);
    },
    leader: view,
    channels,
    self: { nodeId, clusterId, role: "swarm-manager" },
    clock,
    log: log.child({ component: "gate" }),
  });
  const { listen, socketPath } = config.place;
  return RpcHost.open({
    services,
    guard,
    identity,
    listen,
    socketPath,
    log: log.child({ component: "rpc" }),
  });
}

function hosted(definition: ServiceDefinition, handlers: UntypedServiceImplementation): HostedService {
  return { definition, handlers };
}

function leaderViewOf(raft: RaftNode): LeaderView {
  return {
    get isLeader(): boolean {
      return raft.isLeader;
    },
    get leaderAddress(): string | undefined {
      return raft.leaderMember?.address;
    },
    onChange: (listener) => raft.onLeadership(() => listener()),
    readBarrier: (options) => raft.readBarrier(options),
  };
}

function leaderLink(view: LeaderView, duties: LeaderDuties, channels: ManagerChannels): LeaderLink {
  if (view.isLeader)
    return duties.reports === undefined ? { kind: "none" } : { kind: "local", reports: duties.reports };
  const address = view.leaderAddress;
  if (address === undefined) return { kind: "none" };
  return {
    kind: "remote",
    client: new LeaderReportsClient(address, channels.credentials(), {
      channelOverride: channels.to(address),
    }),
  };
}
