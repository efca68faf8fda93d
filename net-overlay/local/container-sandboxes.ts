/**
 * Sandboxes of containers on local networks: opened, taken over after a restart, changed live, closed.
 * Pure over the machine. Invariants: all or nothing, what was given (leases, ports, interfaces) is given
 * back when a sandbox could not be opened whole, and when it is closed; what is remembered is what is in
 * the kernel.
 */
import {
  AlreadyExistsError,
  FailedPreconditionError,
  InternalError,
  messageOf,
  NotFoundError,
  NotImplementedError,
  PermissionDeniedError,
} from "../../base/errors/errors.js";
import type {
  EndpointSettings,
  LocalNetworkEvent,
  LocalNetworkRecord,
  PortBinding,
  Sandbox,
  SandboxRequest,
} from "../../proto/engine/networks.js";
import { dnsNames, type PlannedEndpoint } from "./endpoint-maker.js";
import { GATEWAY_NETWORK, GATEWAY_REQUEST, needsWayOut } from "./gateway-network.js";
import type { LocalGround } from "./local-ground.js";
import type { DefaultRoutes } from "./local-host.js";
import {
  gatewayEndpoint,
  type LocalEndpoint,
  type LocalSandbox,
  NO_SETTINGS,
  publishedAddress,
  sandboxOf,
  wantedNetworks,
} from "./local-sandbox.js";
import {
  type LeasedPlace,
  type OverlayEndpoints,
  overlayEndpoints,
  overlayNetwork,
} from "./overlay-endpoints.js";
import { type EphemeralPorts, publishPorts } from "./port-plan.js";
import { hasNames, SandboxView } from "./sandbox-view.js";

const NO_ROUTES: DefaultRoutes = { 4: undefined, 6: undefined };

export interface ContainerSandboxInit {
  readonly ephemeral: EphemeralPorts;
  /** What host-gateway in extra hosts means; empty: the default bridge's gateway. */
  readonly hostGateways: readonly string[];
  /** undefined: this node never is in a cluster. */
  readonly overlays: OverlayEndpoints | undefined;
}

/** A network to join, in the order asked. */
type Wanted =
  | { readonly record: LocalNetworkRecord; readonly settings: EndpointSettings; readonly isGateway?: boolean }
  | { readonly place: LeasedPlace };

export class ContainerSandboxes {
  readonly #ground: LocalGround;
  readonly #init: ContainerSandboxInit;
  readonly #view: SandboxView;
  /** Namespaces on their way out: a new one of the same container waits for it. */
  readonly #removals = new Map<string, Promise<void>>();

  constructor(ground: LocalGround, init: ContainerSandboxInit) {
    this.#ground = ground;
    this.#init = init;
    this.#view = new SandboxView(ground, init.hostGateways);
  }

  /** What was remembered by the process before. */
  takeOver(sandbox: LocalSandbox): void {
    const { maker, book, log } = this.#ground.parts;
    for (const endpoint of sandbox.endpoints) {
      const record = book.find(endpoint.state.networkId);
      try {
        if (record !== undefined) maker.claim(sandbox, record, endpoint);
      } catch (error) {
        // The network has another subnet now (--bip): the container keeps its address until it starts anew.
        const { containerId } = sandbox;
        log.warn("an address is none of its network's any more", { containerId, error: messageOf(error) });
      }
    }
    this.#ground.sandboxes.set(sandbox.containerId, sandbox);
  }

  async open(request: SandboxRequest): Promise<Sandbox> {
    const { containerId } = request;
    const { host } = this.#ground.parts;
    await this.#removals.get(containerId);
    const existing = this.#ground.sandboxes.get(containerId);
    if (existing !== undefined && host.hasSandbox(containerId)) {
      this.#serve(existing);
      return this.#view.shown(existing);
    }
    if (existing !== undefined || host.hasSandbox(containerId)) await this.close(containerId);
    let sandbox = sandboxOf(request);
    const wanted = await this.#lookUp(sandbox, wantedNetworks(request.networking));
    let shown: Sandbox;
    try {
      host.createSandbox(containerId);
      sandbox = await this.#joined(sandbox, wanted);
      sandbox = { ...sandbox, ports: this.#publish(sandbox) };
      this.#ground.keep(sandbox);
      if (sandbox.ports.length > 0) this.#openPorts(sandbox);
      this.#serve(sandbox);
      shown = this.#view.shown(sandbox);
    } catch (error) {
      const begun = this.#ground.sandboxes.get(containerId) ?? sandbox;
      this.#giveBack(begun);
      await this.#init.overlays?.releaseAll(begun);
      await this.#removeNamespace(containerId);
      throw error;
    }
    for (const endpoint of sandbox.endpoints) this.#tell("connect", endpoint, containerId);
    return shown;
  }

  adopt(request: SandboxRequest, shown: Sandbox): void {
    const { containerId } = request;
    const { host, book, log } = this.#ground.parts;
    if (!this.#ground.sandboxes.has(containerId)) {
      const found = fromShown(request, shown);
      this.takeOver(found);
      this.#ground.keep(found);
    }
    const sandbox = this.#ground.sandboxes.get(containerId);
    if (sandbox === undefined || !host.hasSandbox(containerId)) return;
    for (const { state } of sandbox.endpoints) {
      const record = book.find(state.networkId);
      if (record !== undefined) this.#ground.ensureBridge(record);
    }
    this.#init.overlays?.adopt(sandbox, host.sandboxPath(containerId));
    for (const binding of sandbox.ports) {
      if (host.ports.hold({ ...binding, owner: containerId }) !== undefined)
        log.warn("a published port is used by another program, too", { containerId, ...binding });
    }
    this.#serve(sandbox);
  }

  async close(containerId: string): Promise<void> {
    const sandbox = this.#ground.sandboxes.get(containerId);
    if (sandbox !== undefined) {
      this.#giveBack(sandbox);
      for (const endpoint of sandbox.endpoints) this.#tell("disconnect", endpoint, containerId);
    }
    await Promise.all([
      this.#removeNamespace(containerId),
      sandbox === undefined ? undefined : this.#init.overlays?.releaseAll(sandbox),
    ]);
  }

  async retain(containerIds: ReadonlySet<string>): Promise<void> {
    const { host } = this.#ground.parts;
    const found = new Set([...this.#ground.sandboxes.keys(), ...host.listSandboxes()]);
    for (const id of found) if (!containerIds.has(id)) await this.close(id);
  }

  async connect(containerId: string, network: string, settings: EndpointSettings): Promise<Sandbox> {
    const sandbox = this.#running(containerId);
    const record = this.#ground.parts.book.find(network);
    const there = findEndpoint(sandbox, record?.id ?? network);
    if (there !== undefined && record !== undefined) {
      throw new PermissionDeniedError(
        `endpoint with name ${sandbox.containerName} already exists in network ${record.name}`,
      );
    }
    if (there !== undefined) {
      throw new AlreadyExistsError(
        `${sandbox.containerName} is already attached to network ${there.networkName}`,
      );
    }
    const wanted = await this.#lookUp(sandbox, [{ network, settings }]);
    const joined = await this.#joined(sandbox, wanted);
    this.#ground.keep(joined); // it is in the kernel, whatever fails from here on
    const changed = this.#withPorts(sandbox, await this.#withoutSpareGateway(joined));
    const added = changed.endpoints.filter((endpoint) => !sandbox.endpoints.includes(endpoint));
    for (const endpoint of added) this.#tell("connect", endpoint, containerId);
    return this.#view.shown(changed);
  }

  async disconnect(containerId: string, network: string): Promise<Sandbox> {
    const sandbox = this.#running(containerId);
    const record = this.#ground.parts.book.find(network);
    const left = findEndpoint(sandbox, record?.id ?? network);
    if (left === undefined && record === undefined) throw new NotFoundError(`network ${network} not found`);
    if (left === undefined)
      throw new InternalError(
        `container ${containerId} is not connected to network ${record?.name ?? network}`,
      );
    const rest = await this.#without(sandbox, left);
    this.#ground.keep(rest);
    const wayOut = needsWayOut(rest.endpoints) ? await this.#joined(rest, []) : rest;
    const changed = this.#withPorts(sandbox, wayOut);
    this.#tell("disconnect", left, containerId);
    return this.#view.shown(changed);
  }

  /** The cluster was left: what was on its networks is not any more. */
  async leaveOverlays(): Promise<void> {
    for (const sandbox of [...this.#ground.sandboxes.values()]) {
      const left = overlayEndpoints(sandbox);
      if (left.length === 0) continue;
      await this.#init.overlays?.releaseAll(sandbox);
      const now = this.#ground.sandboxes.get(sandbox.containerId);
      if (now === undefined) continue; // it has ended meanwhile
      const leases = new Set(left.map(({ leaseId }) => leaseId));
      this.#ground.keep({
        ...now,
        endpoints: now.endpoints.filter(({ leaseId }) => leaseId === undefined || !leases.has(leaseId)),
      });
    }
  }

  rename(containerId: string, containerName: string): void {
    const sandbox = this.#ground.sandboxes.get(containerId);
    if (sandbox === undefined) return;
    const renamed = { ...sandbox, containerName };
    const endpoints = sandbox.endpoints.map((endpoint) =>
      endpoint.state.dnsNames.length === 0
        ? endpoint
        : { ...endpoint, state: { ...endpoint.state, dnsNames: dnsNames(renamed, endpoint.settings) } },
    );
    const kept = { ...renamed, endpoints };
    this.#ground.keep(kept);
    this.#init.overlays?.rename(kept);
  }

  #running(containerId: string): LocalSandbox {
    const sandbox = this.#ground.sandboxes.get(containerId);
    if (sandbox === undefined) throw new FailedPreconditionError(`container ${containerId} is not running`);
    return sandbox;
  }

  /** Networks of this node by name; what is none of them is asked of the cluster. Overlays are leased. */
  async #lookUp(
    sandbox: LocalSandbox,
    asked: readonly { readonly network: string; readonly settings: EndpointSettings }[],
  ): Promise<Wanted[]> {
    const { book } = this.#ground.parts;
    const { overlays } = this.#init;
    const own = asked.map(({ network, settings }) => ({ network, settings, record: book.find(network) }));
    const other = own.find(({ record }) => record !== undefined && record.driver !== "bridge")?.record;
    if (other?.configOnly === true)
      throw new PermissionDeniedError("cannot create endpoint on configuration-only network");
    if (other !== undefined)
      throw new NotImplementedError(`a container cannot be on network ${other.name} beside others`);
    const ofCluster = own.filter(({ record }) => record === undefined);
    const [unknown] = ofCluster;
    if (unknown !== undefined && overlays === undefined)
      throw new NotFoundError(`network ${unknown.network} not found`);
    const places = (await overlays?.lease(sandbox, ofCluster)) ?? [];
    return own.flatMap(({ settings, record }): Wanted[] => {
      if (record !== undefined) return [{ record, settings }];
      const place = places.shift(); // in the same order
      return place === undefined ? [] : [{ place }];
    });
  }

  /** Interfaces, addresses and default routes on further networks, and a way out if need be. All or nothing. */
  async #joined(sandbox: LocalSandbox, wanted: readonly Wanted[]): Promise<LocalSandbox> {
    const { host, maker } = this.#ground.parts;
    const { overlays } = this.#init;
    const { containerId } = sandbox;
    const planned: PlannedEndpoint[] = [];
    let hostIndexes: readonly number[] = [];
    let joined = sandbox;
    const bridges = new Set<LocalEndpoint>();
    const plan = (next: Wanted): void => {
      // the container's own MAC is that of its first interface
      const position = joined.endpoints.length;
      const mac = position === 0 ? sandbox.networking.macAddress : "";
      let endpoint: LocalEndpoint | undefined;
      if ("place" in next) endpoint = overlays?.plan(joined, next.place, position);
      else {
        this.#ground.ensureBridge(next.record);
        const made = maker.plan(joined, { ...next, mac, position });
        endpoint = next.isGateway === true ? asGateway(made.endpoint) : made.endpoint;
        planned.push({ ...made, endpoint });
        bridges.add(endpoint);
      }
      if (endpoint !== undefined) joined = { ...joined, endpoints: [...joined.endpoints, endpoint] };
    };
    try {
      for (const next of wanted) plan(next);
      const hasGateway = joined.endpoints.some(({ isGateway }) => isGateway === true);
      if (!hasGateway && needsWayOut(joined.endpoints))
        plan({ record: this.#gatewayRecord(), settings: NO_SETTINGS, isGateway: true });
      hostIndexes = host.attach(
        containerId,
        planned.map(({ plan: one }) => one),
      );
      const indexOf = new Map(planned.map(({ endpoint }, i) => [endpoint, hostIndexes[i] ?? 0]));
      const endpoints: LocalEndpoint[] = [];
      for (const endpoint of joined.endpoints) {
        if (sandbox.endpoints.includes(endpoint)) endpoints.push(endpoint);
        else if (bridges.has(endpoint))
          endpoints.push({ ...endpoint, hostIndex: indexOf.get(endpoint) ?? 0 });
        else if (overlays !== undefined)
          endpoints.push(await overlays.plug(endpoint, host.sandboxPath(containerId)));
      }
      joined = { ...sandbox, endpoints };
      const before = sandbox.endpoints.length === 0 ? NO_ROUTES : routesOf(sandbox);
      host.setDefaultRoutes(containerId, before, routesOf(joined));
      this.#ground.applyFirewall();
      return joined;
    } catch (error) {
      for (const hostIndex of hostIndexes) host.detach(hostIndex);
      for (const { endpoint } of planned) maker.release(sandbox, endpoint);
      await overlays?.release(wanted.flatMap((next) => ("place" in next ? [next.place] : [])));
      throw error;
    }
  }

  /** Takes one interface away, live; what has led outside by it leads there by another. */
  async #without(sandbox: LocalSandbox, left: LocalEndpoint): Promise<LocalSandbox> {
    const { host, maker } = this.#ground.parts;
    const rest: LocalSandbox = {
      ...sandbox,
      endpoints: sandbox.endpoints.filter((endpoint) => endpoint !== left),
    };
    if (left.leaseId !== undefined) await this.#init.overlays?.releaseOne(left);
    else host.detach(left.hostIndex); // its routes go with it
    const remaining = routesOf(sandbox);
    const gone = (family: 4 | 6): boolean => remaining[family]?.linkIndex === left.linkIndex;
    const before = {
      4: gone(4) ? undefined : remaining[4],
      6: gone(6) ? undefined : remaining[6],
    };
    host.setDefaultRoutes(sandbox.containerId, before, routesOf(rest));
    if (left.leaseId === undefined) maker.release(sandbox, left);
    this.#ground.names.changed([left.state.networkId]);
    return rest;
  }

  /** Another network leads outside now, or no overlay is left that wants to. */
  async #withoutSpareGateway(sandbox: LocalSandbox): Promise<LocalSandbox> {
    const gateway = sandbox.endpoints.find(({ isGateway }) => isGateway === true);
    return gateway === undefined || needsWayOut(sandbox.endpoints)
      ? sandbox
      : this.#without(sandbox, gateway);
  }

  #gatewayRecord(): LocalNetworkRecord {
    const { book } = this.#ground.parts;
    const known = book.find(GATEWAY_NETWORK);
    if (known !== undefined) return known;
    const record = book.create(GATEWAY_REQUEST);
    this.#ground.tell("create", record);
    return record;
  }

  #tell(kind: LocalNetworkEvent["kind"], endpoint: LocalEndpoint, containerId: string): void {
    if (endpoint.isGateway === true) return;
    const network =
      endpoint.leaseId === undefined
        ? this.#ground.parts.book.find(endpoint.state.networkId)
        : overlayNetwork(endpoint);
    if (network !== undefined) this.#ground.tell(kind, network, containerId);
  }

  #publish(sandbox: LocalSandbox): readonly PortBinding[] {
    const { host, book, maker } = this.#ground.parts;
    const gateway = gatewayEndpoint(sandbox.endpoints, 4) ?? gatewayEndpoint(sandbox.endpoints, 6);
    if (gateway === undefined) return []; // internal networks only
    const network = maker.networkOf(book.get(gateway.state.networkId));
    return publishPorts(sandbox.networking, host.ports, {
      owner: sandbox.containerId,
      containerName: sandbox.containerName,
      endpointId: gateway.state.endpointId,
      address: publishedAddress(sandbox, 4) || publishedAddress(sandbox, 6),
      hostBinding: network.hostBinding,
      hostHasIpv6: host.hasIpv6,
      ephemeral: this.#init.ephemeral,
    });
  }

  #openPorts(sandbox: LocalSandbox): void {
    this.#ground.applyFirewall();
    const ports = udpPorts(sandbox);
    if (ports.length > 0) this.#ground.parts.host.forgetUdpFlows({ servers: [], ports });
  }

  /** After its networks changed: ports lead to where its default route is now, or are published anew. */
  #withPorts(before: LocalSandbox, joined: LocalSandbox): LocalSandbox {
    const { host } = this.#ground.parts;
    let changed = joined;
    const hadWay = gatewayEndpoint(before.endpoints, 4) ?? gatewayEndpoint(before.endpoints, 6);
    const hasWay = gatewayEndpoint(joined.endpoints, 4) ?? gatewayEndpoint(joined.endpoints, 6);
    if (hasWay === undefined) {
      for (const binding of before.ports) host.ports.release({ ...binding, owner: before.containerId });
      changed = { ...joined, ports: [] };
    } else if (hadWay === undefined) {
      changed = { ...joined, ports: this.#publish(joined) };
    }
    this.#ground.keep(changed);
    this.#serve(changed);
    if (before.ports.length + changed.ports.length > 0) {
      this.#openPorts(changed);
      if (udpPorts(before).length > 0) host.forgetUdpFlows({ servers: addressesOf(before), ports: [] });
    }
    return changed;
  }

  /** Whatever it has, but for the namespace. */
  #giveBack(sandbox: LocalSandbox): void {
    const { host, maker } = this.#ground.parts;
    host.stopNames(sandbox.containerId);
    this.#ground.forget(sandbox);
    for (const binding of sandbox.ports) host.ports.release({ ...binding, owner: sandbox.containerId });
    for (const endpoint of sandbox.endpoints) {
      if (endpoint.hostIndex > 0) host.silence(endpoint.hostIndex);
      maker.release(sandbox, endpoint);
    }
    if (sandbox.ports.length === 0) return;
    this.#ground.applyFirewall();
    if (udpPorts(sandbox).length > 0) host.forgetUdpFlows({ servers: addressesOf(sandbox), ports: [] });
  }

  #removeNamespace(containerId: string): Promise<void> {
    const running = this.#removals.get(containerId);
    if (running !== undefined) return running;
    const removal = this.#ground.parts.host
      .removeSandbox(containerId)
      .finally(() => this.#removals.delete(containerId));
    this.#removals.set(containerId, removal);
    return removal;
  }

  #serve(sandbox: LocalSandbox): void {
    const { host } = this.#ground.parts;
    if (hasNames(sandbox)) host.serveNames(sandbox.containerId);
    else host.stopNames(sandbox.containerId);
  }
}

function findEndpoint({ endpoints }: LocalSandbox, network: string): LocalEndpoint | undefined {
  const shown = endpoints.filter(({ isGateway }) => isGateway !== true);
  return (
    shown.find(({ state }) => state.networkId === network) ??
    shown.find(({ networkName }) => networkName === network)
  );
}

/** Nobody finds it by name there. */
function asGateway(endpoint: LocalEndpoint): LocalEndpoint {
  return { ...endpoint, isGateway: true, state: { ...endpoint.state, dnsNames: [] } };
}

function addressesOf({ endpoints }: LocalSandbox): string[] {
  return endpoints.flatMap(({ state }) =>
    [state.ipv4Address, state.ipv6Address].filter((address) => address !== ""),
  );
}

function udpPorts({ ports }: LocalSandbox): number[] {
  return [...new Set(ports.flatMap(({ protocol, hostPort }) => (protocol === "udp" ? [hostPort] : [])))];
}

function routesOf({ endpoints }: LocalSandbox): DefaultRoutes {
  const route = (family: 4 | 6): DefaultRoutes[4] => {
    const endpoint = gatewayEndpoint(endpoints, family);
    if (endpoint === undefined) return undefined;
    const { state, linkIndex } = endpoint;
    return { linkIndex, gateway: family === 4 ? state.gateway : state.ipv6Gateway };
  };
  return { 4: route(4), 6: route(6) };
}

/** What can be told of a sandbox whose record is lost: enough to serve it and to take it away. */
function fromShown(request: SandboxRequest, shown: Sandbox): LocalSandbox {
  const endpoints = Object.entries(shown.endpoints).map(
    ([networkName, state], i): LocalEndpoint => ({
      networkName,
      isInternal: state.gateway === "" && state.ipv6Gateway === "",
      state,
      settings: request.networking.endpoints[networkName] ?? NO_SETTINGS,
      linkName: `eth${i}`,
      linkIndex: i + 2,
      hostIndex: 0,
    }),
  );
  return { ...sandboxOf(request), endpoints, ports: shown.ports };
}
