/**
 * One manager put together: its beginning, Raft, the store, what it answers (manager-services.ts), its keys.
 * Edge: composition of edges. Runs in the manager process; the world (clock, randomness, log) is handed in.
 * Invariant: what was opened is closed in reverse order, on a failure to open, too.
 */
import type { SwarmRecovery } from "../api/ports.js";
import type { Clock } from "../base/clock/clock.js";
import { NotLeaderError } from "../base/errors/errors.js";
import { Scope } from "../base/lifecycle/scope.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import type { SecretDrivers } from "../manager/dispatcher/driver-secrets.js";
import { type LockFollower, startKeyKeeper } from "../manager/keys/key-keeper.js";
import { dataKeyLockOf } from "../manager/keys/unlock-lock.js";
import { createMemoryStore } from "../manager/store/memory-store.js";
import type { Proposer, Store } from "../manager/store/types.js";
import type { ForcedCluster } from "../raft/host/force-new-cluster.js";
import { openRaftNode } from "../raft/host/host.js";
import type { RaftNode } from "../raft/host/raft-node.js";
import { GrpcTransport } from "../raft/transport/grpc-transport.js";
import { settleForcedCluster } from "./forced-cluster.js";
import { found, identityOf, startOf, storeWhenLeading } from "./manager-beginning.js";
import { MANAGER_SERVER_NAME, ManagerChannels } from "./manager-channels.js";
import type { ManagerConfig } from "./manager-messages.js";
import { serveManager } from "./manager-services.js";
import type { RpcHost, TlsIdentity } from "./rpc-host.js";

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
  /** Asks plugins for secrets' data. @default every driver refuses */
  readonly secretDrivers?: SecretDrivers;
}

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
  readonly #transport: GrpcTransport;

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
    transport: GrpcTransport;
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
    this.#transport = parts.transport;
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

      host = await serveManager({
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
        transport,
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
    this.#transport.renewConnections();
  }

  /** Hands leadership over, then ends everything. */
  close(): Promise<void> {
    return this.#scope.close();
  }
}
