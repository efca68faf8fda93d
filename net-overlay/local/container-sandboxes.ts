/**
 * Sandboxes of containers on local networks: opened, taken over after a restart, changed live, closed.
 * Pure over the machine. Invariants: all or nothing, what was given (leases, ports, interfaces) is given
 * back when a sandbox could not be opened whole, and when it is closed; what is remembered is what is in
 * the kernel.
 */
import {
  FailedPreconditionError,
  InternalError,
  messageOf,
  NotImplementedError,
  PermissionDeniedError,
} from "../../base/errors/errors.js";
import type {
  EndpointSettings,
  LocalNetworkRecord,
  PortBinding,
  Sandbox,
  SandboxRequest,
} from "../../proto/engine/networks.js";
import { dnsNames, type PlannedEndpoint } from "./endpoint-maker.js";
import type { LocalGround } from "./local-ground.js";
import type { DefaultRoutes } from "./local-host.js";
import { findLinked, splitLink } from "./local-names.js";
import {
  asSandbox,
  gatewayEndpoint,
  type LocalEndpoint,
  type LocalSandbox,
  NO_SETTINGS,
  publishedAddress,
  sandboxOf,
  wantedNetworks,
} from "./local-sandbox.js";
import { type EphemeralPorts, publishPorts } from "./port-plan.js";
import { type HostsLink, hostsFile, resolverFile } from "./sandbox-files.js";

const NO_ROUTES: DefaultRoutes = { 4: undefined, 6: undefined };

export interface ContainerSandboxInit {
  readonly ephemeral: EphemeralPorts;
  /** What host-gateway in extra hosts means; empty: the default bridge's gateway. */
  readonly hostGateways: readonly string[];
}

export class ContainerSandboxes {
  readonly #ground: LocalGround;
  readonly #init: ContainerSandboxInit;
  /** Namespaces on their way out: a new one of the same container waits for it. */
  readonly #removals = new Map<string, Promise<void>>();

  constructor(ground: LocalGround, init: ContainerSandboxInit) {
    this.#ground = ground;
    this.#init = init;
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
      return this.#shown(existing);
    }
    if (existing !== undefined || host.hasSandbox(containerId)) await this.close(containerId);
    const wanted = wantedNetworks(request.networking).map(({ network, settings }) => ({
      record: this.#bridgeRecord(network),
      settings,
    }));
    let sandbox = sandboxOf(request);
    let shown: Sandbox;
    try {
      host.createSandbox(containerId);
      sandbox = this.#joined(sandbox, wanted);
      sandbox = { ...sandbox, ports: this.#publish(sandbox) };
      this.#ground.keep(sandbox);
      if (sandbox.ports.length > 0) this.#openPorts(sandbox);
      this.#serve(sandbox);
      shown = this.#shown(sandbox);
    } catch (error) {
      this.#giveBack(this.#ground.sandboxes.get(containerId) ?? sandbox);
      await this.#removeNamespace(containerId);
      throw error;
    }
    for (const { record } of wanted) this.#ground.tell("connect", record, containerId);
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
    for (const { state } of sandbox.endpoints) this.#ground.ensureBridge(book.get(state.networkId));
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
      for (const { state } of sandbox.endpoints) {
        const record = this.#ground.parts.book.find(state.networkId);
        if (record !== undefined) this.#ground.tell("disconnect", record, containerId);
      }
    }
    await this.#removeNamespace(containerId);
  }

  async retain(containerIds: ReadonlySet<string>): Promise<void> {
    const { host } = this.#ground.parts;
    const found = new Set([...this.#ground.sandboxes.keys(), ...host.listSandboxes()]);
    for (const id of found) if (!containerIds.has(id)) await this.close(id);
  }

  connect(containerId: string, record: LocalNetworkRecord, settings: EndpointSettings): Sandbox {
    const sandbox = this.#running(containerId);
    if (sandbox.endpoints.some(({ state }) => state.networkId === record.id)) {
      throw new PermissionDeniedError(
        `endpoint with name ${sandbox.containerName} already exists in network ${record.name}`,
      );
    }
    const joined = this.#joined(sandbox, [{ record, settings }]);
    const changed = this.#withPorts(sandbox, joined);
    this.#ground.tell("connect", record, containerId);
    return this.#shown(changed);
  }

  disconnect(containerId: string, record: LocalNetworkRecord): Sandbox {
    const { host, maker } = this.#ground.parts;
    const sandbox = this.#running(containerId);
    const left = sandbox.endpoints.find(({ state }) => state.networkId === record.id);
    if (left === undefined)
      throw new InternalError(`container ${containerId} is not connected to network ${record.name}`);
    const rest: LocalSandbox = {
      ...sandbox,
      endpoints: sandbox.endpoints.filter((endpoint) => endpoint !== left),
    };
    host.detach(left.hostIndex); // its routes go with it
    const remaining = routesOf(sandbox);
    const gone = (family: 4 | 6): boolean => remaining[family]?.linkIndex === left.linkIndex;
    const before = {
      4: gone(4) ? undefined : remaining[4],
      6: gone(6) ? undefined : remaining[6],
    };
    host.setDefaultRoutes(containerId, before, routesOf(rest));
    maker.release(sandbox, left);
    this.#ground.names.changed([record.id]);
    const changed = this.#withPorts(sandbox, rest);
    this.#ground.tell("disconnect", record, containerId);
    return this.#shown(changed);
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
    this.#ground.keep({ ...renamed, endpoints });
  }

  #running(containerId: string): LocalSandbox {
    const sandbox = this.#ground.sandboxes.get(containerId);
    if (sandbox === undefined) throw new FailedPreconditionError(`container ${containerId} is not running`);
    return sandbox;
  }

  #bridgeRecord(network: string): LocalNetworkRecord {
    const record = this.#ground.parts.book.get(network);
    if (record.driver !== "bridge")
      throw new NotImplementedError(`a container cannot be on network ${record.name} beside others`);
    return record;
  }

  /** Interfaces, addresses and default routes on further networks. All or nothing. */
  #joined(
    sandbox: LocalSandbox,
    wanted: readonly { readonly record: LocalNetworkRecord; readonly settings: EndpointSettings }[],
  ): LocalSandbox {
    const { host, maker } = this.#ground.parts;
    const planned: PlannedEndpoint[] = [];
    let hostIndexes: readonly number[] = [];
    let joined = sandbox;
    try {
      for (const { record, settings } of wanted) {
        this.#ground.ensureBridge(record);
        // the container's own MAC is that of its first interface
        const mac = joined.endpoints.length === 0 ? sandbox.networking.macAddress : "";
        const position = joined.endpoints.length;
        const next = maker.plan(joined, { record, settings, mac, position });
        planned.push(next);
        joined = { ...joined, endpoints: [...joined.endpoints, next.endpoint] };
      }
      hostIndexes = host.attach(
        sandbox.containerId,
        planned.map(({ plan }) => plan),
      );
      const attached = planned.map(({ endpoint }, i) => ({ ...endpoint, hostIndex: hostIndexes[i] ?? 0 }));
      joined = { ...sandbox, endpoints: [...sandbox.endpoints, ...attached] };
      const before = sandbox.endpoints.length === 0 ? NO_ROUTES : routesOf(sandbox);
      host.setDefaultRoutes(sandbox.containerId, before, routesOf(joined));
      this.#ground.applyFirewall();
      return joined;
    } catch (error) {
      for (const hostIndex of hostIndexes) host.detach(hostIndex);
      for (const { endpoint } of planned) maker.release(sandbox, endpoint);
      throw error;
    }
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

  #shown(sandbox: LocalSandbox): Sandbox {
    const { host } = this.#ground.parts;
    const { networking, hostname, domainname } = sandbox;
    return asSandbox(sandbox, {
      netnsPath: host.sandboxPath(sandbox.containerId),
      etcHosts: hostsFile({
        hostname,
        domainname,
        addresses: addressesOf(sandbox),
        extraHosts: networking.extraHosts,
        hostGateways: this.#hostGateways(),
        links: this.#links(sandbox),
      }),
      resolvConf: resolverFile({
        hostResolvConf: host.resolvConf(),
        dns: networking.dns,
        dnsSearch: networking.dnsSearch,
        dnsOptions: networking.dnsOptions,
        embedded: hasNames(sandbox),
        hasIpv6: sandbox.endpoints.some(({ state }) => state.ipv6Address !== ""),
      }),
    });
  }

  #hostGateways(): readonly string[] {
    if (this.#init.hostGateways.length > 0) return this.#init.hostGateways;
    const { book, maker } = this.#ground.parts;
    const { subnet4, subnet6 } = maker.networkOf(book.get("bridge"));
    return [subnet4, subnet6].flatMap((subnet) => (subnet === undefined ? [] : [subnet.gateway]));
  }

  /**
   * Links of the default bridge, which has no names. @throws {FailedPreconditionError} the other does not
   * run.
   */
  #links(sandbox: LocalSandbox): HostsLink[] {
    const nameless = sandbox.endpoints.find(({ state }) => state.dnsNames.length === 0);
    if (nameless === undefined) return [];
    return sandbox.networking.links.flatMap((link) => {
      const { target, alias } = splitLink(link);
      const other = findLinked(this.#ground.sandboxes, target);
      const state = other?.endpoints.find(
        (endpoint) => endpoint.state.networkId === nameless.state.networkId,
      )?.state;
      if (other === undefined || state === undefined) {
        throw new FailedPreconditionError(
          `Cannot link to a non running container: /${target} AS /${sandbox.containerName}/${alias}`,
        );
      }
      const names = [...new Set([alias, other.hostname, other.containerName])];
      return [{ address: state.ipv4Address, names }];
    });
  }
}

function hasNames({ endpoints }: LocalSandbox): boolean {
  return endpoints.some(({ state }) => state.dnsNames.length > 0);
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
