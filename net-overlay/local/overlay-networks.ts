/**
 * What local networks ask of the cluster: places on its overlays for containers that are no tasks.
 * Pure (interface only). Implementations: attachments/node-attachments.ts, and twins in tests.
 */
import type { EndpointSettings } from "../../proto/engine/networks.js";
import type { NameTable } from "../discovery/resolve.js";

export interface OverlayRequest {
  readonly containerId: string;
  readonly containerName: string;
  readonly hostname: string;
  /** Id or name, as asked for. */
  readonly network: string;
  readonly settings: EndpointSettings;
}

/** A place on an overlay: addresses that are the container's until it gives them back. */
export interface OverlayLease {
  /** Names the attachment on this node for as long as the lease lasts. */
  readonly id: string;
  readonly networkId: string;
  readonly networkName: string;
  readonly isInternal: boolean;
  /** Of each family the network has: address with prefix length. */
  readonly addresses: readonly string[];
}

/** Where the container's end of the interface goes. */
export interface OverlayEnd {
  readonly netnsPath: string;
  readonly linkName: string;
  readonly linkIndex: number;
  /** "": that of the address. */
  readonly mac: string;
}

export interface OverlayNetworks {
  /**
   * Asks the cluster; the same for the same container and network, however often it is asked. Takes the
   * names that the container has now.
   * @throws {NotFoundError} this node is in no cluster; {InternalError} refused, or no manager was reached
   * in time (Docker's status and words).
   */
  lease(request: OverlayRequest): Promise<OverlayLease>;
  /** The interface, up and with its addresses. @returns its MAC. @throws when the node's overlay is not there. */
  plug(lease: OverlayLease, end: OverlayEnd): Promise<string>;
  /** After a restart of the daemon: the interface is there. */
  adopt(request: OverlayRequest, lease: OverlayLease, end: OverlayEnd): void;
  /**
   * Gives the place back; resolves when a manager has heard it, or after a bounded time, after which it is
   * told later. `live`: the interface is taken away, too; otherwise it goes with its namespace.
   */
  release(leaseId: string, options: { live: boolean }): Promise<void>;
  /** Other names from now on. */
  rename(request: OverlayRequest): void;
  /** undefined: this node is not on it. */
  namesOf(networkId: string): NameTable | undefined;
}
