/**
 * What the node's network asks of the machine: bring the kernel to a plan, make and remove sandboxes.
 * Pure (interface only). Implementations: linux-data-plane.ts and memory-data-plane.ts.
 * Calls that return nothing are done when they return; removals resolve when the namespace is let go.
 */
import type { KernelAudit } from "../audit/kernel-audit.js";
import type { EncryptedUnderlay } from "../encryption/encrypted-underlay.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import type { OverlayPlan } from "../endpoints/overlay-plan.js";
import type { OverlayChanges } from "../endpoints/overlay-planner.js";
import type { NftProtocol, Sandbox } from "../endpoints/sandbox.js";
import type { TunnelCollision } from "../paths/collision.js";

export interface DataPlane {
  /**
   * The first call after a start compares with the kernel and repairs;
   * later ones change what differs from the call before.
   */
  applyMesh(plan: MeshPlan): Promise<void>;
  /**
   * Creates the network's namespace when it is not there. The plan's maps may change after the call.
   * @param changes since the plan of the call before; undefined: not known, everything is compared.
   */
  applyOverlay(plan: OverlayPlan, changes?: OverlayChanges): Promise<void>;
  /** WireGuard, inside of which the tunnels of encrypted networks run. */
  readonly encryption: EncryptedUnderlay;
  /** What fits into it. @param dataPathAddress of this node. */
  encryptionMtuBytes(dataPathAddress: string): number;
  /** Missing is fine. */
  removeOverlay(networkId: string): Promise<void>;
  /** Networks that have a namespace, also from before a restart. */
  listOverlays(): string[];
  /** Its overlays must have been applied, and the mesh, too, when it has a gateway. All or nothing. */
  createSandbox(sandbox: Sandbox): void;
  /**
   * The interface of a container that is no task. Its overlay must have been applied. @returns the MAC in the
   * container.
   */
  plug(sandbox: Sandbox): string;
  /** Takes that interface away. Missing is fine. */
  unplug(sandbox: Sandbox): void;
  /** Whether the namespace exists and can be entered. */
  hasSandbox(taskId: string): boolean;
  sandboxPath(taskId: string): string;
  /** Task ids, also from before a restart. */
  listSandboxes(): string[];
  removeSandbox(taskId: string): Promise<void>;
  /** Whether a process on the node listens on the port. @param addresses of the node's own. @default any */
  isPortHeld(protocol: NftProtocol, port: number, addresses?: readonly string[]): boolean;
  /** Whether the kernel has SCTP, perhaps as a module that it loads now. */
  speaksSctp(): boolean;
  /** Of the interface with the data path: those that mean something to others. */
  nodeAddresses(dataPathAddress: string): string[];
  /** Gives living sandboxes the IPv6 half of their gateway interface, if the node has IPv6. Idempotent. */
  twinSandboxes(sandboxes: readonly Sandbox[]): void;
  /** The node's addresses, as RFC 5952 writes them, and the names of its interfaces. */
  places(): ReadonlySet<string>;
  /**
   * Looks at what others may have done to the host: a packet filter that drops forwarded packets by default,
   * as docker installs, is opened for ours. @returns false when our own rules are gone and the mesh must be
   * applied again.
   */
  checkHost(): boolean;
  /** Absent where there is no kernel to look at: then `checkHost` is all. */
  readonly audit?: KernelAudit;
  /**
   * The largest IP packet of the underlay that passes between nodes; plans applied from now on keep to it,
   * and to the underlay's MTU as it is then. 0: not measured.
   */
  limitPath(pathMtuBytes: number): void;
  /** Whether tunnels, also those made later, leave checksums to the network card. @default true */
  setTxChecksum(isOn: boolean): void;
  /** Brings the gateway interfaces of sandboxes to the transit tunnel's size. */
  resizeGateways(sandboxes: readonly Sandbox[]): void;
  /** Tunnels that somebody else is in the way of. To apply their plans again is to try again. */
  collisions(): readonly TunnelCollision[];
  removeAll(): Promise<void>;
  close(): void;
}
