/**
 * A node's life in swarms, as the API drives it: init, join, leave, and coming back after a restart.
 * Edge: to the manager process and the node's files. Operations run one after another;
 * each leaves either the old state or the new one.
 */
import type {
  SwarmBackend,
  SwarmInfo,
  SwarmInitRequest,
  SwarmJoinRequest,
  SwarmRecovery,
  SwarmRestoreAccount,
  SwarmRestoreRequest,
} from "../api/ports.js";
import { AbortedError, messageOf, UnavailableError } from "../base/errors/errors.js";
import { machineAddresses, parseHostPort, resolveHostPort } from "./address.js";
import { removeFolder } from "./atomic-file.js";
import { leaveRaft } from "./leave-raft.js";
import { leaveAsSaved, leaveThroughOthers } from "./leave-through-others.js";
import { openUnlocked, SWARM_LOCKED, unlockWith } from "./locked-member.js";
import { movedAddresses } from "./moved-addresses.js";
import { newManager } from "./node-manager.js";
import type { OpenIdentity } from "./sealed-identity.js";
import { DEFAULT_PORT } from "./swarm-addresses.js";
import { type Beginning, foundSwarm, joinSwarm } from "./swarm-beginning.js";
import type { SavedMember, SwarmState } from "./swarm-files.js";
import type { SwarmLifecycleOptions } from "./swarm-lifecycle-options.js";
import { SwarmMembership } from "./swarm-membership.js";
import { forcedAddresses, refuseWithQuorum } from "./swarm-recovering.js";
import { clearRestoring, restoreSwarm } from "./swarm-restoring.js";

/** For the connection to a manager that says that it serves. */
const CONNECT_WAIT_MS = 2_000;

export class SwarmLifecycle implements SwarmBackend {
  readonly #options: SwarmLifecycleOptions;
  #membership: SwarmMembership | undefined;
  #pending = false;
  #error = "";
  /** Why this node cannot return to the swarm it belonged to; only a forced leave ends this. */
  #damage: UnavailableError | undefined;
  /** A manager whose files wait for the unlock key. */
  #locked: SavedMember | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #stopping = new AbortController();
  #recalled: () => void = () => undefined;
  /** Resolves when `resume` knows whether this node belongs to a swarm, and as what: then `info` tells. */
  readonly recalled: Promise<void> = new Promise((resolve) => {
    this.#recalled = resolve;
  });

  constructor(options: SwarmLifecycleOptions) {
    this.#options = options;
  }

  info(): SwarmInfo {
    const membership = this.#membership;
    if (this.#locked !== undefined) {
      const { nodeId, advertiseAddress } = this.#locked.state;
      const nodeAddr = parseHostPort(advertiseAddress, DEFAULT_PORT).host;
      const none = { controlAvailable: false, remoteManagers: [] };
      return { nodeId, nodeAddr, state: "locked", error: SWARM_LOCKED, ...none };
    }
    return {
      nodeId: membership?.state.nodeId ?? "",
      nodeAddr:
        membership === undefined ? "" : parseHostPort(membership.state.advertiseAddress, DEFAULT_PORT).host,
      state:
        this.#error !== ""
          ? "error"
          : membership !== undefined
            ? "active"
            : this.#pending
              ? "pending"
              : "inactive",
      controlAvailable: membership?.manager?.started ?? false,
      error: this.#error || (membership?.manager?.failure ?? ""),
      remoteManagers: membership?.managerNodes ?? [],
    };
  }

  /**
   * Called once at start-up: goes back to the swarm this node belonged to.
   * Containers go on whatever happens here.
   */
  resume(): Promise<void> {
    return this.#exclusively(async () => {
      try {
        await this.#resume();
      } catch (error) {
        // A member on the disk must not look like a node without a swarm: one could be founded over it.
        this.#error = messageOf(error);
        if (this.#membership === undefined)
          this.#damage = new UnavailableError(this.#error, { cause: error });
        throw error;
      } finally {
        this.#recalled();
      }
    });
  }

  async #resume(): Promise<void> {
    const { files, managerDir, random, log } = this.#options;
    const saved = files.load();
    clearRestoring(this.#options, saved !== undefined);
    if (saved === undefined) return;
    const opened = await openUnlocked(saved, managerDir, random);
    if (opened !== undefined) return this.#comeBack(saved.state, opened);
    this.#locked = saved;
    log.warn("this manager is locked, and waits for the unlock key; containers go on");
  }

  async #comeBack(saved: SwarmState, { identity, lock }: OpenIdentity): Promise<void> {
    const state = this.#whereItIsNow(saved);
    this.#options.lock.reset(lock);
    const manager = state.role === "manager" ? newManager(this.#options, state) : undefined;
    const membership = this.#enter({ state, identity, manager });
    const { nodeId, clusterId } = state;
    this.#recalled();
    try {
      await manager?.start({ kind: "resume", nodeId, clusterId, identity });
      await this.#options.localManager.reached(CONNECT_WAIT_MS);
    } catch (error) {
      this.#error = messageOf(error);
      this.#options.log.error("the manager did not come back yet; tasks go on, and it is tried again", {
        error: this.#error,
      });
    }
    await membership.startAgent();
  }

  #whereItIsNow(saved: SwarmState): SwarmState {
    const { advertiseAddr, files, log } = this.#options;
    const before = saved.advertiseAddress;
    try {
      const said =
        advertiseAddr === undefined ? undefined : resolveHostPort(advertiseAddr, "--advertise-addr");
      const state = movedAddresses(saved, machineAddresses(), said);
      if (state === saved) return saved;
      log.warn("this node has another address", { address: state.advertiseAddress, before });
      files.saveState(state);
      return state;
    } catch (error) {
      log.error("this node goes on at the address it had", { address: before, error: messageOf(error) });
      return saved;
    }
  }

  init(request: SwarmInitRequest): Promise<string> {
    return this.#exclusively(async () => {
      if (request.forceNewCluster) return this.#forceNewCluster(request);
      this.#refuseWhenMember();
      const beginning = await foundSwarm(this.#options, request);
      await this.#enter(beginning).startAgent();
      return beginning.state.nodeId;
    });
  }

  async #forceNewCluster(request: SwarmInitRequest): Promise<string> {
    const membership = this.#membership;
    if (this.#damage !== undefined) throw this.#damage;
    if (this.#locked !== undefined) throw new UnavailableError(SWARM_LOCKED);
    if (membership === undefined) {
      throw new UnavailableError(
        "This node is not part of a swarm, so there is no state to force a new cluster from. " +
          "Run this on a manager that survived, or found a swarm without --force-new-cluster.",
      );
    }
    if (membership.manager === undefined) {
      throw new UnavailableError(
        "This node is not a swarm manager, so it has no state to force a new cluster from. " +
          "Run this on a manager that survived.",
      );
    }
    const addresses = forcedAddresses(request, membership.state);
    await refuseWithQuorum(this.#options);
    await membership.forceNewCluster(addresses);
    return membership.state.nodeId;
  }

  recovery(): SwarmRecovery | undefined {
    return this.#options.files.loadRecovery();
  }

  join(request: SwarmJoinRequest): Promise<void> {
    return this.#exclusively(async () => {
      this.#refuseWhenMember();
      this.#pending = true;
      try {
        const beginning = await joinSwarm(this.#options, request);
        await this.#enter(beginning).startAgent();
      } finally {
        this.#pending = false;
      }
    });
  }

  restore(request: SwarmRestoreRequest): Promise<SwarmRestoreAccount> {
    return this.#exclusively(async () => {
      this.#refuseWhenMember();
      this.#pending = true;
      try {
        const { beginning, account } = await restoreSwarm(this.#options, request, this.#stopping.signal);
        await this.#enter(beginning).startAgent();
        return account;
      } finally {
        this.#pending = false;
      }
    });
  }

  leave({ force }: { force: boolean }): Promise<void> {
    return this.#exclusively(async () => {
      const membership = this.#membership;
      if (this.#locked !== undefined && !force) {
        throw new UnavailableError(
          "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.",
        );
      }
      if ((this.#damage ?? this.#locked) !== undefined && force) {
        await leaveAsSaved(this.#options.files, this.#options.log);
        await this.#options.removeWorkload();
        this.#forget();
        return;
      }
      if (membership === undefined)
        throw this.#damage ?? new UnavailableError("This node is not part of a swarm");
      if (membership.manager !== undefined) {
        const { state, channels } = membership;
        const askOthers = () => leaveThroughOthers(state, channels.identity);
        await leaveRaft({ ...this.#options, nodeId: state.nodeId, force, askOthers });
      }
      await membership.closeAgent({ leaving: true });
      await this.#options.removeWorkload();
      await membership.close();
      this.#forget();
    });
  }

  /** The settings that this node tells the swarm of may have changed. */
  describe(): void {
    this.#membership?.describe();
  }

  /** Resolves when the manager is back, or is started again and again because something else is wrong. */
  unlock(unlockKey: string): Promise<void> {
    return this.#exclusively(async () => {
      const { managerDir, random, log } = this.#options;
      const locked = this.#locked;
      if (locked === undefined) {
        if (this.#membership === undefined) throw new UnavailableError("This node is not part of a swarm");
        throw new AbortedError("swarm is not locked");
      }
      const opened = await unlockWith(unlockKey, locked, managerDir, random);
      log.info("this manager is unlocked");
      await this.#comeBack(locked.state, opened);
    });
  }

  /** The daemon stops: containers and kernel state stay. */
  close(): Promise<void> {
    this.#stopping.abort();
    return this.#exclusively(async () => {
      await this.#membership?.closeAgent({ leaving: false });
      await this.#membership?.close();
    });
  }

  #enter(beginning: Beginning): SwarmMembership {
    const membership: SwarmMembership = new SwarmMembership(
      this.#options,
      {
        exclusively: (operation) => this.#exclusively(operation),
        onTrouble: (why) => {
          if (this.#membership === membership) this.#error = why;
        },
      },
      beginning,
    );
    this.#membership = membership;
    this.#locked = undefined;
    return membership;
  }

  #forget(): void {
    removeFolder(this.#options.managerDir);
    removeFolder(`${this.#options.managerDir}.dropped`);
    this.#options.files.remove();
    this.#options.lock.release();
    this.#membership = undefined;
    this.#locked = undefined;
    this.#damage = undefined;
    this.#error = "";
  }

  #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(operation, operation);
    this.#queue = turn.catch((error: unknown) =>
      this.#options.log.debug("swarm operation failed", { error: messageOf(error) }),
    );
    return turn;
  }

  #refuseWhenMember(): void {
    if (this.#damage !== undefined) throw this.#damage; // init would erase what may still be mended
    if ((this.#membership ?? this.#locked) !== undefined) {
      throw new UnavailableError(
        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join ' +
          "another one.",
      );
    }
  }
}
