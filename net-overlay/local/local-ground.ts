/**
 * What the management of networks and the sandboxes of containers share: which networks and sandboxes there
 * are, bridges, the host's rules, events.
 * Pure over the machine. Invariants: a network has a bridge once somebody needs it; the rules follow from the
 * networks that have one and from the sandboxes.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { LocalNetworkEvent, LocalNetworkRecord } from "../../proto/engine/networks.js";
import type { EndpointMaker } from "./endpoint-maker.js";
import { type FirewallPlans, firewallPlans } from "./firewall-plan.js";
import type { LocalHost } from "./local-host.js";
import { LocalNames } from "./local-names.js";
import type { LocalRecords } from "./local-records.js";
import type { LocalSandbox } from "./local-sandbox.js";
import type { NetworkBook } from "./network-book.js";
import type { OverlayNetworks } from "./overlay-networks.js";

/** How often the host's rules are looked at while any network is in use. */
const CHECK_PERIOD_MS = 30_000;

export interface LocalGroundParts {
  readonly host: LocalHost;
  readonly records: LocalRecords;
  readonly book: NetworkBook;
  readonly maker: EndpointMaker;
  readonly overlays: Pick<OverlayNetworks, "namesOf"> | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LocalGround {
  readonly parts: LocalGroundParts;
  readonly sandboxes = new Map<string, LocalSandbox>();
  readonly names: LocalNames;
  /** Networks that have a bridge on the host, by id. */
  readonly #made = new Map<string, LocalNetworkRecord>();
  readonly #listeners = new Set<(event: LocalNetworkEvent) => void>();
  #checking: Timer | undefined;

  constructor(parts: LocalGroundParts) {
    this.parts = parts;
    this.names = new LocalNames(this.sandboxes, (networkId) => parts.overlays?.namesOf(networkId));
  }

  ensureBridge(record: LocalNetworkRecord): void {
    if (this.#made.has(record.id)) return;
    const { host, maker, clock } = this.parts;
    host.ensureBridge(maker.networkOf(record));
    this.#made.set(record.id, record);
    this.#checking ??= clock.setInterval(CHECK_PERIOD_MS, () => this.checkFirewall());
  }

  removeBridge(record: LocalNetworkRecord): void {
    this.#made.delete(record.id);
    this.parts.host.removeBridge(this.parts.maker.networkOf(record).link);
    this.parts.maker.forgetNetwork(record.id);
  }

  applyFirewall(): void {
    this.parts.host.applyFirewall(this.#plans());
  }

  checkFirewall(): void {
    try {
      if (this.#made.size > 0) this.parts.host.checkFirewall(this.#plans());
    } catch (error) {
      this.parts.log.error("the rules of local networks could not be looked at", { error: messageOf(error) });
    }
  }

  keep(sandbox: LocalSandbox): void {
    this.names.changed(sandbox.endpoints.map(({ state }) => state.networkId));
    this.sandboxes.set(sandbox.containerId, sandbox);
    this.parts.records.saveSandbox(sandbox);
  }

  forget(sandbox: LocalSandbox): void {
    this.names.changed(sandbox.endpoints.map(({ state }) => state.networkId));
    this.sandboxes.delete(sandbox.containerId);
    this.parts.records.removeSandbox(sandbox.containerId);
  }

  onEvent(listener: (event: LocalNetworkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(
    kind: LocalNetworkEvent["kind"],
    { id, name, driver }: LocalNetworkEvent["network"],
    containerId?: string,
  ): void {
    const event: LocalNetworkEvent = {
      kind,
      network: { id, name, driver },
      timeMs: this.parts.clock.nowMs(),
      ...(containerId === undefined ? {} : { containerId }),
    };
    for (const listener of this.#listeners) listener(event);
  }

  close(): void {
    this.#checking?.cancel();
    this.parts.host.close();
  }

  #plans(): FirewallPlans {
    const networks = [...this.#made.values()].map((record) => this.parts.maker.networkOf(record));
    return firewallPlans(networks, this.sandboxes.values());
  }
}
