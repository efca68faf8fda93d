/**
 * The contract of a node's local networks: bridge, host, none. Pure (types only).
 * Meanings are those of Docker Engine API 1.24 to 1.51; overlay networks are the cluster's (types.proto).
 */

export interface EndpointSettings {
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  /** "" : given by the network. */
  readonly ipv4Address: string;
  readonly ipv6Address: string;
  readonly macAddress: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly linkLocalAddresses?: readonly string[];
  /** Highest gives the default route. @default 0 */
  readonly gatewayPriority?: number;
}

/** A published port: asked for, or (with hostPort set) as bound. */
export interface PortBinding {
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** "" : all addresses of both families. */
  readonly hostAddress: string;
  /** 0: a free one of the ephemeral range; the first of a range when hostPortEnd is set. */
  readonly hostPort: number;
  /** Any free one from hostPort up to here. */
  readonly hostPortEnd?: number;
}

export interface ContainerNetworking {
  /** As asked for: default, bridge, host, none, container:ID, or a network's name. */
  readonly mode: string;
  /** By network name or id as asked for; the one of `mode` included. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  /** "80/tcp", the image's included. */
  readonly exposedPorts: readonly string[];
  readonly portBindings: readonly PortBinding[];
  readonly publishAllPorts: boolean;
  /** "CONTAINER:ALIAS", for the default bridge. */
  readonly links: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** "host:ip"; ip may be host-gateway. */
  readonly extraHosts: readonly string[];
  readonly macAddress: string;
}

/** What a network gave a container. */
export interface EndpointState {
  readonly networkId: string;
  readonly endpointId: string;
  readonly gateway: string;
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  readonly ipv6Gateway: string;
  readonly ipv6Address: string;
  readonly ipv6PrefixLength: number;
  readonly macAddress: string;
  /** All names it is found by on this network. */
  readonly dnsNames: readonly string[];
  /** The network is an overlay of the cluster, which gave the addresses. @default false */
  readonly isOfCluster?: boolean;
}

export interface IpamConfiguration {
  readonly subnet: string;
  readonly ipRange: string;
  readonly gateway: string;
  readonly auxiliaryAddresses: Readonly<Record<string, string>>;
  /** Nobody asked for this subnet: it was taken from the pools. */
  readonly automatic?: boolean;
}

export interface LocalNetworkRequest {
  readonly name: string;
  /** bridge | host | null (and what an implementation adds: macvlan, ipvlan). */
  readonly driver: string;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly enableIpv4: boolean;
  readonly enableIpv6: boolean;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>>;
  readonly ipam: readonly IpamConfiguration[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** It holds settings that others are made of, and nothing can be on it. @default false */
  readonly configOnly?: boolean;
  /** The one whose settings it is made of; nothing but driver, internal and attachable is asked for beside. */
  readonly configFrom?: string;
}

export interface LocalNetworkRecord extends LocalNetworkRequest {
  /** 64 hex digits. */
  readonly id: string;
  readonly createdMs: number;
}

export interface NetworkMember {
  readonly containerId: string;
  readonly name: string;
  readonly endpoint: EndpointState;
}

export interface LocalNetworkEvent {
  readonly kind: "create" | "destroy" | "connect" | "disconnect" | "prune";
  readonly network: Pick<LocalNetworkRecord, "id" | "name" | "driver">;
  readonly containerId?: string;
  readonly timeMs: number;
}

/** Networks of this node as the HTTP surface manages them; bridge, host and none are always there. */
export interface LocalNetworks {
  list(): readonly LocalNetworkRecord[];
  /** By id, name, or unique id prefix. */
  find(idOrName: string): LocalNetworkRecord | undefined;
  /** Running containers on it. */
  members(networkId: string): readonly NetworkMember[];
  /**
   * @throws {AlreadyExistsError} name or overlapping subnet; {InvalidArgumentError}; {ResourceExhaustedError}
   */
  create(request: LocalNetworkRequest): Promise<LocalNetworkRecord>;
  /** @throws {NotFoundError}; {PermissionDeniedError} (403) predefined, or with running members */
  remove(idOrName: string): Promise<void>;
  onEvent(listener: (event: LocalNetworkEvent) => void): () => void;
}

export interface SandboxRequest {
  readonly containerId: string;
  readonly containerName: string;
  /** Of the container itself; the first line of its hosts file, with the domain when it has one. */
  readonly hostname: string;
  readonly domainname: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly networking: ContainerNetworking;
}

export interface Sandbox {
  readonly netnsPath: string;
  readonly etcHosts: string;
  readonly resolvConf: string;
  /** By network name. */
  readonly endpoints: Readonly<Record<string, EndpointState>>;
  readonly ports: readonly PortBinding[];
}

/** What the container manager asks of the local networks, for containers of network kind "networks". */
export interface ContainerNetworks {
  /**
   * At create: refuses what can never be (what is no port, no address). A network that is not there, or that
   * has no such address, is refused by `open`, as Docker does.
   * @throws {InvalidArgumentError}
   */
  admit(networking: ContainerNetworking): void;
  /**
   * Before each start: namespace, interfaces, addresses, names, published ports. All or nothing. Idempotent
   * for a container id.
   * @throws {InternalError} (500, Docker's) a port or an address is taken; {NotFoundError} no such network;
   * {InvalidArgumentError} an address cannot be chosen on this network
   */
  open(request: SandboxRequest): Promise<Sandbox>;
  /** After a restart of the daemon, for one that runs on: as it was, served again. */
  adopt(request: SandboxRequest, sandbox: Sandbox): Promise<void>;
  /** At its end. Missing is fine. */
  close(containerId: string): Promise<void>;
  /** Sandboxes of containers that are not in the set are removed: what a killed daemon left. */
  retain(containerIds: ReadonlySet<string>): Promise<void>;
  /**
   * Live, a container whose namespace is somebody else's (a task's), onto an overlay. @returns what it joined
   * so far; files and ports are none of it. Absent: not served.
   */
  connectGuest?(
    request: SandboxRequest,
    netnsPath: string,
    joining: { readonly network: string; readonly settings: EndpointSettings },
  ): Promise<Sandbox>;
  /** At its end; none is fine. */
  closeGuest?(containerId: string): Promise<void>;
  /** Live. @returns the whole sandbox as it is then. */
  connect(containerId: string, network: string, endpoint: EndpointSettings): Promise<Sandbox>;
  disconnect(containerId: string, network: string): Promise<Sandbox>;
  /** Its name in DNS changes, too. */
  rename(containerId: string, name: string): void;
}
