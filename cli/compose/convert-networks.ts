/**
 * Networks and ports of a service as the API's JSON, and the networks of a project. Pure.
 */
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import { given, type Json } from "../service/flag-values.js";
import type { Notes } from "./convert-notes.js";
import { isVersioned, type LinkAlias, pathIn, type ServiceScope, VERSIONED } from "./convert-scope.js";
import { byText, ifTrue, nonEmpty } from "./convert-values.js";
import type { ComposeDoc, NetworkDoc, PortDoc, ServiceDoc, ServiceNetworkDoc } from "./model.js";
import { stackLabels } from "./naming.js";

/** Networks of the node itself: nobody has a name of his own in them, and nobody makes them. */
export const NODE_NETWORKS = ["host", "none", "bridge", "default"];

/** Keys of the networks a service is on; network_mode is not looked at. */
export const networkKeys = (service: ServiceDoc | undefined): readonly string[] => {
  const keys = Object.keys(service?.networks ?? {});
  return keys.length === 0 ? ["default"] : keys;
};

/** By the service that is linked to. */
export function linksOf(project: ComposeDoc): ReadonlyMap<string, readonly LinkAlias[]> {
  const links = new Map<string, LinkAlias[]>();
  if (isVersioned(project)) return links;
  for (const service of Object.values(project.services))
    for (const [target = "", alias] of (service.links ?? []).map((link) => link.split(":"))) {
      if (alias === undefined) continue;
      const known = links.get(target) ?? [];
      links.set(target, known);
      known.push({ alias, networks: networkKeys(service) });
    }
  return links;
}

/** A mode that stands instead of networks. */
export function nodeMode(service: ServiceDoc, versioned: boolean): string | undefined {
  const mode = service.network_mode;
  return versioned || mode === undefined || mode === "bridge" || mode === "default" ? undefined : mode;
}

export function attachmentsOf(scope: ServiceScope): Json[] {
  const { service, versioned, notes } = scope;
  const mode = nodeMode(service, versioned);
  const path = pathIn(scope, "network_mode");
  if (mode !== undefined) {
    if (service.networks !== undefined) notes.refuse(path, "excludes networks");
    if (!isNodeNetwork(mode))
      notes.refuse(
        path,
        /^(service|container):/.test(mode)
          ? `${JSON.stringify(mode)} cannot be: a task shares its network with no other container`
          : `must be host, none or bridge, got ${JSON.stringify(mode)}`,
      );
    return [{ Target: mode }];
  }
  if (service.network_mode !== undefined)
    notes.warn(
      path,
      versioned ? VERSIONED : "a bridge ends at its node: the service joins the stack's own network",
    );
  return networksInOrder(scope).map(({ key, doc }) => attachment(key, doc, scope));
}

/**
 * The networks of a service as its tasks join them: the highest priority first, then one whose MAC address
 * the file chooses, for it is the first interface that gets it, then by name.
 */
export function networksInOrder({ service, naming }: Pick<ServiceScope, "service" | "naming">): readonly {
  readonly key: string;
  readonly doc: ServiceNetworkDoc;
}[] {
  const rank = ({ doc }: { readonly doc: ServiceNetworkDoc }): number =>
    doc.mac_address === undefined ? 1 : 0;
  return networkKeys(service)
    .map((key) => ({ key, doc: service.networks?.[key] ?? {}, target: naming.nameOf("networks", key) }))
    .sort(
      (a, b) => (b.doc.priority ?? 0) - (a.doc.priority ?? 0) || rank(a) - rank(b) || byText("target")(a, b),
    );
}

function attachment(key: string, doc: ServiceNetworkDoc, scope: ServiceScope): Json {
  const target = scope.naming.nameOf("networks", key);
  const aliases = [...(doc.aliases ?? []), ...linkAliases(key, scope)];
  const names = NODE_NETWORKS.includes(target) ? aliases : [...aliases, scope.key];
  return given({
    Target: target,
    Aliases: nonEmpty([...new Set(names)]),
    Addresses: nonEmpty(addresses(key, doc, scope)),
    DriverOpts: nonEmpty(doc.driver_opts),
  });
}

/** "db:database" of another service on the same network: this one answers to database as well. */
const linkAliases = (network: string, { key, links }: ServiceScope): readonly string[] =>
  (links.get(key) ?? []).flatMap((link) => (link.networks.includes(network) ? [link.alias] : []));

function addresses(network: string, doc: ServiceNetworkDoc, scope: ServiceScope): string[] {
  const keys = (["ipv4_address", "ipv6_address"] as const).filter((each) => doc[each] !== undefined);
  const path = pathIn(scope, "networks", network, keys[0] ?? "");
  if (keys.length === 0) return [];
  if (scope.versioned) {
    for (const each of keys) scope.notes.warn(pathIn(scope, "networks", network, each), VERSIONED);
    return [];
  }
  const { deploy, scale } = scope.service;
  const mode = deploy?.mode ?? "replicated";
  const replicas = deploy?.replicas ?? scale ?? 1;
  if (mode.startsWith("global") || replicas > 1)
    scope.notes.refuse(path, "is the address of one task: the service must be replicated, with one replica");
  return keys.map((each) => doc[each] ?? "");
}

const ANY_ADDRESS = ["", "0.0.0.0", "::", "*"];

/** Entries that differ by their address alone are one port with several addresses. */
export function portsOf(scope: ServiceScope): Json[] | undefined {
  const ports = new Map<string, Json & { HostAddresses?: string[] }>();
  for (const [i, doc] of (scope.service.ports ?? []).entries()) {
    const body = port(doc, scope, i);
    const key = JSON.stringify(body);
    const address = addressOf(doc, scope, i);
    const known = ports.get(key);
    if (known === undefined)
      ports.set(key, address === undefined ? body : { ...body, HostAddresses: [address] });
    else if (address === undefined) delete known.HostAddresses;
    else known.HostAddresses?.push(address);
  }
  const published = (each: Json): number => Number(each["PublishedPort"] ?? 0);
  const target = (each: Json): number => Number(each["TargetPort"]);
  const order = byText("Protocol");
  return nonEmpty(
    [...ports.values()].sort((a, b) => published(a) - published(b) || target(a) - target(b) || order(a, b)),
  );
}

function port(doc: PortDoc, scope: ServiceScope, index: number): Json {
  const { published } = doc;
  if (typeof published === "string" && !/^\d+$/.test(published))
    scope.notes.refuse(
      pathIn(scope, "ports", index, "published"),
      `must be one port, got ${JSON.stringify(published)}: all nodes publish the same, which nobody may choose twice`,
    );
  return given({
    Name: doc.name,
    Protocol: doc.protocol ?? "tcp",
    TargetPort: doc.target,
    PublishedPort: published === undefined ? undefined : Number(published),
    PublishMode: doc.mode ?? "ingress",
  });
}

function addressOf(doc: PortDoc, scope: ServiceScope, index: number): string | undefined {
  const address = (doc.host_ip ?? "").replace(/^\[(.*)\]$/, "$1");
  if (ANY_ADDRESS.includes(address)) return undefined;
  if (!scope.versioned) return address;
  scope.notes.warn(
    pathIn(scope, "ports", index),
    `host address ${address} has no effect: ${VERSIONED}, or say it with the label skein.publish.<port>.addresses`,
  );
  return undefined;
}

export interface ProjectNetwork {
  readonly key: string;
  readonly name: string;
  readonly external: boolean;
  /** Body of POST /networks/create. */
  readonly body: Json;
}

/** Those that some service uses, by key; not those of the node itself. */
export function networksOf(
  project: ComposeDoc,
  { stack, nameOf }: { readonly stack: string; nameOf(key: string): string },
  notes: Notes,
): ProjectNetwork[] {
  const versioned = isVersioned(project);
  const used = Object.values(project.services)
    .filter((service) => nodeMode(service, versioned) === undefined)
    .flatMap(networkKeys);
  return [...new Set(used)]
    .sort()
    .map((key) => networkOf(stack, { key, name: nameOf(key), doc: project.networks[key] ?? {} }, notes))
    .filter(({ name, external }) => !(external && NODE_NETWORKS.includes(name)));
}

function networkOf(
  stack: string,
  { key, name, doc }: { readonly key: string; readonly name: string; readonly doc: NetworkDoc },
  notes: Notes,
): ProjectNetwork {
  const pools = (doc.ipam?.config ?? []).map((pool) =>
    given({
      Subnet: pool.subnet,
      IPRange: pool.ip_range,
      Gateway: pool.gateway,
      AuxiliaryAddresses: nonEmpty(pool.aux_addresses),
    }),
  );
  const external = doc.external === true;
  if (doc.driver === "bridge" && !external)
    notes.warn(
      ["networks", key, "driver"],
      "a bridge ends at its node: the network is made with the driver overlay",
    );
  const body = given({
    Name: name,
    Driver: doc.driver === undefined || doc.driver === "bridge" ? "overlay" : doc.driver,
    Internal: ifTrue(doc.internal),
    Attachable: ifTrue(doc.attachable),
    EnableIPv4: doc.enable_ipv4 === false ? false : undefined,
    EnableIPv6: ifTrue(doc.enable_ipv6),
    IPAM: nonEmpty(given({ Driver: doc.ipam?.driver, Config: nonEmpty(pools) })),
    Options: nonEmpty(doc.driver_opts),
    Labels: stackLabels(stack, doc.labels),
  });
  return { key, name, external, body };
}
