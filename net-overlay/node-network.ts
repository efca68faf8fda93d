/**
 * The network of this node: resources in, plans out to the data plane, sandboxes for tasks.
 * One thing at a time, in the order asked.
 * Pure (the world comes as ports). Invariants: kernel state follows from resources and sandboxes alone;
 * what failed to apply is tried again with the next change and keeps `appliedRevision` back; a sandbox is
 * remembered before it is handed out.
 * Source: docs/design/network.md.
 */
import type { Clock, Timer } from "../base/clock/clock.js";
import { FailedPreconditionError, messageOf } from "../base/errors/errors.js";
import type { Logger } from "../base/log/logger.js";
import type { PortBinding } from "../proto/engine/networks.js";
import type { Task } from "../proto/gen/skein/v1/objects.js";
import { PublishMode } from "../proto/gen/skein/v1/types.js";
import type { DataPlane } from "./dataplane/data-plane.js";
import type { SandboxRecords } from "./dataplane/sandbox-records.js";
import type { NetworkNames } from "./discovery/network-names.js";
import { buildNetworkNames } from "./discovery/network-names.js";
import type { AskerView } from "./discovery/resolve.js";
import { claimHostPorts, isPortPublished } from "./endpoints/host-ports.js";
import { planMesh } from "./endpoints/mesh-plan.js";
import { NetworkState } from "./endpoints/network-state.js";
import { planOverlay } from "./endpoints/overlay-plan.js";
import type { NftProtocol, Sandbox } from "./endpoints/sandbox.js";
import {
  chooseGatewayHost,
  etcHostsOf,
  needsGateway,
  nftProtocol,
  overlaysOf,
  portText,
  resolvConfOf,
} from "./endpoints/sandbox.js";
import type {
  NetworkChangeSet,
  NetworkPlane,
  NodeNetworkIdentity,
  TaskNetwork,
  TaskSandbox,
} from "./network-plane.js";
import { transitAddress } from "./vxlan/transit.js";

/** Docker and firewalls make their rules anew when they restart, and tell nobody. */
const HOST_CHECK_PERIOD_MS = 30_000;
/** After a failure to apply; the next change tries again, too. */
const RETRY_DELAY_MS = 1_000;
/** How long the calls in a queue may hold the event loop before others have a turn. */
const HOLD_MAX_MS = 10;
/** Serves names inside sandboxes. */
export interface SandboxDns {
  /** Idempotent. */
  open(sandbox: Sandbox): void;
  closeSandbox(taskId: string): void;
  close(): void;
}

export interface NodeNetworkOptions {
  readonly dataPlane: DataPlane;
  readonly records: SandboxRecords;
  readonly dns: (viewOf: (taskId: string) => AskerView | undefined) => SandboxDns;
  readonly clock: Clock;
  readonly log: Logger;
}

export class NodeNetwork implements NetworkPlane {
  readonly #dataPlane: DataPlane;
  readonly #records: SandboxRecords;
  readonly #dns: SandboxDns;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #state = new NetworkState();
  readonly #sandboxes = new Map<string, Sandbox>();
  /** Who waits for a sandbox to go. */
  readonly #onForget = new Set<() => void>();
  readonly #names = new Map<string, NetworkNames>();
  readonly #dirtyNetworks = new Set<string>();
  readonly #warnedPorts = new Set<string>();
  #dirtyMesh = false;
  #identity: NodeNetworkIdentity | undefined;
  #lastHost = 1;
  /** Whether resources were ever told in this life. */
  #isInformed = false;
  #isHostChecked = false;
  #appliedRevision = 0;
  #knownRevision = 0;
  #queueLength = 0;
  #heldSinceMs = 0;
  #retry: Timer | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #hostCheck: Timer | undefined;
  #closed = false;

  constructor(options: NodeNetworkOptions) {
    this.#dataPlane = options.dataPlane;
    this.#records = options.records;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#dns = options.dns((taskId) => this.#viewOf(taskId));
  }

  get appliedRevision(): number {
    return this.#appliedRevision;
  }

  configure(identity: NodeNetworkIdentity): Promise<void> {
    return this.#inTurn(async () => {
      const last = this.#identity;
      const isSame =
        last?.nodeId === identity.nodeId &&
        last.number === identity.number &&
        last.dataPathAddress === identity.dataPathAddress &&
        last.vxlanUdpPort === identity.vxlanUdpPort;
      if (!isSame) {
        this.#identity = identity;
        if (last === undefined) await this.#adopt();
        this.#dirtyMesh = true;
        for (const networkId of this.#state.networks.keys()) this.#dirtyNetworks.add(networkId);
      }
      await this.#applyKnown();
    });
  }

  apply(changes: NetworkChangeSet): Promise<void> {
    return this.#inTurn(async () => {
      const touched = this.#state.apply(changes);
      for (const networkId of touched.networkIds) {
        this.#names.delete(networkId);
        this.#dirtyNetworks.add(networkId);
      }
      if (changes.complete) {
        for (const networkId of this.#dataPlane.listOverlays()) this.#dirtyNetworks.add(networkId);
      }
      this.#dirtyMesh ||= touched.mesh || changes.complete;
      this.#knownRevision = Math.max(this.#knownRevision, changes.revision);
      this.#isInformed = true;
      await this.#applyKnown();
      this.#appliedRevision = this.#knownRevision;
    });
  }

  async portsReleased(task: Task, { signal }: { signal: AbortSignal }): Promise<void> {
    const asked = (task.endpoint?.ports ?? []).filter(({ publishMode }) => publishMode === PublishMode.HOST);
    const wanted = new Set(asked.map(portText));
    const isHeld = (): boolean =>
      this.#sandboxes.get(task.replacesTaskId)?.hostPorts.some((port) => wanted.has(portText(port))) === true;
    while (isHeld()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const go = (): void => {
          this.#onForget.delete(go);
          signal.removeEventListener("abort", go);
          resolve();
        };
        this.#onForget.add(go);
        signal.addEventListener("abort", go, { once: true });
      });
    }
  }

  attachTask(task: Task, options: { hostname: string; extraHosts: readonly string[] }): Promise<TaskSandbox> {
    return this.#inTurn(async () => {
      const known = this.#sandboxes.get(task.id);
      if (known !== undefined && this.#dataPlane.hasSandbox(task.id)) {
        this.#dns.open(known);
        return this.#handOut(known);
      }
      const sandbox = known ?? this.#planSandbox(task, options);
      await this.#dataPlane.removeSandbox(task.id); // what a crash or a reboot left
      // a record says "whole": a daemon killed from here on adopts no half-made sandbox
      this.#records.remove(task.id);
      this.#sandboxes.set(task.id, sandbox);
      try {
        this.#applyFor(sandbox);
        this.#dataPlane.createSandbox(sandbox);
        this.#dns.open(sandbox);
        this.#records.save(sandbox);
      } catch (error) {
        await this.#takeOut(sandbox);
        await this.#dataPlane.removeSandbox(task.id);
        throw error;
      }
      return this.#handOut(sandbox);
    });
  }

  isPublished(protocol: NftProtocol, port: number): boolean {
    return isPortPublished({ protocol, port }, { state: this.#state, sandboxes: this.#sandboxes.values() });
  }

  taskNetworks(taskId: string): readonly TaskNetwork[] {
    const overlays = this.#sandboxes.get(taskId)?.overlays ?? [];
    return overlays.map((overlay) => ({
      ...overlay,
      name: this.#state.networks.get(overlay.networkId)?.name ?? "",
    }));
  }

  taskPorts(taskId: string): readonly PortBinding[] {
    return (this.#sandboxes.get(taskId)?.hostPorts ?? []).map((port) => ({
      containerPort: port.targetPort,
      protocol: nftProtocol(port.protocol),
      hostAddress: "",
      hostPort: port.publishedPort,
    }));
  }

  async detachTask(taskId: string): Promise<void> {
    await this.#inTurn(async () => {
      const sandbox = this.#sandboxes.get(taskId);
      if (sandbox !== undefined) await this.#takeOut(sandbox);
    });
    await this.#dataPlane.removeSandbox(taskId); // takes milliseconds in the kernel: nobody else waits for it
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    const found = new Set([...this.#sandboxes.keys(), ...this.#dataPlane.listSandboxes()]);
    for (const taskId of [...found].sort()) if (!taskIds.has(taskId)) await this.detachTask(taskId);
  }

  removeAll(): Promise<void> {
    return this.#inTurn(async () => {
      this.#hostCheck?.cancel();
      this.#hostCheck = undefined;
      for (const taskId of [...this.#sandboxes.keys()]) this.#forget(taskId);
      for (const { taskId } of this.#records.list()) this.#records.remove(taskId);
      this.#state.apply({ complete: true, upserts: [], removals: [] });
      this.#names.clear();
      this.#dirtyNetworks.clear();
      this.#identity = undefined;
      this.#isInformed = false;
      this.#isHostChecked = false;
      this.#appliedRevision = 0;
      this.#knownRevision = 0;
      this.#retry?.cancel();
      this.#retry = undefined;
      await this.#dataPlane.removeAll();
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue;
    this.#hostCheck?.cancel();
    this.#retry?.cancel();
    this.#dns.close();
    this.#dataPlane.close();
  }

  /**
   * One call after the other; a failed one does not stop the next.
   * A long queue lets others have a turn now and then.
   */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#queueLength === 0) this.#heldSinceMs = this.#clock.monotonicMs();
    this.#queueLength += 1;
    const turn = this.#queue.then(async () => {
      if (this.#clock.monotonicMs() - this.#heldSinceMs > HOLD_MAX_MS) {
        await this.#clock.sleep(0);
        this.#heldSinceMs = this.#clock.monotonicMs();
      }
      return work();
    });
    const settle = (): void => {
      this.#queueLength -= 1;
    };
    this.#queue = turn.then(settle, settle); // a failure is its caller's
    return turn;
  }

  /** Takes over the sandboxes of the daemon's life before this one. */
  async #adopt(): Promise<void> {
    for (const sandbox of this.#records.list()) {
      if (!this.#dataPlane.hasSandbox(sandbox.taskId)) {
        this.#records.remove(sandbox.taskId);
        await this.#dataPlane.removeSandbox(sandbox.taskId);
        continue;
      }
      this.#sandboxes.set(sandbox.taskId, sandbox);
      this.#lastHost = Math.max(this.#lastHost, Number(sandbox.gatewayAddress?.split(".")[3] ?? 0));
      try {
        this.#dns.open(sandbox);
      } catch (error) {
        // attachTask, which adopts it, tries again
        this.#log.error("names are not served in an adopted sandbox", {
          taskId: sandbox.taskId,
          error: messageOf(error),
        });
      }
    }
  }

  /**
   * Until somebody said what there is, the kernel keeps what it has from the daemon's life before:
   * tasks are served meanwhile.
   */
  async #applyKnown(): Promise<void> {
    if (this.#identity === undefined || !this.#isInformed) return;
    this.#hostCheck ??= this.#clock.setInterval(HOST_CHECK_PERIOD_MS, () => this.#checkHost());
    const isFirst = !this.#isHostChecked;
    await this.#applyDirty();
    if (isFirst) this.#checkHost();
  }

  async #applyDirty(options: { failing: "throw" | "log" } = { failing: "throw" }): Promise<void> {
    const failures: unknown[] = [];
    const attempt = async (what: string, work: () => Promise<void> | void): Promise<void> => {
      try {
        await work();
      } catch (error) {
        this.#log.error("network state was not applied", { what, error: messageOf(error) });
        failures.push(error);
      }
    };
    if (this.#dirtyMesh) await attempt("mesh", () => this.#applyMesh());
    for (const networkId of [...this.#dirtyNetworks].sort()) {
      await attempt(`overlay ${networkId}`, () => this.#applyOverlay(networkId));
    }
    if (failures.length === 0) return;
    this.#retry ??= this.#clock.setTimer(RETRY_DELAY_MS, () => this.#tryAgain());
    if (options.failing === "throw") throw failures[0];
  }

  #tryAgain(): void {
    this.#retry = undefined;
    void this.#inTurn(async () => {
      if (this.#identity === undefined || this.#closed) return;
      await this.#applyDirty({ failing: "log" });
      if (this.#retry === undefined) this.#appliedRevision = this.#knownRevision;
    });
  }

  #checkHost(): void {
    this.#isHostChecked = true;
    try {
      if (this.#dataPlane.checkHost()) return;
    } catch (error) {
      // The next look comes soon.
      this.#log.warn("the host's rules could not be looked at", { error: messageOf(error) });
      return;
    }
    this.#log.warn("the mesh's rules were removed by somebody else and are made again");
    this.#dirtyMesh = true;
    this.#tryAgain();
  }

  #applyMesh(): void {
    const identity = this.#identity;
    if (identity === undefined) return;
    const plan = planMesh(this.#state, { identity, sandboxes: this.#sandboxes });
    this.#dirtyMesh = true;
    this.#dataPlane.applyMesh(plan);
    this.#dirtyMesh = false;
    const local = new Set([...this.#sandboxes.values()].flatMap(({ hostPorts }) => hostPorts.map(portText)));
    for (const { protocol, publishedPort } of plan.ports) {
      const port = `${publishedPort}/${protocol}`;
      if (this.#warnedPorts.has(port) || local.has(port)) continue;
      this.#warnedPorts.add(port); // looked at once
      if (this.#dataPlane.isPortHeld(protocol, publishedPort)) {
        this.#log.warn(
          "a process on this node listens on a published port; the routing mesh takes its connections",
          { port },
        );
      }
    }
  }

  #applyOverlay(networkId: string): Promise<void> | void {
    const identity = this.#identity;
    if (identity === undefined) return undefined;
    this.#dirtyNetworks.add(networkId);
    const plan = planOverlay(this.#state, { networkId, identity, sandboxes: this.#sandboxes.values() });
    if (plan !== undefined) {
      this.#dataPlane.applyOverlay(plan);
      this.#dirtyNetworks.delete(networkId);
      return undefined;
    }
    if (this.#isUsed(networkId)) return undefined; // stays until its last task here is gone
    this.#dirtyNetworks.delete(networkId);
    return this.#dataPlane.removeOverlay(networkId);
  }

  /** Mesh and overlays of one sandbox, whose tasks they list. */
  #applyFor(sandbox: Sandbox): void {
    if (sandbox.gatewayAddress !== undefined) this.#applyMesh();
    for (const { networkId } of sandbox.overlays) this.#applyOverlayNow(networkId);
  }

  #applyOverlayNow(networkId: string): void {
    const identity = this.#identity;
    if (identity === undefined) return;
    const plan = planOverlay(this.#state, { networkId, identity, sandboxes: this.#sandboxes.values() });
    if (plan === undefined)
      throw new FailedPreconditionError(`network ${networkId} is not ready on this node`);
    this.#dirtyNetworks.add(networkId);
    this.#dataPlane.applyOverlay(plan);
    this.#dirtyNetworks.delete(networkId);
  }

  #planSandbox(task: Task, options: { hostname: string; extraHosts: readonly string[] }): Sandbox {
    const identity = this.#identity;
    if (identity === undefined) throw new FailedPreconditionError("the node's network is not configured yet");
    const overlays = overlaysOf(task, this.#state);
    const hostPorts = claimHostPorts(task, {
      state: this.#state,
      sandboxes: this.#sandboxes.values(),
      nodeId: identity.nodeId,
      isHeld: (protocol, port) => this.#dataPlane.isPortHeld(protocol, port),
    });
    let gatewayAddress: string | undefined;
    if (needsGateway(task, this.#state)) {
      const taken = new Set([...this.#sandboxes.values()].flatMap((other) => other.gatewayAddress ?? []));
      this.#lastHost = chooseGatewayHost(taken, { number: identity.number, lastHost: this.#lastHost });
      gatewayAddress = transitAddress(identity.number, this.#lastHost);
    }
    const addresses = [
      ...overlays.map(({ address }) => address),
      ...(gatewayAddress === undefined ? [] : [gatewayAddress]),
    ];
    return {
      taskId: task.id,
      serviceId: task.serviceId,
      hostname: options.hostname,
      overlays,
      hostPorts,
      nameservers: task.spec?.container?.dnsConfig?.nameservers ?? [],
      resolvConf: resolvConfOf(task),
      etcHosts: etcHostsOf({ hostname: options.hostname, addresses, extraHosts: options.extraHosts }),
      ...(gatewayAddress === undefined ? {} : { gatewayAddress }),
    };
  }

  #handOut(sandbox: Sandbox): TaskSandbox {
    return {
      netnsPath: this.#dataPlane.sandboxPath(sandbox.taskId),
      gatewayAddress: sandbox.gatewayAddress ?? "",
      resolvConf: sandbox.resolvConf,
      etcHosts: sandbox.etcHosts,
      hostPorts: sandbox.hostPorts,
    };
  }

  #forget(taskId: string): void {
    this.#dns.closeSandbox(taskId);
    this.#records.remove(taskId);
    this.#sandboxes.delete(taskId);
    for (const go of [...this.#onForget]) go();
  }

  /**
   * Takes a sandbox out of DNS, records and plans.
   * What cannot be applied now is applied with the next change.
   */
  async #takeOut(sandbox: Sandbox): Promise<void> {
    this.#forget(sandbox.taskId);
    this.#dirtyMesh ||= sandbox.gatewayAddress !== undefined;
    for (const { networkId } of sandbox.overlays) this.#dirtyNetworks.add(networkId);
    await this.#applyDirty({ failing: "log" });
  }

  #isUsed(networkId: string): boolean {
    return [...this.#sandboxes.values()].some(({ overlays }) =>
      overlays.some((overlay) => overlay.networkId === networkId),
    );
  }

  #viewOf(taskId: string): AskerView | undefined {
    const sandbox = this.#sandboxes.get(taskId);
    if (sandbox === undefined) return undefined;
    const networks = sandbox.overlays.map(({ networkId }) => ({
      name: this.#state.networks.get(networkId)?.name ?? "",
      names: this.#namesOf(networkId),
    }));
    return { networks, forwards: sandbox.gatewayAddress !== undefined, nameservers: sandbox.nameservers };
  }

  #namesOf(networkId: string): NetworkNames {
    let names = this.#names.get(networkId);
    if (names === undefined) {
      names = buildNetworkNames(this.#state, networkId);
      this.#names.set(networkId, names);
    }
    return names;
  }
}
