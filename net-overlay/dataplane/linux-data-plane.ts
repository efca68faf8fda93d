/**
 * The data plane on Linux: namespaces under the run directory, tunnels, veths, nft.
 * Edge: to the kernel by the Linux port, to the run directory by fs. Invariants: nothing outside the run
 * directory, the host's namespace and names of our own is touched;
 * creating a sandbox is all or nothing and spawns no process.
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { InternalError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { Sandboxes } from "../audit/kernel-audit.js";
import { type AuditedPlace, LinuxKernelAudit } from "../audit/linux-kernel-audit.js";
import { RulesetGenerations } from "../audit/ruleset-generations.js";
import { GATEWAY_LINK_PREFIX, TRANSIT_LINK } from "../balance/mesh-frame.js";
import { DNS_REDIRECT, DNS_REDIRECT_TABLE } from "../discovery/dns-address.js";
import { wireguardOverheadBytes } from "../encryption/encryption-plan.js";
import { LinuxWireguard, WIREGUARD_LINK } from "../encryption/linux-wireguard.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import type { OverlayPlan } from "../endpoints/overlay-plan.js";
import type { OverlayChanges } from "../endpoints/overlay-planner.js";
import { isGlobal } from "../endpoints/own-addresses.js";
import type { NftProtocol, OverlayAttachment, Sandbox } from "../endpoints/sandbox.js";
import type { TunnelCollision } from "../paths/collision.js";
import { MeshClaim } from "../paths/linux-mesh-claim.js";
import { setTxChecksum } from "../paths/linux-tx-checksum.js";
import { taskMac, transitGateway, transitGatewayIpv6 } from "../vxlan/node-addresses.js";
import { TRANSIT_VNI, transitIpv6 } from "../vxlan/transit.js";
import { vxlanOverheadBytes } from "../vxlan/vni.js";
import { auditedPlaces } from "./audited-places.js";
import type { DataPlane } from "./data-plane.js";
import { LinuxMesh } from "./linux-mesh.js";
import { linkSettingsIpv6 } from "./linux-mesh-ipv6.js";
import { isNetns, LinuxOverlay, OVERLAY_LINK } from "./linux-overlay.js";
import { isRefusal, RouteSocket } from "./linux-route-socket.js";
import { setAddress, setLinkMtu, setLinkUp, setNeighbour, setRoute } from "./rtnetlink-messages.js";

const LOOPBACK_INDEX = 1;
const OVERLAY_PREFIX = "net-";
const SANDBOX_PREFIX = "task-";

/** As docker gives them: low ports and ping need no privilege inside. */
const SANDBOX_SYSCTLS = {
  "net.ipv4.ip_unprivileged_port_start": "0",
  "net.ipv4.ping_group_range": "0 2147483647",
};

export function createLinuxDataPlane(options: {
  linux: Linux;
  /** Folder for namespaces; made when missing. */
  netnsDir: string;
  /** Path of the namespace that plays the host; undefined: the daemon's own. */
  hostNetns: string | undefined;
  log: Logger;
}): DataPlane {
  return new LinuxDataPlane(options);
}

class LinuxDataPlane implements DataPlane {
  readonly #linux: Linux;
  readonly #netnsDir: string;
  readonly #hostNetns: string | undefined;
  readonly #log: Logger;
  readonly #host: RouteSocket;
  readonly #mesh: LinuxMesh;
  readonly #claim: MeshClaim;
  readonly encryption: LinuxWireguard;
  readonly audit: LinuxKernelAudit;
  readonly #overlays = new Map<string, LinuxOverlay>();
  /**
   * Namespaces on their way out: a second removal, or a new sandbox of the same task, waits for the first.
   */
  readonly #removals = new Map<string, Promise<void>>();
  #meshPlan: MeshPlan | undefined;
  #hasTxChecksum = true;

  constructor(options: { linux: Linux; netnsDir: string; hostNetns: string | undefined; log: Logger }) {
    const { netnsDir, hostNetns, log } = options;
    const generations = new RulesetGenerations(options.linux);
    const linux = generations.watched();
    this.#linux = linux;
    this.#netnsDir = netnsDir;
    this.#hostNetns = hostNetns;
    this.#log = log;
    mkdirSync(netnsDir, { recursive: true, mode: 0o700 });
    this.#host = new RouteSocket(linux, hostNetns);
    this.encryption = new LinuxWireguard(linux, {
      path: join(netnsDir, "wireguard"),
      hostNetns,
    });
    this.#claim = new MeshClaim(linux, hostNetns);
    this.#mesh = new LinuxMesh(linux, {
      netnsPath: hostNetns,
      socket: this.#host,
      log,
    });
    this.audit = new LinuxKernelAudit({
      ...{ linux, generations, log },
      scratchPath: join(netnsDir, "scratch"),
      places: (sandboxes) => this.#places(sandboxes),
    });
  }

  async applyMesh(plan: MeshPlan): Promise<void> {
    this.#claim.take();
    this.#meshPlan = await this.#mesh.apply(plan);
    if (!this.#hasTxChecksum) this.#takeTxChecksum(TRANSIT_LINK, this.#hostNetns, false);
  }

  async applyOverlay(plan: OverlayPlan, changes?: OverlayChanges): Promise<void> {
    let overlay = this.#overlays.get(plan.networkId);
    if (overlay === undefined) {
      overlay = new LinuxOverlay(this.#linux, {
        path: this.#path(OVERLAY_PREFIX, plan.networkId),
        log: this.#log,
      });
      this.#overlays.set(plan.networkId, overlay);
      this.audit.rewatch();
    }
    const sandboxPath = (taskId: string): string => this.sandboxPath(taskId);
    if (!plan.encrypted) {
      const underlayMtuBytes = this.#mesh.tunnelMtuBytes(plan.localAddress);
      const { isPathSmall } = this.#mesh;
      const underlay = { underlay: this.#host, underlayMtuBytes, isPathSmall, sandboxPath };
      await overlay.apply(plan, changes, underlay);
      if (!this.#hasTxChecksum)
        this.#takeTxChecksum(OVERLAY_LINK, this.#path(OVERLAY_PREFIX, plan.networkId), false);
      return;
    }
    const underlay = this.encryption.socket();
    const mtuBytes = underlay.findLink(WIREGUARD_LINK)?.mtuBytes;
    if (mtuBytes === undefined) throw new InternalError("encryption is not set up on this node yet");
    const underlayMtuBytes = mtuBytes - vxlanOverheadBytes(4);
    const { isPathSmall } = this.#mesh;
    await overlay.apply(plan, changes, { underlay, underlayMtuBytes, isPathSmall, sandboxPath });
  }

  encryptionMtuBytes(dataPathAddress: string): number {
    const family = dataPathAddress.includes(":") ? 6 : 4;
    const mtuBytes = this.#mesh.tunnelMtuBytes(dataPathAddress) + vxlanOverheadBytes(family);
    return mtuBytes - wireguardOverheadBytes(family);
  }

  async removeOverlay(networkId: string): Promise<void> {
    const overlay = this.#overlays.get(networkId);
    overlay?.removeTunnel();
    overlay?.close();
    this.#overlays.delete(networkId);
    this.audit.rewatch();
    await this.#linux.deleteNetns(this.#path(OVERLAY_PREFIX, networkId));
  }

  listOverlays(): string[] {
    return this.#list(OVERLAY_PREFIX);
  }

  createSandbox(sandbox: Sandbox): void {
    const path = this.sandboxPath(sandbox.taskId);
    this.#linux.createNetns(path);
    this.#linux.setSysctls(path, SANDBOX_SYSCTLS);
    this.#wire(sandbox, () => true);
  }

  /** Names inside, then the interfaces that are missing: each has its index by its place. */
  #wire(sandbox: Sandbox, isMissing: (name: string, inside: RouteSocket) => boolean): void {
    const path = this.sandboxPath(sandbox.taskId);
    const nft = this.#linux.nft(path);
    try {
      nft.run(`table ${DNS_REDIRECT_TABLE}\ndelete table ${DNS_REDIRECT_TABLE}\n${DNS_REDIRECT}`);
    } finally {
      nft.close();
    }
    const inside = new RouteSocket(this.#linux, path);
    const netnsFd = openSync(path, "r");
    try {
      inside.send(setLinkUp(LOOPBACK_INDEX));
      let index = LOOPBACK_INDEX + 1;
      for (const overlay of sandbox.overlays) {
        const name = `eth${index - 2}`;
        if (isMissing(name, inside))
          this.#attachOverlay(inside, sandbox.taskId, overlay, { name, index, netnsFd });
        index += 1;
      }
      if (sandbox.gatewayAddress !== undefined && isMissing(`eth${index - 2}`, inside))
        this.#attachGateway(inside, sandbox, { index, netnsFd });
    } finally {
      closeSync(netnsFd);
      inside.close();
    }
  }

  plug({ taskId, overlays, plug }: Sandbox): string {
    const [overlay] = overlays;
    if (overlay === undefined || plug === undefined)
      throw new InternalError(`attachment ${taskId} has no address, or no place to lead to`);
    const { netnsPath, linkName: name, linkIndex: index, mac } = plug;
    const inside = new RouteSocket(this.#linux, netnsPath);
    const netnsFd = openSync(netnsPath, "r");
    try {
      const chosen = mac === "" ? overlay : { ...overlay, mac };
      // where a container's networks have no IPv6, its interfaces are born without
      const born = (isDisabled: "0" | "1"): void => {
        if ((overlay.address6 ?? "") === "" || !existsSync("/proc/sys/net/ipv6")) return;
        this.#linux.setSysctls(netnsPath, { "net.ipv6.conf.default.disable_ipv6": isDisabled });
      };
      born("0");
      const made = this.#attachOverlay(inside, taskId, chosen, { name, index, netnsFd });
      born("1");
      return made;
    } finally {
      closeSync(netnsFd);
      inside.close();
    }
  }

  unplug({ taskId, overlays }: Sandbox): void {
    for (const { networkId } of overlays) this.#overlays.get(networkId)?.detach(linkName("v", taskId));
  }

  hasSandbox(taskId: string): boolean {
    const path = this.sandboxPath(taskId);
    return existsSync(path) && isNetns(this.#linux, path);
  }

  sandboxPath(taskId: string): string {
    return this.#path(SANDBOX_PREFIX, taskId);
  }

  listSandboxes(): string[] {
    return this.#list(SANDBOX_PREFIX);
  }

  removeSandbox(taskId: string): Promise<void> {
    const running = this.#removals.get(taskId);
    if (running !== undefined) return running;
    const path = this.sandboxPath(taskId);
    if (!existsSync(path)) return Promise.resolve();
    const removal = this.#linux.deleteNetns(path).finally(() => this.#removals.delete(taskId));
    this.#removals.set(taskId, removal);
    return removal;
  }

  isPortHeld(protocol: NftProtocol, port: number, addresses: readonly string[] = []): boolean {
    const tried = addresses.length === 0 ? ["0.0.0.0"] : addresses;
    return tried.some((address) => this.#isHeldOn(address, protocol, port));
  }

  speaksSctp(): boolean {
    const netnsPath = this.#hostNetns ?? "/proc/self/ns/net";
    try {
      closeSync(this.#linux.bindSocket({ netnsPath, kind: "sctp", address: "127.0.0.1", port: 0 }));
      return true;
    } catch (error) {
      if (isRefusal(error, "EPROTONOSUPPORT", "ESOCKTNOSUPPORT")) return false;
      throw error;
    }
  }

  nodeAddresses(dataPathAddress: string): string[] {
    const all = this.#host.listAddresses("all");
    const index = all.find(({ address }) => address === dataPathAddress)?.index;
    return all.filter((each) => each.index === index && isGlobal(each.address)).map(({ address }) => address);
  }

  places(): ReadonlySet<string> {
    return new Set([
      ...this.#host.listAddresses("all").map(({ address }) => address),
      ...this.#host.listLinks().map(({ name }) => name),
    ]);
  }

  #isHeldOn(address: string, protocol: NftProtocol, port: number): boolean {
    if (protocol === "sctp" && !this.speaksSctp()) return false;
    const netnsPath = this.#hostNetns ?? "/proc/self/ns/net";
    try {
      closeSync(this.#linux.bindSocket({ netnsPath, kind: protocol, address, port }));
      return false;
    } catch (error) {
      if (isRefusal(error, "EADDRINUSE")) return true;
      if (isRefusal(error, "EADDRNOTAVAIL")) return false;
      throw error;
    }
  }

  checkHost(): boolean {
    if (!this.#claim.isHeld) return true; // nothing of the mesh is ours, or it is not wanted yet
    try {
      this.#mesh.openForwarding();
    } catch (error) {
      this.#log.warn("the foreign FORWARD chain could not be opened", { error: messageOf(error) });
    }
    return this.#mesh.isInPlace();
  }

  limitPath(pathMtuBytes: number): void {
    this.#mesh.limitPath(pathMtuBytes);
  }

  setTxChecksum(isOn: boolean): void {
    this.#hasTxChecksum = isOn;
    this.#takeTxChecksum(TRANSIT_LINK, this.#hostNetns, isOn);
    for (const id of this.#overlays.keys())
      this.#takeTxChecksum(OVERLAY_LINK, this.#path(OVERLAY_PREFIX, id), isOn);
  }

  #takeTxChecksum(link: string, netnsPath: string | undefined, isOn: boolean): void {
    try {
      setTxChecksum(this.#linux, { netnsPath, link, isOn });
    } catch (error) {
      this.#log.warn("checksums stay where they are computed", { link, error: messageOf(error) });
    }
  }

  resizeGateways(sandboxes: readonly Sandbox[]): void {
    if (this.#meshPlan === undefined) return;
    const mtuBytes = this.#mesh.tunnelMtuBytes(this.#meshPlan.localAddress);
    for (const { taskId, overlays, gatewayAddress } of sandboxes) {
      if (gatewayAddress === undefined) continue;
      try {
        const inside = new RouteSocket(this.#linux, this.sandboxPath(taskId));
        try {
          setLinkSize(inside, `eth${overlays.length}`, mtuBytes);
        } finally {
          inside.close();
        }
        setLinkSize(this.#host, linkName(GATEWAY_LINK_PREFIX, taskId), mtuBytes);
      } catch (error) {
        // it may go at any moment
        this.#log.warn("an interface keeps the size it had", { taskId, error: messageOf(error) });
      }
    }
  }

  collisions(): readonly TunnelCollision[] {
    const plan = this.#meshPlan;
    const mesh =
      plan === undefined || this.#mesh.taken === undefined
        ? []
        : [{ what: "mesh", vni: TRANSIT_VNI, udpPort: plan.vxlanUdpPort, taken: this.#mesh.taken }];
    const overlays = [...this.#overlays].flatMap(([what, { collision }]) =>
      collision === undefined ? [] : [{ what, ...collision }],
    );
    return [...mesh, ...overlays];
  }

  async removeAll(): Promise<void> {
    const sandboxes = this.listSandboxes().map((taskId) => this.removeSandbox(taskId));
    const overlays = this.listOverlays().map((networkId) => this.removeOverlay(networkId));
    const outcomes = await Promise.allSettled([...sandboxes, ...overlays]);
    if (this.#claim.isFree()) this.#mesh.removeAll();
    this.#claim.release();
    await this.audit.close({ isLeaving: true });
    const failed = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [outcome.reason as unknown] : [],
    );
    if (failed.length > 0)
      throw new AggregateError(failed, `${failed.length} namespaces could not be removed`);
  }

  close(): void {
    void this.audit.close({ isLeaving: false });
    for (const overlay of this.#overlays.values()) overlay.close();
    this.#overlays.clear();
    this.#mesh.close();
    this.#claim.release();
    this.#host.close();
  }

  /** @returns the MAC in the sandbox. */
  #attachOverlay(
    inside: RouteSocket,
    taskId: string,
    overlay: OverlayAttachment,
    end: { name: string; index: number; netnsFd: number },
  ): string {
    const network = this.#overlays.get(overlay.networkId);
    if (network === undefined) throw new InternalError(`overlay ${overlay.networkId} has no namespace yet`);
    return network.attach(overlay, { hostName: linkName("v", taskId), inside, ...end });
  }

  #attachGateway(inside: RouteSocket, sandbox: Sandbox, end: { index: number; netnsFd: number }): void {
    const plan = this.#meshPlan;
    const address = sandbox.gatewayAddress;
    if (plan === undefined || address === undefined) throw new InternalError("the mesh is not set up yet");
    const { index: linkIndex } = end;
    const { gatewayMac } = this.#mesh.attach({
      plan,
      address,
      hostName: linkName(GATEWAY_LINK_PREFIX, sandbox.taskId),
      end: { name: `eth${linkIndex - 2}`, ...end },
    });
    const gateway = transitGateway(plan.nodeNumber);
    const path = this.sandboxPath(sandbox.taskId);
    if (plan.hasIpv6) this.#linux.setSysctls(path, linkSettingsIpv6(`eth${linkIndex - 2}`));
    inside.send(setLinkUp(linkIndex));
    inside.send(setAddress({ index: linkIndex, address, prefixLength: 32 }));
    inside.send(setNeighbour({ linkIndex, address: gateway, mac: gatewayMac }));
    inside.send(setRoute({ destination: "0.0.0.0/0", linkIndex, gateway, onlink: true, source: address }));
    if (plan.hasIpv6) this.#twinGateway(inside, { address, linkIndex, nodeNumber: plan.nodeNumber });
  }

  /** The IPv6 address that goes with the other one, and the way out by it. */
  #twinGateway(
    inside: RouteSocket,
    { address, linkIndex, nodeNumber }: { address: string; linkIndex: number; nodeNumber: number },
  ): void {
    const [source, gateway] = [transitIpv6(address), transitGatewayIpv6(nodeNumber)];
    inside.send(setAddress({ index: linkIndex, address: source, prefixLength: 128 }));
    inside.send(setNeighbour({ linkIndex, address: gateway, mac: taskMac(transitGateway(nodeNumber)) }));
    inside.send(setRoute({ destination: "::/0", linkIndex, gateway, onlink: true, source }));
  }

  twinSandboxes(sandboxes: readonly Sandbox[]): void {
    const plan = this.#meshPlan;
    for (const { taskId, gatewayAddress: address, overlays, plug } of sandboxes) {
      if (plan?.hasIpv6 !== true || address === undefined || plug !== undefined || !this.hasSandbox(taskId))
        continue;
      const { nodeNumber } = plan;
      this.#mesh.attachIpv6(linkName(GATEWAY_LINK_PREFIX, taskId), { address, nodeNumber });
      const path = this.sandboxPath(taskId);
      const name = `eth${overlays.length}`;
      const inside = new RouteSocket(this.#linux, path);
      try {
        const link = inside.findLink(name);
        if (link === undefined) continue;
        this.#linux.setSysctls(path, linkSettingsIpv6(name));
        this.#twinGateway(inside, { address, linkIndex: link.index, nodeNumber });
      } finally {
        inside.close();
      }
    }
  }

  #places(sandboxes: Sandboxes): AuditedPlace[] {
    const plan = this.#meshPlan;
    return auditedPlaces({
      mesh: this.#claim.isHeld ? this.#mesh : undefined,
      hostNetns: this.#hostNetns,
      plan,
      overlays: this.#overlays,
      overlayPath: (networkId) => this.#path(OVERLAY_PREFIX, networkId),
      sandboxes: [...sandboxes.values()],
      sandboxPath: (taskId) => this.sandboxPath(taskId),
      rewire: (sandbox) => {
        if (this.#isOwnNamespace(sandbox)) this.#rewire(sandbox);
      },
      linkName,
    });
  }

  /** A container's attachment leads into a namespace of somebody else. */
  #isOwnNamespace({ taskId, plug }: Sandbox): boolean {
    return plug === undefined && existsSync(this.sandboxPath(taskId));
  }

  /** Makes the interfaces of a living sandbox that are gone; those that are there keep their connections. */
  #rewire(sandbox: Sandbox): void {
    this.#wire(sandbox, (name, inside) => inside.findLink(name) === undefined);
  }

  #path(prefix: string, id: string): string {
    return join(this.#netnsDir, `${prefix}${id}`);
  }

  #list(prefix: string): string[] {
    return readdirSync(this.#netnsDir)
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
      .sort();
  }
}

function setLinkSize(socket: RouteSocket, name: string, mtuBytes: number): void {
  const link = socket.findLink(name);
  if (link !== undefined && link.mtuBytes !== mtuBytes) socket.discard(setLinkMtu(link.index, mtuBytes));
}

/** At most 15 bytes, the kernel's limit; the same for a task after a restart. */
function linkName(prefix: string, taskId: string): string {
  return `${prefix}${createHash("sha256")
    .update(taskId)
    .digest("hex")
    .slice(0, 15 - prefix.length)}`;
}
