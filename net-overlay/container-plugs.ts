/**
 * Containers that are no tasks on this node's overlays: their interfaces lead into namespaces that somebody
 * else makes and takes away.
 * Pure (the world comes as ports). Invariants: a plug counts as a sandbox in all plans while it lasts; what
 * could not be plugged in whole left nothing.
 * Source: docs/design/network-attachments.md.
 */
import { DeadlineExceededError } from "../base/errors/errors.js";
import { TaskAttachment } from "../proto/gen/skein/v1/types.js";
import type { DirtyPlans } from "./dirty-plans.js";
import type { NameTable } from "./discovery/resolve.js";
import { overlaysOf, type Sandbox } from "./endpoints/sandbox.js";
import type { NetworkGround } from "./network-ground.js";
import type { Turns } from "./turns.js";

/** Between the manager's word that there is an attachment and the node's own news of its network. */
export const NETWORK_WAIT_MS = 10_000;

export interface ContainerPlug {
  /** As the manager counts it. */
  readonly attachmentId: string;
  readonly networkId: string;
  readonly hostname: string;
  /** With prefix length. */
  readonly addresses: readonly string[];
  readonly netnsPath: string;
  readonly linkName: string;
  readonly linkIndex: number;
  /** "": that of the address. */
  readonly mac: string;
}

export interface ContainerPlugsOptions {
  readonly ground: NetworkGround;
  readonly plans: DirtyPlans;
  readonly turns: Turns;
  /** undefined: nobody has told yet what there is. */
  readonly namesOf: (networkId: string) => NameTable | undefined;
}

export class ContainerPlugs {
  readonly #options: ContainerPlugsOptions;
  readonly #ids = new Set<string>();
  /** Networks of plugs, by the namespace they lead to. */
  readonly #networksIn = new Map<string, readonly string[]>();
  /** Who waits for news of a network. */
  readonly #waiting = new Set<() => void>();

  constructor(options: ContainerPlugsOptions) {
    this.#options = options;
  }

  has(attachmentId: string): boolean {
    return this.#ids.has(attachmentId);
  }

  namesOf(networkId: string): NameTable | undefined {
    return this.#options.namesOf(networkId);
  }

  /** What was plugged into a namespace besides what its owner put there. */
  networksIn(netnsPath: string): readonly string[] {
    return this.#networksIn.get(netnsPath) ?? [];
  }

  /**
   * Waits until the node knows the network. @returns the MAC of the container's end.
   * @throws {DeadlineExceededError} it was not told in time.
   */
  async plug(plug: ContainerPlug): Promise<string> {
    await this.#known(plug.networkId);
    const { ground, plans, turns } = this.#options;
    return turns.take(async () => {
      const sandbox = sandboxOf(plug, ground);
      this.#put(sandbox);
      try {
        await plans.applyFor(sandbox);
        return ground.dataPlane.plug(sandbox);
      } catch (error) {
        await this.#takeOut(sandbox);
        throw error;
      }
    });
  }

  /** After a restart of the daemon: it is there. To be called before the node is configured. */
  adopt(plug: ContainerPlug): void {
    this.#put(sandboxOf(plug, undefined));
  }

  /** Missing is fine. @param live whether its interface must be taken away: else its namespace goes. */
  unplug(attachmentId: string, { live }: { live: boolean }): Promise<void> {
    const { ground, turns } = this.#options;
    return turns.take(async () => {
      const sandbox = ground.sandboxes.get(attachmentId);
      if (sandbox === undefined || !this.#ids.has(attachmentId)) return;
      if (live) ground.dataPlane.unplug(sandbox);
      await this.#takeOut(sandbox);
    });
  }

  /** Networks may have come. */
  told(): void {
    for (const go of [...this.#waiting]) go();
  }

  clear(): void {
    this.#ids.clear();
    this.#networksIn.clear();
  }

  #put(sandbox: Sandbox): void {
    this.#ids.add(sandbox.taskId);
    this.#options.ground.sandboxes.set(sandbox.taskId, sandbox);
    this.#count(sandbox, (networkIds) => [...networkIds, ...networksOf(sandbox)]);
  }

  #count({ plug }: Sandbox, change: (networkIds: readonly string[]) => readonly string[]): void {
    const path = plug?.netnsPath ?? "";
    const changed = change(this.networksIn(path));
    if (changed.length === 0) this.#networksIn.delete(path);
    else this.#networksIn.set(path, changed);
  }

  async #takeOut(sandbox: Sandbox): Promise<void> {
    const { ground, plans } = this.#options;
    this.#ids.delete(sandbox.taskId);
    ground.sandboxes.delete(sandbox.taskId);
    const left = networksOf(sandbox);
    this.#count(sandbox, (networkIds) => networkIds.filter((id) => !left.includes(id)));
    plans.markSandbox(sandbox);
    await plans.apply({ failing: "log" });
  }

  async #known(networkId: string): Promise<void> {
    const { ground } = this.#options;
    const isKnown = (): boolean => ground.identity !== undefined && ground.state.networks.has(networkId);
    if (isKnown()) return;
    await new Promise<void>((resolve, reject) => {
      const finish = (settle: () => void): void => {
        this.#waiting.delete(look);
        timer.cancel();
        settle();
      };
      const look = (): void => {
        if (isKnown()) finish(resolve);
      };
      const timer = ground.clock.setTimer(NETWORK_WAIT_MS, () =>
        finish(() =>
          reject(
            new DeadlineExceededError(
              `this node was not told of network ${networkId} within ${NETWORK_WAIT_MS / 1_000} s`,
            ),
          ),
        ),
      );
      this.#waiting.add(look);
    });
  }
}

function networksOf({ overlays }: Sandbox): readonly string[] {
  return overlays.map(({ networkId }) => networkId);
}

/** @param ground undefined: the network need not be known. */
function sandboxOf(plug: ContainerPlug, ground: NetworkGround | undefined): Sandbox {
  const { attachmentId, networkId, addresses, hostname, netnsPath, linkName, linkIndex, mac } = plug;
  const attachment = TaskAttachment.fromPartial({ networkId, addresses: [...addresses] });
  const known = ground?.state.networks ?? new Map([[networkId, undefined]]);
  return {
    taskId: attachmentId,
    serviceId: "",
    hostname,
    overlays: overlaysOf({ id: attachmentId, networks: [attachment] }, { networks: known }),
    hostPorts: [],
    nameservers: [],
    resolvConf: "",
    etcHosts: "",
    plug: { netnsPath, linkName, linkIndex, mac },
  };
}
