/**
 * This node's containers on overlays of the cluster: leases asked of the managers, interfaces plugged in,
 * and both held together whatever was lost on the way.
 * Pure (managers, plane and clock are handed in). Invariants: what the managers count as this node's and no
 * container here has is given back; what a container here has and the managers have lost is asked for again,
 * with the same addresses; giving back is tried until it was heard.
 * Source: docs/design/network-attachments.md.
 */
import type { Clock } from "../../base/clock/clock.js";
import { codeOf, FailedPreconditionError, messageOf, NotFoundError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { AttachReply, AttachRequest } from "../../proto/gen/skein/v1/attachments.js";
import type { ContainerPlugs } from "../container-plugs.js";
import type { NameTable } from "../discovery/resolve.js";
import type { OverlayEnd, OverlayLease, OverlayNetworks, OverlayRequest } from "../local/overlay-networks.js";
import { attachRefusal } from "./attach-refusal.js";
import { AttachmentDebts } from "./attachment-debts.js";
import type { AttachmentNews, ManagerAttachments } from "./manager-attachments.js";

/** Docker gives up after as long. */
export const ATTACH_TIMEOUT_MS = 20_000;
/** How long a container's end waits for a manager to hear of it. */
export const RELEASE_WAIT_MS = 2_000;

/** A member whose data is locked has no agent before it is unlocked. */
export const AGENT_WAIT_MS = 20_000;

/** A place of a container that is here. */
interface Held {
  request: OverlayRequest;
  readonly lease: OverlayLease;
  /** As the managers count it now: another one after they had lost it. */
  attachmentId: string;
}

export interface NodeAttachmentsComponents {
  /** undefined: this node has no networks. */
  readonly plugs: () => ContainerPlugs | undefined;
  /** Whether this node is in a cluster, its agent perhaps still to come. */
  readonly isMember: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class NodeAttachments implements OverlayNetworks {
  readonly #components: NodeAttachmentsComponents;
  readonly #held = new Map<string, Held>();
  /** Containers that are being given a place, with how many. */
  readonly #asking = new Map<string, number>();
  readonly #debts: AttachmentDebts;
  /** As the managers say; by id: container and network. */
  readonly #told = new Map<string, string>();
  /** Who waits for an agent. */
  readonly #waiting = new Set<() => void>();
  #managers: ManagerAttachments | undefined;

  constructor(components: NodeAttachmentsComponents) {
    this.#components = components;
    this.#debts = new AttachmentDebts(components, {
      isBusy: (containerId) => this.#asking.has(containerId),
      renew: (leaseId) => this.#renew(leaseId),
    });
  }

  /** An agent has come, or gone: without one, this node is in no cluster. */
  connect(managers: ManagerAttachments | undefined): void {
    this.#managers = managers;
    for (const go of [...this.#waiting]) go();
    this.#debts.connect(managers);
    if (managers === undefined) this.#told.clear();
  }

  /** What the managers count as this node's. */
  assigned({ complete, upserts, removals }: AttachmentNews): void {
    const isNews = complete || upserts.length > 0 || removals.some((id) => this.#told.has(id));
    if (!isNews) return; // most changes are of other things
    const before = new Set(this.#told.keys());
    if (complete) this.#told.clear();
    for (const id of removals) this.#told.delete(id);
    for (const { id, containerId, networkId } of upserts) this.#told.set(id, keyOf(containerId, networkId));
    this.#compare(before);
  }

  async lease(request: OverlayRequest): Promise<OverlayLease> {
    const managers = await this.#agent();
    if (managers === undefined) throw new NotFoundError(`network ${request.network} not found`);
    const { containerId } = request;
    this.#asking.set(containerId, (this.#asking.get(containerId) ?? 0) + 1);
    try {
      await this.#debts.settled(containerId); // or the place found again would be given back at once
      const reply = await managers.attach(attachRequestOf(request), { timeoutMs: ATTACH_TIMEOUT_MS });
      this.#debts.forgive(reply.attachmentId);
      const lease = leaseOf(reply);
      this.#held.set(lease.id, { request, lease, attachmentId: lease.id });
      return lease;
    } catch (error) {
      throw attachRefusal(request.network, error);
    } finally {
      const left = (this.#asking.get(containerId) ?? 1) - 1;
      if (left > 0) this.#asking.set(containerId, left);
      else this.#asking.delete(containerId);
      this.#compare(new Set());
    }
  }

  plug(lease: OverlayLease, end: OverlayEnd): Promise<string> {
    const held = this.#held.get(lease.id);
    const plugs = this.#components.plugs();
    if (held === undefined || plugs === undefined)
      throw new FailedPreconditionError(`this node has no place on network ${lease.networkName}`);
    return plugs.plug(plugOf(held, end));
  }

  adopt(request: OverlayRequest, lease: OverlayLease, end: OverlayEnd): void {
    const held = { request, lease, attachmentId: lease.id };
    this.#held.set(lease.id, held);
    this.#components.plugs()?.adopt(plugOf(held, end));
  }

  async release(leaseId: string, { live }: { live: boolean }): Promise<void> {
    const held = this.#held.get(leaseId);
    if (held === undefined) return;
    this.#held.delete(leaseId);
    await this.#components.plugs()?.unplug(leaseId, { live });
    await this.#debts.owe(held.attachmentId, held.request.containerId, { waitMs: RELEASE_WAIT_MS });
  }

  rename(request: OverlayRequest): void {
    for (const [leaseId, held] of this.#held) {
      if (held.request.containerId !== request.containerId) continue;
      if (held.lease.networkId !== request.network) continue;
      held.request = request;
      this.#debts.renewLater(leaseId);
    }
  }

  namesOf(networkId: string): NameTable | undefined {
    return this.#components.plugs()?.namesOf(networkId);
  }

  close(): void {
    this.#debts.close();
  }

  /** The daemon starts containers before it has an agent. @returns undefined in no cluster, or when none came. */
  async #agent(): Promise<ManagerAttachments | undefined> {
    const { clock, isMember } = this.#components;
    if (this.#managers !== undefined || !isMember()) return this.#managers;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        this.#waiting.delete(go);
        timer.cancel();
        resolve();
      };
      const timer = clock.setTimer(AGENT_WAIT_MS, go);
      this.#waiting.add(go);
    });
    return this.#managers;
  }

  /** @param before what the managers counted as ours until now. */
  #compare(before: ReadonlySet<string>): void {
    if (this.#managers === undefined) return;
    const here = new Map(
      [...this.#held].map(([leaseId, { request, lease }]) => [
        keyOf(request.containerId, lease.networkId),
        leaseId,
      ]),
    );
    for (const [id, key] of this.#told) {
      const held = this.#held.get(here.get(key) ?? "");
      if (held !== undefined && !this.#told.has(held.attachmentId) && before.has(held.attachmentId))
        held.attachmentId = id; // it was asked for again, and that answer was lost
      if (held?.attachmentId === id || this.#isAsked(key)) continue;
      this.#debts.oweLater(id, containerOf(key));
    }
    for (const [leaseId, { attachmentId }] of this.#held) {
      if (before.has(attachmentId) && !this.#told.has(attachmentId)) this.#debts.renewLater(leaseId);
    }
  }

  #isAsked(key: string): boolean {
    return this.#asking.has(containerOf(key));
  }

  /** Names that have changed, or a place that the managers have lost: the same addresses are asked for. */
  async #renew(leaseId: string): Promise<void> {
    const held = this.#held.get(leaseId);
    const managers = this.#managers;
    if (held === undefined || managers === undefined) return;
    const { lease, request } = held;
    const addresses = lease.addresses.map((address) => address.split("/")[0] ?? "");
    const asked = { ...attachRequestOf({ ...request, network: lease.networkId }), addresses };
    try {
      const reply = await managers.attach(asked, { timeoutMs: ATTACH_TIMEOUT_MS });
      if (this.#held.get(leaseId) === held) held.attachmentId = reply.attachmentId;
      else this.#debts.oweLater(reply.attachmentId, request.containerId); // it has ended meanwhile
    } catch (error) {
      if (["unavailable", "not-leader", "deadline-exceeded"].includes(codeOf(error))) throw error;
      // The network is gone, or somebody else has the address: the container keeps what it has, unheard of.
      this.#components.log.error("a container's place on a network is lost", {
        container: request.containerId,
        network: lease.networkName,
        error: messageOf(error),
      });
    }
  }
}

function keyOf(containerId: string, networkId: string): string {
  return `${containerId}/${networkId}`;
}

function containerOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

function attachRequestOf({
  containerId,
  containerName,
  hostname,
  network,
  settings,
}: OverlayRequest): AttachRequest {
  const { aliases, ipv4Address, ipv6Address } = settings;
  return {
    container: { id: containerId, name: containerName, hostname },
    network,
    aliases,
    addresses: [ipv4Address, ipv6Address].filter((address) => address !== ""),
  };
}

function leaseOf({ attachmentId, networkId, networkName, internal, addresses }: AttachReply): OverlayLease {
  return { id: attachmentId, networkId, networkName, isInternal: internal, addresses };
}

function plugOf({ lease, request }: Held, end: OverlayEnd): Parameters<ContainerPlugs["plug"]>[0] {
  const { id: attachmentId, networkId, addresses } = lease;
  return { attachmentId, networkId, addresses, hostname: request.hostname, ...end };
}
