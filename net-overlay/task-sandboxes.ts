/**
 * The sandboxes of this node's tasks: planned, made, adopted after a restart, forgotten.
 * Pure (the world comes as ports). Invariants: a sandbox is remembered before it is handed out; a record
 * says "whole", so that a daemon killed half way adopts no half-made sandbox.
 * Source: docs/design/network.md.
 */
import type { Timer } from "../base/clock/clock.js";
import { FailedPreconditionError, messageOf } from "../base/errors/errors.js";
import type { Task } from "../proto/gen/skein/v1/objects.js";
import { PublishMode } from "../proto/gen/skein/v1/types.js";
import type { SandboxRecords } from "./dataplane/sandbox-records.js";
import type { DirtyPlans } from "./dirty-plans.js";
import type { NameChanges } from "./discovery/cluster-names.js";
import { ClusterNames } from "./discovery/cluster-names.js";
import type { AskerView, NameTable } from "./discovery/resolve.js";
import { claimHostPorts } from "./endpoints/host-ports.js";
import type { Sandbox } from "./endpoints/sandbox.js";
import {
  chooseGatewayHost,
  etcHostsOf,
  needsGateway,
  overlayAddresses,
  overlaysOf,
  portText,
  resolvConfOf,
} from "./endpoints/sandbox.js";
import type { NetworkGround } from "./network-ground.js";
import type { TaskSandbox } from "./network-plane.js";
import { inSlices } from "./slices.js";
import { transitGateway } from "./vxlan/node-addresses.js";
import { transitAddress } from "./vxlan/transit.js";

/** Between two attempts to serve names where their port is taken. */
const NAMES_RETRY_MS = 5_000;

/** Serves names inside sandboxes. */
export interface SandboxDns {
  /** Idempotent. */
  open(sandbox: Sandbox): void;
  closeSandbox(taskId: string): void;
  close(): void;
}

export interface TaskSandboxesOptions {
  /** Networks that a task's container joined by itself, by its namespace. */
  readonly networksIn: (netnsPath: string) => readonly string[];
  readonly ground: NetworkGround;
  readonly plans: DirtyPlans;
  readonly records: SandboxRecords;
  readonly dns: (viewOf: (taskId: string) => AskerView | undefined) => SandboxDns;
  /** The host's resolv.conf. @default "" */
  readonly hostResolvConf?: (() => string) | undefined;
}

export class TaskSandboxes {
  readonly #hostResolvConf: () => string;
  readonly #ground: NetworkGround;
  readonly #plans: DirtyPlans;
  readonly #records: SandboxRecords;
  readonly #networksIn: TaskSandboxesOptions["networksIn"];
  readonly #dns: SandboxDns;
  /** Who waits for a sandbox to go. */
  readonly #onForget = new Set<() => void>();
  readonly #names = new ClusterNames();
  /** When names are tried again in sandboxes where they could not be served, by task. */
  readonly #nameless = new Map<string, Timer>();
  #lastHost = 1;

  constructor(options: TaskSandboxesOptions) {
    this.#ground = options.ground;
    this.#plans = options.plans;
    this.#records = options.records;
    this.#networksIn = options.networksIn;
    this.#hostResolvConf = options.hostResolvConf ?? (() => "");
    this.#dns = options.dns((taskId) => this.#viewOf(taskId));
  }

  /** The ready sandbox, made first unless it is there. Call it in turn. */
  async attach(
    task: Task,
    options: { hostname: string; extraHosts: readonly string[] },
  ): Promise<TaskSandbox> {
    const { dataPlane, sandboxes } = this.#ground;
    const known = sandboxes.get(task.id);
    if (known !== undefined && dataPlane.hasSandbox(task.id)) {
      this.#serveNames(known);
      return this.#handOut(known);
    }
    const sandbox = known ?? this.#plan(task, options);
    await dataPlane.removeSandbox(task.id); // what a crash or a reboot left
    // a record says "whole": a daemon killed from here on adopts no half-made sandbox
    this.#records.remove(task.id);
    sandboxes.set(task.id, sandbox);
    try {
      await this.#plans.applyFor(sandbox);
      dataPlane.createSandbox(sandbox);
      this.#dns.open(sandbox);
      this.#records.save(sandbox);
    } catch (error) {
      await this.takeOut(sandbox);
      await dataPlane.removeSandbox(task.id);
      throw error;
    }
    return this.#handOut(sandbox);
  }

  /** A task that runs and has taken the port meanwhile loses names, not its life. It is tried again. */
  #serveNames(sandbox: Sandbox): void {
    const { sandboxes, troubles, clock } = this.#ground;
    const { taskId } = sandbox;
    const key = `names ${taskId}`;
    this.#nameless.get(taskId)?.cancel();
    this.#nameless.delete(taskId);
    try {
      if (sandboxes.get(taskId) === sandbox) this.#dns.open(sandbox);
      troubles.clear(key);
    } catch (error) {
      troubles.set(key, `names are not served to task ${taskId}: ${messageOf(error)}`);
      const again = (): void => this.#serveNames(sandbox);
      this.#nameless.set(taskId, clock.setTimer(NAMES_RETRY_MS, again));
    }
  }

  /** Takes over the sandboxes of the daemon's life before this one. Call it in turn. */
  async adopt(): Promise<void> {
    const { dataPlane, sandboxes } = this.#ground;
    for (const sandbox of this.#records.list()) {
      if (!dataPlane.hasSandbox(sandbox.taskId)) {
        this.#records.remove(sandbox.taskId);
        await dataPlane.removeSandbox(sandbox.taskId);
        continue;
      }
      sandboxes.set(sandbox.taskId, sandbox);
      this.#lastHost = Math.max(this.#lastHost, Number(sandbox.gatewayAddress?.split(".")[3] ?? 0));
      this.#serveNames(sandbox);
    }
  }

  /**
   * Takes a sandbox out of DNS, records and plans. Call it in turn.
   * What cannot be applied now is applied with the next change.
   */
  async takeOut(sandbox: Sandbox): Promise<void> {
    this.#forget(sandbox.taskId);
    this.#plans.markSandbox(sandbox);
    await this.#plans.apply({ failing: "log" });
  }

  forgetAll(): void {
    for (const taskId of [...this.#ground.sandboxes.keys()]) this.#forget(taskId);
    for (const { taskId } of this.#records.list()) this.#records.remove(taskId);
    this.#names.clear();
  }

  /** What tasks may ask for from now on. */
  async learnNames(changes: NameChanges): Promise<void> {
    await inSlices(this.#names.applySteps(changes), this.#ground.clock);
  }

  /** undefined: we have not been told yet what there is. */
  namesOf(networkId: string): NameTable | undefined {
    return this.#names.isTold ? this.#names.of(networkId) : undefined;
  }

  /** When the task that this one replaces holds none of its host ports. @throws as the signal says. */
  async portsReleased(task: Task, signal: AbortSignal): Promise<void> {
    const asked = (task.endpoint?.ports ?? []).filter(({ publishMode }) => publishMode === PublishMode.HOST);
    const wanted = new Set(asked.map(portText));
    const isHeld = (): boolean =>
      this.#ground.sandboxes
        .get(task.replacesTaskId)
        ?.hostPorts.some((port) => wanted.has(portText(port))) === true;
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

  close(): void {
    for (const retry of this.#nameless.values()) retry.cancel();
    this.#nameless.clear();
    this.#dns.close();
  }

  #plan(task: Task, options: { hostname: string; extraHosts: readonly string[] }): Sandbox {
    const { identity, state, sandboxes, dataPlane } = this.#ground;
    if (identity === undefined) throw new FailedPreconditionError("the node's network is not configured yet");
    const overlays = overlaysOf(task, state);
    const hostPorts = claimHostPorts(task, {
      state,
      sandboxes: sandboxes.values(),
      nodeId: identity.nodeId,
      isHeld: (...asked) => dataPlane.isPortHeld(...asked),
      places: () => dataPlane.places(),
    });
    let gatewayAddress: string | undefined;
    if (needsGateway(task, state)) {
      const taken = new Set([...sandboxes.values()].flatMap((other) => other.gatewayAddress ?? []));
      this.#lastHost = chooseGatewayHost(taken, { number: identity.number, lastHost: this.#lastHost });
      gatewayAddress = transitAddress(identity.number, this.#lastHost);
    }
    const [first] = overlays;
    const addresses = first === undefined ? [gatewayAddress ?? ""].filter(Boolean) : overlayAddresses(first);
    return {
      taskId: task.id,
      serviceId: task.serviceId,
      hostname: options.hostname,
      overlays,
      hostPorts,
      nameservers: task.spec?.container?.dnsConfig?.nameservers ?? [],
      resolvConf: resolvConfOf(task, this.#hostResolvConf()),
      etcHosts: etcHostsOf({
        hostname: options.hostname,
        addresses,
        extraHosts: options.extraHosts,
        hostGateway: gatewayAddress === undefined ? undefined : transitGateway(identity.number),
      }),
      ...(gatewayAddress === undefined ? {} : { gatewayAddress }),
    };
  }

  #handOut(sandbox: Sandbox): TaskSandbox {
    return {
      netnsPath: this.#ground.dataPlane.sandboxPath(sandbox.taskId),
      gatewayAddress: sandbox.gatewayAddress ?? "",
      resolvConf: sandbox.resolvConf,
      etcHosts: sandbox.etcHosts,
      hostPorts: sandbox.hostPorts,
    };
  }

  #forget(taskId: string): void {
    this.#dns.closeSandbox(taskId);
    this.#records.remove(taskId);
    this.#ground.sandboxes.delete(taskId);
    for (const go of [...this.#onForget]) go();
  }

  #viewOf(taskId: string): AskerView | undefined {
    const sandbox = this.#ground.sandboxes.get(taskId);
    if (sandbox === undefined) return undefined;
    const joined = this.#networksIn(this.#ground.dataPlane.sandboxPath(taskId));
    const networkIds = [...sandbox.overlays.map(({ networkId }) => networkId), ...joined];
    const networks = networkIds.map((networkId) => ({
      name: this.#ground.state.networks.get(networkId)?.name ?? "",
      names: this.#names.of(networkId),
    }));
    return {
      networks,
      forwards: sandbox.gatewayAddress !== undefined,
      nameservers: sandbox.nameservers,
      isUntold: !this.#names.isTold,
    };
  }
}
