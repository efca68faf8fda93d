/**
 * A node that is in a swarm: its agent and its session, what the managers tell it, its certificate's renewal,
 * and the manager process that comes and goes with the role.
 * Edge: to the agent, the manager process and the node's files. A role is changed by renewing the
 * certificate, which carries the wished role; what was saved is always a pair that fits.
 */
import type { SwarmRecovery } from "../api/ports.js";
import type { Timer } from "../base/clock/clock.js";
import { messageOf, UnavailableError } from "../base/errors/errors.js";
import type { SessionUpdate } from "../proto/gen/skein/v1/dispatcher.js";
import { NodeRole } from "../proto/gen/skein/v1/types.js";
import { removeFolder, setFolderAside } from "./atomic-file.js";
import { certificateRole, renewalDelayMs } from "./certificate-clock.js";
import { renewAtAny } from "./join-client.js";
import { ManagerChannels } from "./manager-channels.js";
import type { ManagerChild } from "./manager-child.js";
import { joinAsManager, newManager } from "./node-manager.js";
import type { TlsIdentity } from "./rpc-host.js";
import type { SwarmAddresses } from "./swarm-addresses.js";
import { type Beginning, saveMember } from "./swarm-beginning.js";
import type { SwarmState } from "./swarm-files.js";
import type { NodeAgent, SwarmLifecycleOptions } from "./swarm-lifecycle-options.js";
import { tlsHashes } from "./tls-hashes.js";

const FIRST_SESSION_WAIT_MS = 10_000;
const RENEWAL_RETRY_MS = 5_000;
const TRUST_RETRY_MS = 1_000;
/** A timer holds at most 2^31 ms; a longer wait is looked at again after a day. */
const TIMER_MAX_MS = 86_400_000;

export interface SwarmMembershipHost {
  /** Runs after what is under way: one operation at a time. */
  readonly exclusively: <T>(operation: () => Promise<T>) => Promise<T>;
  /** A manager does not accept this node, in words; "" when one does again. */
  readonly onTrouble: (why: string) => void;
}

type TrustTold = Pick<SessionUpdate, "rootCaPem" | "issuerPublicKeySha256">;

export class SwarmMembership {
  readonly channels: ManagerChannels;
  readonly #options: SwarmLifecycleOptions;
  readonly #host: SwarmMembershipHost;
  #state: SwarmState;
  #manager: ManagerChild | undefined;
  #agent: NodeAgent | undefined;
  #managerNodes: readonly { readonly nodeId: string; readonly addr: string }[] = [];
  #renewal: Timer | undefined;
  #firstSession: (() => void) | undefined;
  #roleChange: "idle" | "running" = "idle";
  /** The role that the managers want this node to have, as the last session told. */
  #wished: SwarmState["role"] | undefined;
  #trustChange: "idle" | "running" = "idle";
  /** As the last session told. */
  #trustTold: TrustTold | undefined;
  #closed = false;

  constructor(
    options: SwarmLifecycleOptions,
    host: SwarmMembershipHost,
    { state, identity, manager }: Beginning,
  ) {
    this.#options = options;
    this.#host = host;
    this.#state = state;
    this.#manager = manager;
    this.channels = new ManagerChannels(identity);
    if (manager !== undefined) this.#adoptManager(manager);
    this.#scheduleRenewal();
    options.lock.bind({
      save: () => saveMember(options, this.#state, this.channels.identity),
      stoodOpen: () => {
        options.log.info("renewing the certificate: its private key stood open on the disk");
        this.#renewSoon();
      },
    });
  }

  get state(): SwarmState {
    return this.#state;
  }

  get manager(): ManagerChild | undefined {
    return this.#manager;
  }

  /** As the last session told. */
  get managerNodes(): readonly { readonly nodeId: string; readonly addr: string }[] {
    return this.#managerNodes;
  }

  /**
   * The manager ends and begins anew as the only one; the agent follows it to its address.
   * @throws what the manager says; then it goes on as before.
   */
  async forceNewCluster(addresses: SwarmAddresses): Promise<SwarmRecovery> {
    const { log, files } = this.#options;
    const { nodeId, clusterId } = this.#state;
    const { identity } = this.channels;
    await this.#manager?.stop();
    const manager = newManager(this.#options, addresses);
    try {
      const { recovery } = await manager.start({ kind: "force-new-cluster", nodeId, clusterId, identity });
      if (recovery === undefined) throw new UnavailableError("the manager gave no account");
      this.#adoptManager(manager);
      files.saveRecovery(recovery);
      this.#state = { ...this.#state, ...addresses, managers: [addresses.advertiseAddress] };
      files.saveState(this.#state);
      await this.#agent?.close({ leaving: false });
      await this.startAgent();
      return recovery;
    } catch (error) {
      await manager.stop();
      const former = newManager(this.#options, this.#state);
      this.#adoptManager(former);
      await former
        .start({ kind: "resume", nodeId, clusterId, identity })
        .catch((failure: unknown) =>
          log.error("the manager did not come back yet; it is tried again", { error: messageOf(failure) }),
        );
      throw error;
    }
  }

  #adoptManager(manager: ManagerChild | undefined): void {
    this.#manager = manager;
    const { localManager } = this.#options;
    localManager.close();
    if (manager === undefined) return;
    localManager.expect();
    manager.onServing((isServing) => {
      if (this.#manager !== manager) return;
      if (isServing) localManager.open();
      else localManager.lost();
    });
    manager.onTrouble(() => this.#tellTrouble(manager));
    manager.onRemoved((reason) => this.#onManagerRemoved(manager, reason));
  }

  /** The node's agent tells other managers why this one is not well: `node ls` anywhere shows it. */
  #tellTrouble(manager: ManagerChild): void {
    if (this.#manager === manager && !this.#closed) this.describe();
  }

  /** Something about this node has changed. */
  describe(): void {
    this.#agent?.describeAgain().catch((error: unknown) => {
      this.#options.log.debug("describing this node failed", { error: messageOf(error) });
    });
  }

  /**
   * The others removed this node's manager while it was away, in an orderly way or by forcing a new cluster.
   * They say in the next session what this node is to be: a worker, or a manager that joins anew.
   */
  #onManagerRemoved(manager: ManagerChild, reason: string): void {
    if (this.#manager !== manager || this.#closed) return;
    const advice =
      "when a manager accepts this node it goes on by itself, as a worker unless it was promoted again; " +
      "else run `skein swarm leave --force` and join again";
    this.#options.log.error("this node's manager has ended", { reason, advice });
    this.#options.localManager.close();
    this.#host.onTrouble(`${reason}: ${advice}`);
    this.#agent?.reconnect(reason);
  }

  /** Waits for the first session, but not for ever: the agent keeps trying. */
  async startAgent(): Promise<void> {
    const { clock, log, openAgent } = this.#options;
    const first = new Promise<void>((resolve) => {
      this.#firstSession = resolve;
    });
    const { nodeId, clusterId, dataPathAddress, managers } = this.#state;
    this.#agent = await openAgent({
      nodeId,
      clusterId,
      dataPathAddress,
      managers,
      channels: this.channels,
      managerTrouble: () => this.#manager?.trouble ?? "",
      onSessionUpdate: (update) => this.#onSessionUpdate(update),
      onRefused: (error) => {
        if (!this.#closed) this.#host.onTrouble(messageOf(error));
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

  /** The agent goes; `leaving`: for good, with its tasks. The manager serves on: its vote may be needed. */
  async closeAgent({ leaving }: { leaving: boolean }): Promise<void> {
    if (!leaving) this.#closed = true;
    this.#renewal?.cancel();
    await this.#agent?.close({ leaving });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#renewal?.cancel();
    this.#options.localManager.close();
    await this.#manager?.stop();
    this.channels.close();
  }

  #onSessionUpdate(update: SessionUpdate): void {
    this.#firstSession?.();
    this.#firstSession = undefined;
    if (this.#closed) return;
    this.#host.onTrouble("");
    this.#managerNodes = update.managers.map(({ nodeId, address }) => ({ nodeId, addr: address }));
    const managers = update.managers.map(({ address }) => address);
    if (managers.length > 0 && managers.join() !== this.#state.managers.join()) {
      this.#state = { ...this.#state, managers };
      this.#options.files.saveState(this.#state);
    }
    this.#wished = wishedRole(update) ?? this.#wished;
    this.#followTrust(update);
    this.#followWish();
    this.#correct(update);
  }

  /**
   * The cluster changes its root CA: this node trusts what it is told to, in the session of a manager that it
   * trusts so far, and gets a certificate of the root that signs now.
   */
  #followTrust({ rootCaPem, issuerPublicKeySha256 }: TrustTold): void {
    this.#trustTold = { rootCaPem, issuerPublicKeySha256 };
    const before = this.channels.identity;
    const isNew = rootCaPem !== "" && rootCaPem !== before.rootCaPem;
    const isSignedByOther =
      issuerPublicKeySha256 !== "" && issuerPublicKeySha256 !== tlsHashes(before).issuer;
    if ((!isNew && !isSignedByOther) || this.#trustChange === "running") return;
    this.#trustChange = "running";
    this.#host
      .exclusively(async () => {
        if (this.#closed) return;
        if (isNew) this.#takeTrust(rootCaPem);
        if (isSignedByOther) await this.#renew();
      })
      .then(
        () => {
          this.#trustChange = "idle";
          const told = this.#trustTold; // it may be another one by now
          if (told !== undefined && told.rootCaPem !== rootCaPem) this.#followTrust(told);
        },
        (error: unknown) => {
          this.#options.log.warn("following the new root CA failed; it is tried again", {
            error: messageOf(error),
          });
          this.#options.clock.setTimer(TRUST_RETRY_MS, () => {
            this.#trustChange = "idle";
            if (this.#trustTold !== undefined && !this.#closed) this.#followTrust(this.#trustTold);
          });
        },
      );
  }

  /** A session that began while the certificate was being exchanged has told of the one before. */
  #correct({ node }: SessionUpdate): void {
    const own = tlsHashes(this.channels.identity);
    const seen = node?.description;
    if (seen === undefined) return;
    if (seen.tlsIssuerPublicKeySha256 !== own.issuer || seen.tlsTrustRootSha256 !== own.trust)
      this.describe();
  }

  #takeTrust(rootCaPem: string): void {
    const identity = { ...this.channels.identity, rootCaPem };
    saveMember(this.#options, this.#state, identity);
    this.channels.exchangeIdentity(identity);
    this.#manager?.exchangeIdentity(identity);
    this.describe();
  }

  #followWish(): void {
    const { role } = this.#state;
    const mustJoinAnew = role === "manager" && this.#manager?.removed === true;
    if (this.#wished !== undefined && (this.#wished !== role || mustJoinAnew)) this.#changeRole();
  }

  /** Renews the certificate, which then carries the wished role. */
  #changeRole(): void {
    if (this.#roleChange === "running") return;
    this.#roleChange = "running";
    const followed = this.#wished;
    const { log, clock } = this.#options;
    this.#host
      .exclusively(async () => {
        if (!this.#closed) await this.#renew();
      })
      .then(
        () => {
          this.#roleChange = "idle";
          // Demoted, then promoted again before this was done: no other session will say so.
          if (this.#wished !== followed && !this.#closed) this.#followWish();
        },
        (error: unknown) => {
          log.warn("role change failed; it is tried again", { error: messageOf(error) });
          clock.setTimer(RENEWAL_RETRY_MS, () => {
            this.#roleChange = "idle";
            if (!this.#closed) this.#changeRole();
          });
        },
      );
  }

  async #renew(): Promise<void> {
    const { managers } = this.#state;
    if (managers.length === 0) throw new UnavailableError("no manager is known to renew the certificate");
    const { identity } = await renewAtAny(this.channels, managers, this.#options.localManager.endpoint());
    await this.#takeIdentity(identity);
  }

  /** Starts or stops the manager when the new certificate carries another role. */
  async #takeIdentity(identity: TlsIdentity): Promise<void> {
    const { log, managerDir } = this.#options;
    const role = certificateRole(identity.certificatePem);
    const before = this.#state.role;
    const isRemoved = this.#manager?.removed === true;
    if (isRemoved && before === "manager") {
      // From here on a daemon that dies comes back as a worker, and joins again if that is wished.
      this.#state = { ...this.#state, role: "worker" };
      saveMember(this.#options, this.#state, identity);
      setFolderAside(managerDir);
    }
    const promoted = role === "manager" && (before === "worker" || isRemoved);
    const joined = promoted ? await joinAsManager(this.#options, this.#state, identity) : undefined;
    this.#state = { ...this.#state, role };
    saveMember(this.#options, this.#state, identity);
    this.channels.exchangeIdentity(identity);
    if (joined !== undefined) this.#adoptManager(joined);
    this.#manager?.exchangeIdentity(identity);
    this.#agent?.reconnect("new certificate");
    const former = this.#manager;
    if (role === "worker" && former !== undefined) {
      this.#adoptManager(undefined);
      await former.stop();
      this.#options.lock.reset();
      removeFolder(managerDir);
    }
    if (role !== before) log.info("the node's role changed", { role });
    this.#scheduleRenewal();
  }

  #scheduleRenewal(): void {
    const { clock, random } = this.#options;
    this.#renewal?.cancel();
    const delayMs = renewalDelayMs(this.channels.identity.certificatePem, clock.nowMs(), random);
    this.#renewal = clock.setTimer(Math.min(delayMs, TIMER_MAX_MS), () => {
      if (delayMs > TIMER_MAX_MS) this.#scheduleRenewal();
      else this.#renewSoon();
    });
  }

  #renewSoon(): void {
    const { clock, log } = this.#options;
    this.#host
      .exclusively(async () => {
        if (!this.#closed) await this.#renew();
      })
      .catch((error: unknown) => {
        log.warn("certificate renewal failed; it is tried again", { error: messageOf(error) });
        if (!this.#closed) this.#renewal = clock.setTimer(RENEWAL_RETRY_MS, () => this.#scheduleRenewal());
      });
  }
}

function wishedRole({ node }: SessionUpdate): SwarmState["role"] | undefined {
  const desired = node?.spec?.desiredRole;
  if (desired === NodeRole.MANAGER) return "manager";
  return desired === NodeRole.WORKER ? "worker" : undefined;
}
