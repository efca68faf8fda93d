/**
 * A node's life in a swarm: init, join, promotion and demotion, certificate renewal, leave,
 * and coming back after a restart.
 * Edge: to the manager process and the node's files. Operations run one after another;
 * each leaves either the old state or the new one.
 */
import type { SwarmBackend, SwarmInfo, SwarmInitRequest, SwarmJoinRequest } from "../api/ports.js";
import type { Clock, Timer } from "../base/clock/clock.js";
import {
  FailedPreconditionError,
  messageOf,
  NotImplementedError,
  UnavailableError,
} from "../base/errors/errors.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import type { SessionUpdate } from "../proto/gen/skein/v1/dispatcher.js";
import { NodeRole } from "../proto/gen/skein/v1/types.js";
import { formatHostPort, parseHostPort } from "./address.js";
import { removeFolder } from "./atomic-file.js";
import { certificateRole, renewalDelayMs } from "./certificate-clock.js";
import { renewAtAny, requestIdentity } from "./join-client.js";
import { leaveRaft } from "./leave-raft.js";
import type { LocalManager } from "./local-manager.js";
import { ManagerChannels } from "./manager-channels.js";
import { ManagerChild } from "./manager-child.js";
import type { ManagerMode } from "./manager-messages.js";
import type { TlsIdentity } from "./rpc-host.js";
import { DEFAULT_PORT, swarmAddresses } from "./swarm-addresses.js";
import type { SwarmFiles, SwarmState } from "./swarm-files.js";

/** The agent as the life cycle drives it. */
export interface NodeAgent {
  /** `leaving`: tells the managers that this node goes for good. */
  close(options: { leaving: boolean }): Promise<void>;
  /** Ends the session, so that the next one shows the new certificate. */
  reconnect(reason: string): void;
}

export interface AgentRequest {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly dataPathAddress: string;
  readonly managers: readonly string[];
  readonly channels: ManagerChannels;
  readonly onSessionUpdate: (update: SessionUpdate) => void;
  /** A manager does not accept this node, which goes on asking. */
  readonly onRefused: (error: Error) => void;
}

export interface SwarmLifecycleOptions {
  readonly files: SwarmFiles;
  readonly hostname: string;
  /** Folder of the manager's log and state. */
  readonly managerDir: string;
  readonly localManager: LocalManager;
  readonly managerUser: { readonly uid: number; readonly gid: number } | undefined;
  readonly logLevel: string;
  readonly openAgent: (request: AgentRequest) => Promise<NodeAgent>;
  /** Stops and removes every task's container and all networking: the last step of leaving. */
  readonly removeWorkload: () => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const DEFAULT_POOL = ["10.0.0.0/8"];
const DEFAULT_SUBNET_SIZE = 24;
const DEFAULT_VXLAN_PORT = 4789;
const FIRST_SESSION_WAIT_MS = 10_000;
const RENEWAL_RETRY_MS = 5_000;

interface Membership {
  state: SwarmState;
  readonly channels: ManagerChannels;
  agent: NodeAgent | undefined;
  manager: ManagerChild | undefined;
  managerNodes: readonly { readonly nodeId: string; readonly addr: string }[];
  renewal: Timer | undefined;
}

export class SwarmLifecycle implements SwarmBackend {
  readonly #options: SwarmLifecycleOptions;
  #membership: Membership | undefined;
  #pending = false;
  #error = "";
  /** Why this node cannot return to the swarm it belonged to; only a forced leave ends this. */
  #damage: UnavailableError | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #firstSession: (() => void) | undefined;
  #roleChange: "idle" | "running" = "idle";
  #closed = false;

  constructor(options: SwarmLifecycleOptions) {
    this.#options = options;
  }

  info(): SwarmInfo {
    const membership = this.#membership;
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
      const saved = this.#load();
      if (saved === undefined) return;
      const { state, identity } = saved;
      const membership = this.#enter(state, identity);
      if (state.role === "manager") {
        membership.manager = this.#newManager(membership.state);
        this.#options.localManager.open();
        try {
          await membership.manager.start({
            kind: "resume",
            nodeId: state.nodeId,
            clusterId: state.clusterId,
            identity,
          });
        } catch (error) {
          this.#error = messageOf(error);
          this.#options.log.error("the manager did not come back yet; tasks go on, and it is tried again", {
            error: this.#error,
          });
        }
      }
      await this.#startAgent(membership);
    });
  }

  init(request: SwarmInitRequest): Promise<string> {
    return this.#exclusively(async () => {
      this.#refuseWhenMember();
      if (request.forceNewCluster)
        throw new NotImplementedError("swarm init --force-new-cluster is not implemented yet");
      if (request.autoLockManagers)
        throw new NotImplementedError("swarm init --autolock is not implemented yet");
      const addresses = swarmAddresses(request);
      const mode: ManagerMode = {
        kind: "init",
        spec: request.spec,
        addressPools: request.defaultAddrPool.length > 0 ? request.defaultAddrPool : DEFAULT_POOL,
        subnetSize: request.subnetSize || DEFAULT_SUBNET_SIZE,
        vxlanUdpPort: request.dataPathPort || DEFAULT_VXLAN_PORT,
        availability: request.availability,
        autolock: false,
      };
      removeFolder(this.#options.managerDir);
      const manager = this.#newManager(addresses);
      const ready = await manager.start(mode);
      if (ready.identity === undefined) throw new UnavailableError("the manager made no certificate");
      const state: SwarmState = {
        ...addresses,
        nodeId: ready.nodeId,
        clusterId: ready.clusterId,
        role: "manager",
        managers: [addresses.advertiseAddress],
      };
      this.#save(state, ready.identity);
      const membership = this.#enter(state, ready.identity);
      membership.manager = manager;
      this.#options.localManager.open();
      await this.#startAgent(membership);
      return state.nodeId;
    });
  }

  join(request: SwarmJoinRequest): Promise<void> {
    return this.#exclusively(async () => {
      this.#refuseWhenMember();
      const remoteAddresses = request.remoteAddrs.map((text) =>
        formatHostPort(parseHostPort(text, DEFAULT_PORT)),
      );
      const addresses = swarmAddresses(request);
      this.#pending = true;
      try {
        const { identity, reply } = await requestIdentity({
          token: request.joinToken,
          remoteAddresses,
          availability: request.availability,
          advertiseIp: parseHostPort(addresses.advertiseAddress, DEFAULT_PORT).host,
        });
        const state: SwarmState = {
          ...addresses,
          nodeId: reply.nodeId,
          clusterId: reply.clusterId,
          role: reply.role === NodeRole.MANAGER ? "manager" : "worker",
          managers: reply.managerAddresses.length > 0 ? reply.managerAddresses : remoteAddresses,
        };
        let manager: ManagerChild | undefined;
        if (state.role === "manager") {
          manager = await this.#joinAsManager(state, identity);
        }
        this.#save(state, identity);
        const membership = this.#enter(state, identity);
        membership.manager = manager;
        if (manager !== undefined) this.#options.localManager.open();
        await this.#startAgent(membership);
      } finally {
        this.#pending = false;
      }
    });
  }

  leave({ force }: { force: boolean }): Promise<void> {
    return this.#exclusively(async () => {
      const membership = this.#membership;
      if (this.#damage !== undefined && force) {
        await this.#options.removeWorkload();
        this.#forget();
        return;
      }
      if (membership === undefined)
        throw this.#damage ?? new UnavailableError("This node is not part of a swarm");
      if (membership.manager !== undefined)
        await leaveRaft({ ...this.#options, nodeId: membership.state.nodeId, force });
      await membership.agent?.close({ leaving: true });
      await this.#options.removeWorkload();
      this.#options.localManager.close();
      await membership.manager?.stop();
      membership.renewal?.cancel();
      membership.channels.close();
      this.#forget();
    });
  }

  #forget(): void {
    removeFolder(this.#options.managerDir);
    this.#options.files.remove();
    this.#membership = undefined;
    this.#damage = undefined;
    this.#error = "";
  }

  #load(): ReturnType<SwarmFiles["load"]> {
    try {
      return this.#options.files.load();
    } catch (error) {
      this.#error = messageOf(error);
      this.#damage = new UnavailableError(this.#error);
      throw error;
    }
  }

  async unlock(_key: string): Promise<void> {
    throw new FailedPreconditionError("swarm is not locked");
  }

  /** The daemon stops: containers and kernel state stay. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#exclusively(async () => {
      const membership = this.#membership;
      if (membership === undefined) return;
      membership.renewal?.cancel();
      await membership.agent?.close({ leaving: false });
      this.#options.localManager.close();
      await membership.manager?.stop();
      membership.channels.close();
    });
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
    if (this.#membership !== undefined) {
      throw new UnavailableError(
        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join ' +
          "another one.",
      );
    }
  }

  #newManager(addresses: { listenAddress: string; advertiseAddress: string }): ManagerChild {
    const { managerDir, localManager, managerUser, logLevel, clock, random, log, hostname } = this.#options;
    return new ManagerChild({
      place: {
        dir: managerDir,
        socketPath: localManager.socketPath,
        listen: parseHostPort(addresses.listenAddress, DEFAULT_PORT),
        advertiseAddress: addresses.advertiseAddress,
        hostname,
      },
      user: managerUser,
      logLevel,
      clock,
      random,
      log,
    });
  }

  async #joinAsManager(state: SwarmState, identity: TlsIdentity): Promise<ManagerChild> {
    removeFolder(this.#options.managerDir);
    const manager = this.#newManager(state);
    await manager.start({
      kind: "join",
      nodeId: state.nodeId,
      clusterId: state.clusterId,
      identity,
      managers: state.managers,
    });
    return manager;
  }

  #save(state: SwarmState, identity: TlsIdentity): void {
    this.#options.files.saveIdentity(identity);
    this.#options.files.saveState(state);
  }

  #enter(state: SwarmState, identity: TlsIdentity): Membership {
    const membership: Membership = {
      state,
      channels: new ManagerChannels(identity),
      agent: undefined,
      manager: undefined,
      managerNodes: [],
      renewal: undefined,
    };
    this.#membership = membership;
    this.#scheduleRenewal(membership);
    return membership;
  }

  async #startAgent(membership: Membership): Promise<void> {
    const { clock, log } = this.#options;
    const first = new Promise<void>((resolve) => {
      this.#firstSession = resolve;
    });
    const { nodeId, clusterId, dataPathAddress, managers } = membership.state;
    membership.agent = await this.#options.openAgent({
      nodeId,
      clusterId,
      dataPathAddress,
      managers,
      channels: membership.channels,
      onSessionUpdate: (update) => this.#onSessionUpdate(membership, update),
      onRefused: (error) => {
        if (this.#membership === membership) this.#error = messageOf(error);
        this.#firstSession?.(); // an answer, too: whoever waits for the first one need not
      },
    });
    const abort = new AbortController();
    await Promise.race([
      first,
      clock.sleep(FIRST_SESSION_WAIT_MS, { signal: abort.signal }).then(
        () => log.warn("no manager has answered yet; the agent keeps trying", { managers }),
        () => undefined, // the first session came in time
      ),
    ]);
    abort.abort();
  }

  #onSessionUpdate(membership: Membership, update: SessionUpdate): void {
    this.#firstSession?.();
    this.#firstSession = undefined;
    if (this.#membership !== membership || this.#closed) return;
    this.#error = "";
    membership.managerNodes = update.managers.map(({ nodeId, address }) => ({ nodeId, addr: address }));
    const managers = update.managers.map(({ address }) => address);
    if (managers.length > 0 && managers.join() !== membership.state.managers.join()) {
      membership.state = { ...membership.state, managers };
      this.#options.files.saveState(membership.state);
    }
    const desired = update.node?.spec?.desiredRole;
    const wanted =
      desired === NodeRole.MANAGER
        ? "manager"
        : desired === NodeRole.WORKER
          ? "worker"
          : membership.state.role;
    if (wanted !== membership.state.role) this.#changeRole(membership);
  }

  /**
   * Renews the certificate, which then carries the wished role, and starts or stops the manager accordingly.
   */
  #changeRole(membership: Membership): void {
    if (this.#roleChange === "running") return;
    this.#roleChange = "running";
    const { log, clock } = this.#options;
    this.#exclusively(async () => {
      if (this.#membership === membership) await this.#renew(membership);
    }).then(
      () => {
        this.#roleChange = "idle";
      },
      (error: unknown) => {
        log.warn("role change failed; it is tried again", { error: messageOf(error) });
        clock.setTimer(RENEWAL_RETRY_MS, () => {
          this.#roleChange = "idle";
          if (this.#membership === membership && !this.#closed) this.#changeRole(membership);
        });
      },
    );
  }

  async #renew(membership: Membership): Promise<void> {
    const { log } = this.#options;
    const address = membership.state.managers[0];
    if (address === undefined) throw new UnavailableError("no manager is known to renew the certificate");
    const { identity } = await renewAtAny(membership.channels, membership.state.managers);
    const role = certificateRole(identity.certificatePem);
    const before = membership.state.role;
    if (role === "manager" && before === "worker") {
      membership.manager = await this.#joinAsManager(membership.state, identity);
    }
    membership.state = { ...membership.state, role };
    this.#save(membership.state, identity);
    membership.channels.exchangeIdentity(identity);
    membership.manager?.exchangeIdentity(identity);
    membership.agent?.reconnect("new certificate");
    if (role === "manager" && before === "worker") this.#options.localManager.open();
    if (role === "worker" && before === "manager") {
      this.#options.localManager.close();
      await membership.manager?.stop();
      membership.manager = undefined;
      removeFolder(this.#options.managerDir);
    }
    if (role !== before) log.info("the node's role changed", { role });
    this.#scheduleRenewal(membership);
  }

  #scheduleRenewal(membership: Membership): void {
    const { clock, random, log } = this.#options;
    membership.renewal?.cancel();
    const delayMs = renewalDelayMs(membership.channels.identity.certificatePem, clock.nowMs(), random);
    // A timer holds at most 2^31 ms; a longer wait is looked at again after a day.
    membership.renewal = clock.setTimer(Math.min(delayMs, 86_400_000), () => {
      if (delayMs > 86_400_000) {
        this.#scheduleRenewal(membership);
        return;
      }
      this.#exclusively(() => this.#renew(membership)).catch((error: unknown) => {
        log.warn("certificate renewal failed; it is tried again", { error: messageOf(error) });
        membership.renewal = clock.setTimer(RENEWAL_RETRY_MS, () => this.#scheduleRenewal(membership));
      });
    });
  }
}
