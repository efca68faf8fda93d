/**
 * Dirty plans: which parts of the kernel's state are to be planned anew, and their way to the data plane.
 * Pure (the world comes as ports). Invariants: what was marked stays marked until it was applied; what
 * failed is tried again with the next change, and after RETRY_DELAY_MS at the latest.
 * Source: docs/design/network.md ("Parts").
 */
import type { Timer } from "../base/clock/clock.js";
import { FailedPreconditionError, messageOf } from "../base/errors/errors.js";
import { hasPlace } from "./endpoints/host-ports.js";
import type { MeshPort } from "./endpoints/mesh-plan.js";
import { MeshPlanner } from "./endpoints/mesh-planner.js";
import type { Touched } from "./endpoints/network-state.js";
import type { Sandbox } from "./endpoints/sandbox.js";
import { portText } from "./endpoints/sandbox.js";
import { isAddress } from "./ipam/host-addresses.js";
import type { NetworkGround } from "./network-ground.js";
import { OverlayPlans } from "./overlay-plans.js";
import { CollisionError } from "./paths/collision.js";
import { type CollisionHolders, CollisionWatch } from "./paths/collision-watch.js";
import { MeshRelays } from "./proxy/mesh-relays.js";
import type { PortRelays } from "./proxy/port-relays.js";
import { inSlices } from "./slices.js";

/** After a failure to apply; the next change tries again, too. */
const RETRY_DELAY_MS = 1_000;
/** Ports that are tried, whether a process has them, before others have a turn. */
const PORTS_PER_SLICE = 100;
/** Sandboxes that are given IPv6 likewise. */
const SANDBOXES_PER_SLICE = 8;

export class DirtyPlans {
  readonly #ground: NetworkGround;
  readonly #tryAgain: () => void;
  readonly #networks = new Set<string>();
  readonly #warnedPorts = new Set<string>();
  #closedPorts: ReadonlySet<string> = new Set();
  readonly #collisions: CollisionWatch;
  /** Why the mesh is another's; then it stays marked. */
  #refusal: string | undefined;
  /** Encrypted networks that have a namespace here. */
  readonly #encrypted = new Set<string>();
  readonly #planner = new MeshPlanner();
  readonly #relays: MeshRelays;
  readonly #overlays: OverlayPlans;
  #hasIpv6 = false;
  #mesh = false;
  #encryption = false;
  #retry: Timer | undefined;

  /** `tryAgain` asks for a turn in which `apply` is called once more. */
  constructor(
    ground: NetworkGround,
    {
      tryAgain,
      holders,
      relays,
    }: { tryAgain: () => void; holders: CollisionHolders; relays?: () => Promise<PortRelays> },
  ) {
    this.#ground = ground;
    this.#relays = new MeshRelays(relays);
    this.#overlays = new OverlayPlans(ground);
    this.#tryAgain = tryAgain;
    const { troubles, clock, log } = ground;
    const retry = (collided: readonly string[]): void => {
      for (const what of collided) {
        if (what === "mesh") this.markMesh();
        else this.markNetwork(what);
      }
      tryAgain();
    };
    this.#collisions = new CollisionWatch({ troubles, holders, clock, log, retry });
  }

  /** Whether a further attempt is planned because one failed. */
  get isRetrying(): boolean {
    return this.#retry !== undefined;
  }

  /** Everything of the mesh. */
  markMesh(): void {
    this.#mesh = true;
    this.#planner.touchAll();
  }

  /** What of the mesh and of the overlays the changes touch; the networks are marked by `markNetwork`. */
  markChanges(touched: Touched): void {
    this.#mesh ||= touched.mesh;
    for (const serviceId of touched.meshServiceIds) this.#planner.touchService(serviceId);
    for (const nodeId of touched.peerNodeIds) this.#planner.touchNode(nodeId);
    this.#overlays.touch(touched);
  }

  markEncryption(): void {
    this.#encryption = true;
  }

  markNetwork(networkId: string): void {
    this.#networks.add(networkId);
    if (this.#ground.state.networks.get(networkId)?.encrypted === true || this.#encrypted.has(networkId))
      this.markEncryption();
  }

  markSandbox(sandbox: Sandbox): void {
    if (sandbox.gatewayAddress !== undefined) {
      this.#mesh = true;
      this.#planner.touchService(sandbox.serviceId);
    }
    for (const { networkId } of sandbox.overlays) this.markNetwork(networkId);
  }

  /** Applies what is marked. @throws the first failure, unless it is only to be logged. */
  async apply(options: { failing: "throw" | "log" } = { failing: "throw" }): Promise<void> {
    const { log, clock, troubles } = this.#ground;
    const failures: unknown[] = [];
    const attempt = async (what: string, work: () => Promise<void> | void): Promise<void> => {
      const key = `apply ${what}`;
      try {
        await work();
        troubles.clear(key);
      } catch (error) {
        if (error instanceof CollisionError) {
          troubles.clear(key);
          this.#refusal = error.message;
          return; // told by the watch, which tries again; nobody waits for it
        }
        log.error("network state was not applied", { what, error: messageOf(error) });
        troubles.set(key, `${what}: ${messageOf(error)}`);
        failures.push(error);
      }
    };
    this.#refusal = undefined;
    if (this.#mesh) await attempt("mesh", () => this.#applyMesh());
    if (this.#encryption) await attempt("encryption", () => this.#applyEncryption());
    for (const networkId of [...this.#networks].sort()) {
      await attempt(`overlay ${networkId}`, () => this.#applyOverlay(networkId));
    }
    if (this.#encryption && failures.length === 0) await attempt("encryption", () => this.#endEncryption());
    this.#collisions.look(this.#ground.dataPlane.collisions(), this.#refusal);
    if (failures.length === 0) return;
    this.#retry ??= clock.setTimer(RETRY_DELAY_MS, () => {
      this.#retry = undefined;
      this.#tryAgain();
    });
    if (options.failing === "throw") throw failures[0];
  }

  /** Mesh and overlays of one sandbox, whose tasks they list. @throws when one of them is not ready. */
  async applyFor(sandbox: Sandbox): Promise<void> {
    if (sandbox.gatewayAddress !== undefined) {
      this.#planner.touchService(sandbox.serviceId);
      await this.#applyMesh();
      this.#ground.troubles.clear("apply mesh");
    }
    if (sandbox.overlays.some(({ networkId }) => this.#ground.state.networks.get(networkId)?.encrypted))
      await this.#applyEncryption();
    for (const { networkId } of sandbox.overlays) {
      await this.#applyOverlayNow(networkId);
      this.#ground.troubles.clear(`apply overlay ${networkId}`);
    }
  }

  /** Plans no further attempt, and ends the relays with their connections. */
  stop(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#collisions.stop();
    this.#relays.close();
  }

  clear(): void {
    this.stop();
    this.#overlays.clear();
    this.#networks.clear();
    this.#encrypted.clear();
    this.#encryption = false;
    this.#ground.troubles.retain("apply ", new Set());
  }

  async #applyMesh(): Promise<void> {
    const { identity, state, sandboxes, ownAddresses, dataPlane, clock, log } = this.#ground;
    if (identity === undefined) return;
    this.#mesh = true;
    this.lookAtAddresses();
    if (await this.#relays.listen(state, identity)) this.#planner.touchAll();
    const { places: relays } = this.#relays;
    const options = { identity, sandboxes, ownAddresses: ownAddresses.list, relays };
    const plan = await inSlices(this.#planner.plan(state, options), clock);
    await dataPlane.applyMesh(plan);
    this.#relays.aim(plan);
    if (plan.hasIpv6 && !this.#hasIpv6) await this.#twinSandboxes();
    this.#hasIpv6 = plan.hasIpv6;
    this.#mesh = false;
    this.#tellClosed(plan.ports);
    this.#tellUnspoken(plan.ports);
    const local = new Set([...sandboxes.values()].flatMap(({ hostPorts }) => hostPorts.map(portText)));
    for (const { protocol, publishedPort, hostAddresses } of plan.ports) {
      const port = `${publishedPort}/${protocol}`;
      if (this.#warnedPorts.has(port) || local.has(port)) continue;
      this.#warnedPorts.add(port); // looked at once
      if (this.#warnedPorts.size % PORTS_PER_SLICE === 0) await clock.sleep(0);
      const addresses = (hostAddresses ?? []).filter(isAddress);
      if (addresses.length < (hostAddresses ?? []).length) continue; // by an interface: what comes in
      if (dataPlane.isPortHeld(protocol, publishedPort, addresses)) {
        log.warn(
          "a process on this node listens on a published port; the routing mesh takes its connections",
          {
            port,
          },
        );
      }
    }
  }

  /** Rules for a protocol load in any kernel; tasks that cannot listen are another matter. */
  #tellUnspoken(ports: readonly MeshPort[]): void {
    const { dataPlane, troubles } = this.#ground;
    const port = ports.find(({ protocol }) => protocol === "sctp");
    if (port === undefined || dataPlane.speaksSctp()) {
      troubles.clear("sctp");
      return;
    }
    const words = `port ${port.publishedPort}/sctp is published, but this kernel has no SCTP (module sctp)`;
    troubles.set("sctp", words);
  }

  /** Sandboxes from before the node, or this daemon, had IPv6. */
  async #twinSandboxes(): Promise<void> {
    const { sandboxes, dataPlane, clock } = this.#ground;
    const all = [...sandboxes.values()];
    for (let at = 0; at < all.length; at += SANDBOXES_PER_SLICE) {
      dataPlane.twinSandboxes(all.slice(at, at + SANDBOXES_PER_SLICE));
      if (at + SANDBOXES_PER_SLICE < all.length) await clock.sleep(0);
    }
  }

  /** @returns whether the node's addresses changed; then all of the mesh is marked. */
  lookAtAddresses(): boolean {
    const { identity, ownAddresses, dataPlane } = this.#ground;
    if (identity === undefined) return false;
    const isChanged = ownAddresses.learn(dataPlane.nodeAddresses(identity.dataPathAddress));
    if (isChanged) this.markMesh();
    return isChanged;
  }

  /** Says once of each port that is open on none of this node's addresses and interfaces. */
  #tellClosed(ports: readonly MeshPort[]): void {
    const chosen = ports.filter(({ hostAddresses }) => hostAddresses !== undefined);
    const places = chosen.length === 0 ? new Set<string>() : this.#ground.dataPlane.places();
    const closed = new Set<string>();
    for (const port of chosen) {
      if (hasPlace(port, places)) continue;
      const text = `${port.publishedPort}/${port.protocol} on ${port.hostAddresses?.join(", ")}`;
      closed.add(text);
      if (this.#closedPorts.has(text)) continue;
      this.#ground.log.warn("a published port is not open on this node, which has none of its addresses", {
        port: text,
      });
    }
    this.#closedPorts = closed;
  }

  async #applyOverlay(networkId: string): Promise<void> {
    const { identity, dataPlane, encryption } = this.#ground;
    if (identity === undefined) return;
    this.#networks.add(networkId);
    const planned = await this.#overlays.plan(networkId);
    const plan = planned?.plan;
    // Where the kernel cannot, a task that wants the network is refused.
    const isOpen = plan?.encrypted !== true;
    if (
      plan !== undefined &&
      (isOpen || (this.#hasPart(networkId) && encryption.whyUnable() === undefined))
    ) {
      if (!isOpen) this.#encrypted.add(networkId);
      await dataPlane.applyOverlay(plan, planned?.changes);
      this.#overlays.carriedOut(plan);
      this.#networks.delete(networkId);
      return;
    }
    if (this.#isUsed(networkId)) return; // stays until its last task here is gone
    this.#networks.delete(networkId);
    if (this.#encrypted.delete(networkId)) this.markEncryption();
    await dataPlane.removeOverlay(networkId);
  }

  async #applyOverlayNow(networkId: string): Promise<void> {
    const { identity, dataPlane, encryption } = this.#ground;
    if (identity === undefined) return;
    const planned = await this.#overlays.plan(networkId);
    if (planned === undefined)
      throw new FailedPreconditionError(`network ${networkId} is not ready on this node`);
    const { plan, changes } = planned;
    if (plan.encrypted) {
      encryption.demand();
      this.#encrypted.add(networkId);
    }
    this.#networks.add(networkId);
    await dataPlane.applyOverlay(plan, changes);
    this.#overlays.carriedOut(plan);
    this.#networks.delete(networkId);
  }

  async #applyEncryption(): Promise<void> {
    const { identity, state, dataPlane, encryption } = this.#ground;
    const networkIds = this.#encryptedHere();
    if (identity === undefined || networkIds.length === 0 || encryption.whyUnable() !== undefined) return;
    const mtuBytes = dataPlane.encryptionMtuBytes(identity.dataPathAddress);
    await encryption.apply(state, { identity, networkIds, mtuBytes });
  }

  /** Of the networks the node knows of, those with a task here. */
  #encryptedHere(): string[] {
    return [...this.#ground.state.networks.values()]
      .filter(({ id, encrypted }) => encrypted && this.#hasPart(id))
      .map(({ id }) => id);
  }

  #hasPart(networkId: string): boolean {
    const { identity, state } = this.#ground;
    return state.nodesOf(networkId).has(identity?.nodeId ?? "") || this.#isUsed(networkId);
  }

  /** The last encrypted network has gone from here. */
  async #endEncryption(): Promise<void> {
    if (this.#encryptedHere().length === 0 && this.#encrypted.size === 0) await this.#ground.encryption.end();
    this.#encryption = false;
  }

  #isUsed(networkId: string): boolean {
    return [...this.#ground.sandboxes.values()].some(({ overlays }) =>
      overlays.some((overlay) => overlay.networkId === networkId),
    );
  }
}
