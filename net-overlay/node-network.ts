/**
 * The network of this node: resources in, plans out to the data plane, sandboxes for tasks.
 * One thing at a time, in the order asked.
 * Pure (the world comes as ports). Invariants: kernel state follows from resources and sandboxes alone;
 * what failed to apply is tried again with the next change and keeps `appliedRevision` back.
 * Source: docs/design/network.md.
 */
import type { Clock, Timer } from "../base/clock/clock.js";
import { messageOf } from "../base/errors/errors.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import type { PortBinding } from "../proto/engine/networks.js";
import type { Task } from "../proto/gen/skein/v1/objects.js";
import { AuditBook, type AuditReport, type NetworkInspection } from "./audit/audit-report.js";
import { Auditor } from "./audit/auditor.js";
import { HOST_PLACE } from "./audit/kernel-audit.js";
import { stateDigests } from "./audit/state-digest.js";
import { ContainerPlugs } from "./container-plugs.js";
import type { DataPlane } from "./dataplane/data-plane.js";
import type { SandboxRecords } from "./dataplane/sandbox-records.js";
import { DirtyPlans } from "./dirty-plans.js";
import type { AskerView } from "./discovery/resolve.js";
import { isPortPublished } from "./endpoints/host-ports.js";
import type { NftProtocol } from "./endpoints/sandbox.js";
import { nftProtocol } from "./endpoints/sandbox.js";
import type { IdleSockets } from "./idle/idle-sockets.js";
import { IdleWatch } from "./idle/idle-watch.js";
import type { NetworkGround } from "./network-ground.js";
import { createNetworkGround } from "./network-ground.js";
import type {
  EncryptedPair,
  EncryptionFacts,
  NetworkChangeSet,
  NetworkPlane,
  NodeNetworkIdentity,
  PathReport,
  TaskNetwork,
  TaskSandbox,
} from "./network-plane.js";
import type { CollisionHolders } from "./paths/collision-watch.js";
import { NodePaths } from "./paths/node-paths.js";
import type { ProbeTunnel } from "./paths/probe-tunnel.js";
import type { PortRelays } from "./proxy/port-relays.js";
import { inSlices } from "./slices.js";
import type { SandboxDns } from "./task-sandboxes.js";
import { TaskSandboxes } from "./task-sandboxes.js";
import { Turns } from "./turns.js";

/** Docker and firewalls make their rules anew when they restart, and tell nobody. */
const HOST_CHECK_PERIOD_MS = 30_000;
/** Sandboxes between two turns of others: a namespace is entered for each. */
const RESIZED_AT_ONCE = 16;

export interface NodeNetworkOptions {
  readonly dataPlane: DataPlane;
  readonly records: SandboxRecords;
  readonly dns: (viewOf: (taskId: string) => AskerView | undefined) => SandboxDns;
  /** The host's resolv.conf, of which tasks get search domains and options. @default "" */
  readonly hostResolvConf?: () => string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Who has what this node needs. */
  readonly holders?: CollisionHolders;
  /** Absent: connections may be idle until the kernel forgets them. */
  readonly idleSockets?: IdleSockets;
  /** Absent: no path is looked at. */
  readonly probes?: ProbeTunnel;
  /** Absent: published ports with PROXY protocol are closed. */
  readonly relays?: () => Promise<PortRelays>;
}

const UNKNOWN_HOLDERS: CollisionHolders = {
  ofPort: () => Promise.resolve("another program"),
  ofMesh: () => Promise.resolve("another program"),
};

export class NodeNetwork implements NetworkPlane {
  readonly #ground: NetworkGround;
  readonly #plans: DirtyPlans;
  readonly #sandboxes: TaskSandboxes;
  readonly #turns: Turns;
  readonly #onPathMtu = new Set<() => void>();
  readonly #paths: NodePaths | undefined;
  readonly #auditor: Auditor | undefined;
  readonly #idle: IdleWatch | undefined;
  readonly containers: ContainerPlugs;
  /** Whether resources were ever told in this life. */
  #isInformed = false;
  #isHostChecked = false;
  #appliedRevision = 0;
  #knownRevision = 0;
  #hostCheck: Timer | undefined;
  #addressCheck: Timer | undefined;
  #closed = false;

  constructor(options: NodeNetworkOptions) {
    this.#ground = createNetworkGround(options);
    this.#turns = new Turns(options.clock);
    this.#auditor = this.#createAuditor(this.#ground);
    const { holders = UNKNOWN_HOLDERS, probes: tunnel, random } = options;
    if (tunnel !== undefined) {
      const onMtu = (pathMtuBytes: number): void => this.#followPathMtu(pathMtuBytes);
      const onTxChecksum = (isOn: boolean): void => this.#ground.dataPlane.setTxChecksum(isOn);
      this.#paths = new NodePaths(this.#ground, {
        ...{ tunnel, onMtu, onTxChecksum },
        random: random.child("paths"),
      });
    }
    const { clock, log, sandboxes } = this.#ground;
    const { idleSockets: sockets } = options;
    if (sockets !== undefined)
      this.#idle = new IdleWatch({ sockets, sandboxes: () => sandboxes.values(), clock, log });
    const tryAgain = (): void => this.#tryAgain();
    this.#ground.encryption.onBroken(() => {
      this.#plans.markEncryption();
      this.#tryAgain();
    });
    const { relays } = options;
    this.#plans = new DirtyPlans(this.#ground, {
      ...{ tryAgain, holders },
      ...(relays === undefined ? {} : { relays }),
    });
    this.#sandboxes = new TaskSandboxes({
      ground: this.#ground,
      plans: this.#plans,
      records: options.records,
      networksIn: (netnsPath) => this.containers.networksIn(netnsPath),
      dns: options.dns,
      hostResolvConf: options.hostResolvConf,
    });
    this.containers = new ContainerPlugs({
      ground: this.#ground,
      plans: this.#plans,
      turns: this.#turns,
      namesOf: (networkId) => this.#sandboxes.namesOf(networkId),
    });
  }

  audits(): AuditReport {
    return this.#auditor?.report ?? new AuditBook().read();
  }

  async inspect(): Promise<NetworkInspection> {
    const report = (await this.#auditor?.auditAll()) ?? new AuditBook().read();
    return {
      appliedRevision: this.#appliedRevision,
      toldRevision: this.#knownRevision,
      report,
      digests: await stateDigests(this.#ground.state, () => this.#ground.clock.sleep(0)),
    };
  }

  get trouble(): string {
    return this.#ground.troubles.text;
  }

  get pathMtuBytes(): number {
    return this.#paths?.mtuBytes ?? 0;
  }

  get nodeAddresses(): readonly string[] {
    return this.#ground.ownAddresses.list;
  }

  paths(): readonly PathReport[] {
    return this.#paths?.report() ?? [];
  }

  onDescribed(listener: () => void): () => void {
    const { troubles, encryption, ownAddresses } = this.#ground;
    const stops = [
      troubles.onChange(listener),
      encryption.onFacts(listener),
      ownAddresses.onChange(listener),
    ];
    this.#onPathMtu.add(listener);
    return () => {
      this.#onPathMtu.delete(listener);
      for (const stop of stops) stop();
    };
  }

  encryptionFacts(): EncryptionFacts {
    return this.#ground.encryption.facts();
  }

  encryptedPairs(): readonly EncryptedPair[] {
    return this.#ground.encryption.pairs();
  }

  get appliedRevision(): number {
    return this.#appliedRevision;
  }

  configure(identity: NodeNetworkIdentity): Promise<void> {
    return this.#turns.take(async () => {
      const last = this.#ground.identity;
      const isSame =
        last?.nodeId === identity.nodeId &&
        last.number === identity.number &&
        last.dataPathAddress === identity.dataPathAddress &&
        last.vxlanUdpPort === identity.vxlanUdpPort;
      if (!isSame) {
        this.#ground.identity = identity;
        if (last === undefined) await this.#sandboxes.adopt();
        this.#plans.markMesh();
        for (const networkId of this.#ground.state.networks.keys()) this.#plans.markNetwork(networkId);
      }
      await this.#applyKnown();
    });
  }

  apply(changes: NetworkChangeSet): Promise<void> {
    return this.#turns.take(async () => {
      const { state, clock } = this.#ground;
      const touched = await inSlices(state.applySteps(changes), clock);
      for (const networkId of touched.networkIds) {
        this.#plans.markNetwork(networkId);
      }
      if (changes.complete) {
        for (const networkId of this.#ground.dataPlane.listOverlays()) this.#plans.markNetwork(networkId);
      }
      this.#plans.markChanges(touched);
      if (changes.complete) this.#plans.markMesh();
      if (touched.networkKeys || touched.peerNodeIds.size > 0 || changes.complete)
        this.#plans.markEncryption();
      this.#knownRevision = Math.max(this.#knownRevision, changes.revision);
      // after a restart the kernel has what names lead to; later a name must not come before its way
      const isFirst = !this.#isInformed;
      this.#isInformed = true;
      if (isFirst) await this.#sandboxes.learnNames(changes);
      // what fails to apply is tried again, but what is told is told once
      this.#idle?.learn(changes);
      this.containers.told();
      try {
        await this.#applyKnown();
      } finally {
        if (!isFirst) await this.#sandboxes.learnNames(changes);
      }
      this.#appliedRevision = this.#knownRevision;
    });
  }

  portsReleased(task: Task, { signal }: { signal: AbortSignal }): Promise<void> {
    return this.#sandboxes.portsReleased(task, signal);
  }

  attachTask(task: Task, options: { hostname: string; extraHosts: readonly string[] }): Promise<TaskSandbox> {
    return this.#turns.take(() => this.#sandboxes.attach(task, options));
  }

  isPublished(protocol: NftProtocol, port: number): boolean {
    const { state, sandboxes } = this.#ground;
    return isPortPublished({ protocol, port }, { state, sandboxes: sandboxes.values() });
  }

  taskNetworks(taskId: string): readonly TaskNetwork[] {
    const overlays = this.#ground.sandboxes.get(taskId)?.overlays ?? [];
    return overlays.map((overlay) => ({
      ...overlay,
      name: this.#ground.state.networks.get(overlay.networkId)?.name ?? "",
    }));
  }

  taskPorts(taskId: string): readonly PortBinding[] {
    return (this.#ground.sandboxes.get(taskId)?.hostPorts ?? []).map((port) => ({
      containerPort: port.targetPort,
      protocol: nftProtocol(port.protocol),
      hostAddress: "",
      hostPort: port.publishedPort,
    }));
  }

  async detachTask(taskId: string): Promise<void> {
    await this.#turns.take(async () => {
      const sandbox = this.#ground.sandboxes.get(taskId);
      if (sandbox !== undefined) await this.#sandboxes.takeOut(sandbox);
    });
    await this.#ground.dataPlane.removeSandbox(taskId); // takes milliseconds in the kernel: nobody else waits
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    const found = new Set([...this.#ground.sandboxes.keys(), ...this.#ground.dataPlane.listSandboxes()]);
    const strays = [...found].filter((id) => !taskIds.has(id) && !this.containers.has(id));
    for (const taskId of strays.sort()) await this.detachTask(taskId);
  }

  removeAll(): Promise<void> {
    return this.#turns.take(async () => {
      this.#hostCheck?.cancel();
      this.#hostCheck = undefined;
      this.#addressCheck?.cancel();
      this.#addressCheck = undefined;
      this.#auditor?.stop();
      await this.#paths?.remove();
      this.#sandboxes.forgetAll();
      this.containers.clear();
      this.#idle?.clear();
      this.#ground.state.apply({ complete: true, upserts: [], removals: [] });
      this.#plans.clear();
      this.#ground.identity = undefined;
      this.#isInformed = false;
      this.#isHostChecked = false;
      await this.#ground.encryption.removeAll();
      this.#appliedRevision = 0;
      this.#knownRevision = 0;
      await this.#ground.dataPlane.removeAll();
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#auditor?.stop();
    this.#idle?.stop();
    await this.#turns.idle();
    this.#hostCheck?.cancel();
    this.#addressCheck?.cancel();
    this.#plans.stop();
    this.#sandboxes.close();
    this.#paths?.close();
    this.#ground.encryption.close();
    this.#ground.dataPlane.close();
  }

  #createAuditor({ dataPlane, clock, log, sandboxes }: NetworkGround): Auditor | undefined {
    const { audit: kernel } = dataPlane;
    if (kernel === undefined) return undefined;
    const reapply = async (place: string): Promise<void> => {
      const [kind, id = ""] = place.split(" ");
      if (place === HOST_PLACE) this.#plans.markMesh();
      else if (kind === "network") this.#plans.markNetwork(id);
      await this.#plans.apply({ failing: "log" });
    };
    return new Auditor({
      ...{ kernel, clock, log, sandboxes, reapply },
      turn: (work) => this.#turns.take(work),
    });
  }

  /**
   * Until somebody said what there is, the kernel keeps what it has from the daemon's life before:
   * tasks are served meanwhile.
   */
  async #applyKnown(): Promise<void> {
    if (this.#ground.identity === undefined || !this.#isInformed) return;
    if (this.#auditor === undefined)
      this.#hostCheck ??= this.#ground.clock.setInterval(HOST_CHECK_PERIOD_MS, () => this.#checkHost());
    else this.#auditor.start(); // its first look has to wait for this turn's end
    this.#addressCheck ??= this.#ground.clock.setInterval(HOST_CHECK_PERIOD_MS, () =>
      this.#followAddresses(),
    );
    const isFirst = !this.#isHostChecked;
    this.#paths?.follow();
    await this.#plans.apply();
    if (isFirst) this.#checkHost();
  }

  /** An address of IPv6 may come by advertisement, long after the node has started. */
  #followAddresses(): void {
    this.#later(async () => {
      if (this.#plans.lookAtAddresses()) await this.#plans.apply({ failing: "log" });
    });
  }

  /** Tunnels and interfaces to be made take what passes between nodes. */
  #followPathMtu(pathMtuBytes: number): void {
    for (const listener of [...this.#onPathMtu]) listener();
    this.#later(async () => {
      const { dataPlane, state, sandboxes, clock } = this.#ground;
      dataPlane.limitPath(pathMtuBytes);
      this.#plans.markMesh();
      for (const networkId of state.networks.keys()) this.#plans.markNetwork(networkId);
      await this.#plans.apply({ failing: "log" });
      const all = [...sandboxes.values()];
      for (let at = 0; at < all.length; at += RESIZED_AT_ONCE) {
        dataPlane.resizeGateways(all.slice(at, at + RESIZED_AT_ONCE));
        await clock.sleep(0);
      }
    });
  }

  #tryAgain(): void {
    this.#later(async () => {
      await this.#plans.apply({ failing: "log" });
      if (!this.#plans.isRetrying) this.#appliedRevision = this.#knownRevision;
    });
  }

  /** In turn, for nobody who waits for it: what fails is logged. */
  #later(work: () => Promise<void>): void {
    const turn = this.#turns.take(async () => {
      if (this.#ground.identity !== undefined && !this.#closed) await work();
    });
    turn.catch((error: unknown) => {
      this.#ground.log.warn("the network could not be looked after", { error: messageOf(error) });
    });
  }

  #checkHost(): void {
    const { dataPlane, log } = this.#ground;
    this.#isHostChecked = true;
    try {
      if (dataPlane.checkHost()) return;
    } catch (error) {
      // The next look comes soon.
      log.warn("the host's rules could not be looked at", { error: messageOf(error) });
      return;
    }
    log.warn("the mesh's rules were removed by somebody else and are made again");
    this.#plans.markMesh();
    this.#tryAgain();
  }
}
