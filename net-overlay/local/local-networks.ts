/**
 * The local networks of a node, and containers on them: the one implementation of both contracts of
 * proto/engine/networks.ts.
 * Pure over the machine (LocalHost) and what is remembered (LocalRecords). Invariant: until the daemon has
 * told which containers live (retain), nothing that was found is taken away.
 * Source: docs/design/local-networks.md.
 */
import type { Clock } from "../../base/clock/clock.js";
import { PermissionDeniedError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type {
  ContainerNetworking,
  ContainerNetworks,
  EndpointSettings,
  LocalNetworkEvent,
  LocalNetworkRecord,
  LocalNetworkRequest,
  LocalNetworks,
  NetworkMember,
  Sandbox,
  SandboxRequest,
} from "../../proto/engine/networks.js";
import type { AskerView } from "../discovery/resolve.js";
import { BRIDGE_OPTION, checkLinkName } from "./bridge-network.js";
import { ContainerSandboxes } from "./container-sandboxes.js";
import { admitPorts, EndpointMaker } from "./endpoint-maker.js";
import { GATEWAY_NETWORK, gatewayMemberName } from "./gateway-network.js";
import { GuestSandboxes } from "./guest-sandboxes.js";
import { LocalGround } from "./local-ground.js";
import type { LocalHost } from "./local-host.js";
import type { LocalRecords } from "./local-records.js";
import { publishedAddress } from "./local-sandbox.js";
import { type LocalNetworkOptions, NetworkBook } from "./network-book.js";
import { withSettings } from "./network-settings.js";
import { OverlayEndpoints } from "./overlay-endpoints.js";
import type { OverlayNetworks } from "./overlay-networks.js";
import { EphemeralPorts } from "./port-plan.js";
import { splitExtraHost } from "./sandbox-files.js";

export interface LocalNetworkComponents {
  readonly host: LocalHost;
  readonly records: LocalRecords;
  /** Places on the cluster's overlays. @default there are none */
  readonly overlays?: OverlayNetworks;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface LocalNetworkInit extends LocalNetworkOptions {
  /** @default 32768 to 60999 */
  readonly ephemeralPorts?: { readonly min: number; readonly max: number };
  /** What host-gateway in extra hosts means. @default the default bridge's gateway */
  readonly hostGateways?: readonly string[];
}

export class NodeLocalNetworks implements LocalNetworks, ContainerNetworks {
  readonly #book: NetworkBook;
  readonly #ground: LocalGround;
  readonly #sandboxes: ContainerSandboxes;
  readonly #guests: GuestSandboxes;

  constructor(components: LocalNetworkComponents, init: LocalNetworkInit = {}) {
    const { host, records, overlays, clock, random, log } = components;
    this.#book = new NetworkBook(
      {
        load: () => records.loadNetworks(),
        save: (networks) => records.saveNetworks(networks),
        foreignSubnets: (links) => host.foreignSubnets(links),
        random: random.child("networks"),
        nowMs: () => clock.nowMs(),
      },
      init,
    );
    const maker = new EndpointMaker(random.child("endpoints"));
    this.#ground = new LocalGround({ host, records, book: this.#book, maker, overlays, clock, log });
    const endpoints =
      overlays === undefined ? undefined : new OverlayEndpoints(overlays, random.child("overlay-endpoints"));
    this.#sandboxes = new ContainerSandboxes(this.#ground, {
      ephemeral: new EphemeralPorts(init.ephemeralPorts ?? { min: 32_768, max: 60_999 }),
      hostGateways: init.hostGateways ?? [],
      overlays: endpoints,
    });
    this.#guests = new GuestSandboxes(this.#ground, endpoints);
    for (const sandbox of records.loadSandboxes()) {
      if (sandbox.guestOf === undefined) this.#sandboxes.takeOver(sandbox);
      else this.#guests.takeOver(sandbox);
    }
  }

  list(): readonly LocalNetworkRecord[] {
    return this.#book.list();
  }

  find(idOrName: string): LocalNetworkRecord | undefined {
    return this.#book.find(idOrName);
  }

  members(networkId: string): readonly NetworkMember[] {
    return [...this.#ground.sandboxes.values()].flatMap(({ containerId, containerName, endpoints }) =>
      endpoints
        .filter(({ state }) => state.networkId === networkId)
        .map(({ state, isGateway }) => ({
          containerId,
          name: isGateway === true ? gatewayMemberName({ containerId }) : containerName,
          endpoint: state,
        })),
    );
  }

  create(request: LocalNetworkRequest): Promise<LocalNetworkRecord> {
    return attempt(() => {
      const { options, configOnly } = withSettings(request, this.#book.list());
      const link = configOnly === true ? "" : (options[BRIDGE_OPTION.name] ?? "");
      checkLinkName(link); // before the kernel is asked about it
      this.#mustNotBeForeign(link);
      const record = this.#book.create(request);
      try {
        if (record.driver === "bridge") {
          this.#ground.ensureBridge(record);
          this.#ground.applyFirewall();
        }
      } catch (error) {
        this.#book.remove(record.id);
        this.#ground.removeBridge(record);
        throw error;
      }
      this.#ground.tell("create", record);
      return record;
    });
  }

  remove(idOrName: string): Promise<void> {
    return attempt(() => {
      const { id, name } = this.#book.get(idOrName);
      if (this.members(id).length > 0) {
        throw new PermissionDeniedError(
          `error while removing network: network ${name} id ${id} has active endpoints`,
        );
      }
      const record = this.#book.remove(id);
      if (record.driver === "bridge") {
        this.#ground.removeBridge(record);
        this.#ground.applyFirewall();
      }
      this.#ground.tell("destroy", record);
    });
  }

  onEvent(listener: (event: LocalNetworkEvent) => void): () => void {
    return this.#ground.onEvent(listener);
  }

  /** A network that is not there is refused at the start, as Docker does: it may come. */
  admit(networking: ContainerNetworking): void {
    admitPorts(networking);
    for (const entry of networking.extraHosts) splitExtraHost(entry);
  }

  open(request: SandboxRequest): Promise<Sandbox> {
    return this.#sandboxes.open(request);
  }

  adopt(request: SandboxRequest, sandbox: Sandbox): Promise<void> {
    const { containerId } = request;
    return attempt(() => {
      if (this.#guests.has(containerId)) this.#guests.adopt(containerId);
      else this.#sandboxes.adopt(request, sandbox);
    });
  }

  close(containerId: string): Promise<void> {
    return this.#sandboxes.close(containerId);
  }

  async retain(containerIds: ReadonlySet<string>): Promise<void> {
    await this.#sandboxes.retain(containerIds);
    await this.#guests.retain(containerIds);
    const { host, maker } = this.#ground.parts;
    for (const record of this.#book.list()) {
      if (record.driver === "bridge" && host.hasLink(maker.networkOf(record).link))
        this.#ground.ensureBridge(record);
    }
    this.#ground.checkFirewall();
  }

  connect(containerId: string, network: string, endpoint: EndpointSettings): Promise<Sandbox> {
    return this.#sandboxes.connect(containerId, network, endpoint);
  }

  connectGuest(
    request: SandboxRequest,
    netnsPath: string,
    joining: { readonly network: string; readonly settings: EndpointSettings },
  ): Promise<Sandbox> {
    return this.#guests.connect(request, netnsPath, joining);
  }

  closeGuest(containerId: string): Promise<void> {
    return this.#guests.close(containerId);
  }

  disconnect(containerId: string, network: string): Promise<Sandbox> {
    if (this.#guests.has(containerId)) return this.#guests.disconnect(containerId, network);
    return this.#sandboxes.disconnect(containerId, network);
  }

  /** The cluster was left. What leads out of containers that were on overlays alone stays while they need it. */
  async leaveOverlays(): Promise<void> {
    await this.#sandboxes.leaveOverlays();
    const gateway = this.#book.find(GATEWAY_NETWORK);
    if (gateway !== undefined && this.members(gateway.id).length === 0) await this.remove(gateway.id);
  }

  rename(containerId: string, name: string): void {
    this.#sandboxes.rename(containerId, name);
  }

  /** An interface that somebody else made would be taken for our bridge, and be deleted with the network. */
  #mustNotBeForeign(link: string): void {
    const { host, maker } = this.#ground.parts;
    if (link === "" || !host.hasLink(link)) return;
    const isOurs = this.#book
      .list()
      .some((record) => record.driver === "bridge" && maker.networkOf(record).link === link);
    if (!isOurs) throw new PermissionDeniedError(`bridge name ${link} is an interface of the host already`);
  }

  /** For the servers of names. */
  viewOf(containerId: string): AskerView | undefined {
    return this.#ground.names.viewOf(containerId);
  }

  /** Where connections that the kernel cannot translate are carried. */
  carriedTo(containerId: string): string | undefined {
    const sandbox = this.#ground.sandboxes.get(containerId);
    return sandbox === undefined ? undefined : publishedAddress(sandbox, 4) || undefined;
  }

  /** Somebody changed the host's rulesets: ours are looked at, and made again where they are gone. */
  lookAtFirewall(): void {
    this.#ground.checkFirewall();
  }

  /** Stops serving; leaves the kernel as it is. */
  stop(): void {
    this.#ground.close();
  }
}

function attempt<T>(act: () => T): Promise<T> {
  return new Promise((resolve) => resolve(act()));
}
