/**
 * The data plane in memory: the twin for tests and simulation. Pure.
 */
import { MemoryWireguard } from "../encryption/memory-wireguard.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import type { OverlayPlan } from "../endpoints/overlay-plan.js";
import type { NftProtocol, Sandbox } from "../endpoints/sandbox.js";
import type { TunnelCollision } from "../paths/collision.js";
import type { DataPlane } from "./data-plane.js";

export class MemoryDataPlane implements DataPlane {
  mesh: MeshPlan | undefined;
  readonly overlays = new Map<string, OverlayPlan>();
  readonly sandboxes = new Map<string, Sandbox>();
  /** Interfaces in namespaces of others. */
  readonly plugs = new Map<string, Sandbox>();
  /** "8080/tcp": ports that a process on the node is said to hold. */
  readonly heldPorts = new Set<string>();
  /** Of the data path's interface, beside its own. */
  moreAddresses: readonly string[] = [];
  /** Tasks that have the IPv6 half of their gateway interface. */
  readonly twinned = new Set<string>();
  hasSctp = true;
  readonly hostPlaces = new Set<string>(["10.99.0.1", "eth0"]);
  pathMtuBytes = 0;
  hasTxChecksum = true;
  /** What somebody else has. */
  collided: readonly TunnelCollision[] = [];
  /** Thrown by the next `applyOverlay`, `applyMesh`, `createSandbox` or `plug`, once. */
  nextFailure: Error | undefined;

  async applyMesh(plan: MeshPlan): Promise<void> {
    this.#failOnce();
    this.mesh = plan;
  }

  async applyOverlay(plan: OverlayPlan): Promise<void> {
    this.#failOnce();
    this.overlays.set(plan.networkId, plan);
  }

  readonly encryption = new MemoryWireguard();

  encryptionMtuBytes(): number {
    return 1440;
  }

  async removeOverlay(networkId: string): Promise<void> {
    this.overlays.delete(networkId);
  }

  listOverlays(): string[] {
    return [...this.overlays.keys()].sort();
  }

  createSandbox(sandbox: Sandbox): void {
    this.#failOnce();
    this.sandboxes.set(sandbox.taskId, sandbox);
  }

  plug(sandbox: Sandbox): string {
    this.#failOnce();
    this.plugs.set(sandbox.taskId, sandbox);
    return sandbox.plug?.mac || "02:42:00:00:00:02";
  }

  unplug(sandbox: Sandbox): void {
    this.plugs.delete(sandbox.taskId);
  }

  hasSandbox(taskId: string): boolean {
    return this.sandboxes.has(taskId);
  }

  sandboxPath(taskId: string): string {
    return `/memory/${taskId}`;
  }

  listSandboxes(): string[] {
    return [...this.sandboxes.keys()].sort();
  }

  async removeSandbox(taskId: string): Promise<void> {
    this.sandboxes.delete(taskId);
  }

  isPortHeld(protocol: NftProtocol, port: number, addresses: readonly string[] = []): boolean {
    const held = `${port}/${protocol}`;
    return this.heldPorts.has(held) || addresses.some((address) => this.heldPorts.has(`${address} ${held}`));
  }

  speaksSctp(): boolean {
    return this.hasSctp;
  }

  nodeAddresses(dataPathAddress: string): string[] {
    return [dataPathAddress, ...this.moreAddresses];
  }

  twinSandboxes(sandboxes: readonly Sandbox[]): void {
    for (const { taskId } of sandboxes) if (this.mesh?.hasIpv6 === true) this.twinned.add(taskId);
  }

  places(): ReadonlySet<string> {
    return this.hostPlaces;
  }

  checkHost(): boolean {
    return this.mesh !== undefined;
  }

  limitPath(pathMtuBytes: number): void {
    this.pathMtuBytes = pathMtuBytes;
  }

  setTxChecksum(isOn: boolean): void {
    this.hasTxChecksum = isOn;
  }

  resizeGateways(): void {
    // they have no sizes here
  }

  collisions(): readonly TunnelCollision[] {
    return this.collided;
  }

  async removeAll(): Promise<void> {
    this.mesh = undefined;
    this.overlays.clear();
    this.sandboxes.clear();
  }

  close(): void {
    // nothing is held
  }

  #failOnce(): void {
    const failure = this.nextFailure;
    this.nextFailure = undefined;
    if (failure !== undefined) throw failure;
  }
}
