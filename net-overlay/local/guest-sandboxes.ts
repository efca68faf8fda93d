/**
 * Tasks' containers on further overlays: their namespaces are made and taken away by the cluster's part, and
 * here is only what they joined besides.
 * Pure over the cluster's port and what is remembered. Invariants: a guest's default route, files and
 * resolver stay its task's; what is remembered is what is in the kernel.
 * Source: what a Docker engine was seen to allow.
 */
import { AlreadyExistsError, InternalError, PermissionDeniedError } from "../../base/errors/errors.js";
import type { EndpointSettings, Sandbox, SandboxRequest } from "../../proto/engine/networks.js";
import type { LocalGround } from "./local-ground.js";
import { asSandbox, type LocalEndpoint, type LocalSandbox, sandboxOf } from "./local-sandbox.js";
import { type OverlayEndpoints, overlayNetwork } from "./overlay-endpoints.js";

/** Above whatever interfaces its task has: "eth16", with the number 64. */
const LINK_POSITION = 16;
const LINK_INDEX_MIN = 64;

export class GuestSandboxes {
  readonly #ground: LocalGround;
  readonly #overlays: OverlayEndpoints | undefined;
  readonly #guests = new Map<string, LocalSandbox>();

  constructor(ground: LocalGround, overlays: OverlayEndpoints | undefined) {
    this.#ground = ground;
    this.#overlays = overlays;
  }

  has(containerId: string): boolean {
    return this.#guests.has(containerId);
  }

  /** What was remembered by the process before. */
  takeOver(guest: LocalSandbox): void {
    this.#guests.set(guest.containerId, guest);
  }

  /** @throws {PermissionDeniedError} a network of this node: the task's own way out must stay. */
  async connect(
    request: SandboxRequest,
    netnsPath: string,
    joining: { readonly network: string; readonly settings: EndpointSettings },
  ): Promise<Sandbox> {
    const { containerId, containerName } = request;
    const before = this.#guests.get(containerId) ?? { ...sandboxOf(request), guestOf: netnsPath };
    if (this.#overlays === undefined || this.#ground.parts.book.find(joining.network) !== undefined)
      throw new PermissionDeniedError(
        `container ${containerName} is a task's: it can be connected to attachable overlay networks only`,
      );
    const there = find(before, joining.network);
    if (there !== undefined)
      throw new AlreadyExistsError(`${containerName} is already attached to network ${there.networkName}`);
    const [place] = await this.#overlays.lease(before, [joining]);
    if (place === undefined) throw new InternalError(`no place on network ${joining.network}`);
    let joined: LocalEndpoint;
    try {
      const planned = this.#overlays.plan(before, place, LINK_POSITION);
      const linkIndex = Math.max(planned.linkIndex, LINK_INDEX_MIN);
      joined = await this.#overlays.plug({ ...planned, linkIndex }, netnsPath);
    } catch (error) {
      await this.#overlays.release([place]);
      throw error;
    }
    this.#ground.tell("connect", overlayNetwork(joined), containerId);
    return this.#keep({ ...before, endpoints: [...before.endpoints, joined] });
  }

  async disconnect(containerId: string, network: string): Promise<Sandbox> {
    const guest = this.#guests.get(containerId);
    const left = guest === undefined ? undefined : find(guest, network);
    if (guest === undefined || left === undefined)
      throw new InternalError(`container ${containerId} is not connected to network ${network}`);
    await this.#overlays?.releaseOne(left);
    this.#ground.tell("disconnect", overlayNetwork(left), containerId);
    return this.#keep({ ...guest, endpoints: guest.endpoints.filter((endpoint) => endpoint !== left) });
  }

  /** After a restart of the daemon. */
  adopt(containerId: string): void {
    const guest = this.#guests.get(containerId);
    if (guest?.guestOf !== undefined) this.#overlays?.adopt(guest, guest.guestOf);
  }

  /** Its namespace goes, and its interfaces with it. Missing is fine. */
  async close(containerId: string): Promise<void> {
    const guest = this.#guests.get(containerId);
    if (guest === undefined) return;
    this.#guests.delete(containerId);
    this.#ground.parts.records.removeSandbox(containerId);
    for (const endpoint of guest.endpoints)
      this.#ground.tell("disconnect", overlayNetwork(endpoint), containerId);
    await this.#overlays?.releaseAll(guest);
  }

  async retain(containerIds: ReadonlySet<string>): Promise<void> {
    for (const id of [...this.#guests.keys()]) if (!containerIds.has(id)) await this.close(id);
  }

  #keep(guest: LocalSandbox): Sandbox {
    this.#guests.set(guest.containerId, guest);
    this.#ground.parts.records.saveSandbox(guest);
    return asSandbox(guest, { netnsPath: guest.guestOf ?? "", etcHosts: "", resolvConf: "" });
  }
}

function find({ endpoints }: LocalSandbox, network: string): LocalEndpoint | undefined {
  return endpoints.find(({ state, networkName }) => state.networkId === network || networkName === network);
}
