/**
 * How a container comes to its network at each start: a sandbox of the local networks, another container's,
 * or what its specification names; and networks joined and left while it lives.
 * Edge: to the small files of a container; networks are handed in.
 * Invariant: a sandbox is open only while its container starts or runs.
 */
import {
  codeOf,
  FailedPreconditionError,
  InternalError,
  messageOf,
  NotFoundError,
  PermissionDeniedError,
} from "../../base/errors/errors.js";
import { isAttachRefusal } from "../../net-overlay/attachments/attach-refusal.js";
import type {
  ContainerNetworking,
  ContainerNetworks,
  EndpointSettings,
  Sandbox,
  SandboxRequest,
} from "../../proto/engine/networks.js";
import type { KeptSpecification } from "./container-admission.js";
import type { ContainerEntry } from "./container-entry.js";
import type { ContainerMount, ContainerRecord } from "./container-manager.js";
import type { ContainerParts } from "./container-parts.js";
import type { EtcFile } from "./fs-container-files.js";

export interface RunNetwork {
  /** With a namespace instead of names. */
  readonly specification: KeptSpecification;
  readonly sandbox?: Sandbox;
}

const NOTHING_ASKED: ContainerNetworking = {
  mode: "default",
  endpoints: {},
  exposedPorts: [],
  portBindings: [],
  publishAllPorts: false,
  links: [],
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  extraHosts: [],
  macAddress: "",
};

export class ContainerNetworkAccess {
  readonly #parts: ContainerParts;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
  }

  /** @throws {FailedPreconditionError} the container to join does not run; {InternalError} no sandbox. */
  async open(entry: ContainerEntry): Promise<RunNetwork> {
    const { specification } = entry.stored.record;
    switch (specification.network.kind) {
      case "networks": {
        const sandbox = await this.#openSandbox(entry.stored.record);
        return { sandbox, specification: inSandbox(specification, sandbox) };
      }
      case "container":
        return { specification: this.#joined(entry, specification, specification.network.id) };
      default:
        return { specification };
    }
  }

  /** Missing is fine. */
  async close(entry: ContainerEntry): Promise<void> {
    const { specification } = entry.stored.record;
    const { networks } = this.#parts;
    if (specification.network.kind === "networks") await networks?.close(entry.id);
    if (specification.network.kind === "netns") await networks?.closeGuest?.(entry.id);
  }

  /** After a restart of the daemon: served again as it was. */
  async adopt(entry: ContainerEntry): Promise<void> {
    const { sandbox, record } = entry.stored;
    if (sandbox !== undefined) await this.#parts.networks?.adopt(sandboxRequest(record), sandbox);
  }

  async connect(entry: ContainerEntry, network: string, endpoint: EndpointSettings): Promise<void> {
    const { network: own } = entry.stored.record.specification;
    if (own.kind === "netns" && entry.live) {
      await this.#connectGuest(entry, own.path, { network, settings: endpoint });
      return;
    }
    const networks = this.#changeable(entry);
    const before = networkingOf(entry.stored.record.specification);
    const networking = { ...before, endpoints: { ...before.endpoints, [network]: endpoint } };
    if (entry.live) {
      await this.#take(entry, networking, await networks.connect(entry.id, network, endpoint));
    } else {
      if (network in before.endpoints) {
        throw new PermissionDeniedError(
          `endpoint with name ${entry.stored.record.name} already exists in network ${network}`,
        );
      }
      networks.admit(networking);
      await this.#take(entry, networking, undefined);
    }
  }

  async disconnect(entry: ContainerEntry, network: string, options: { force: boolean }): Promise<void> {
    if (entry.stored.record.specification.network.kind === "netns" && entry.stored.sandbox !== undefined) {
      const sandbox = await this.#parts.networks?.disconnect(entry.id, network);
      if (sandbox !== undefined) await this.#takeGuest(entry, sandbox);
      return;
    }
    const networks = this.#changeable(entry, "disconnect");
    const before = networkingOf(entry.stored.record.specification);
    const { [network]: left, ...endpoints } = before.endpoints;
    const networking = { ...before, endpoints };
    if (entry.live) {
      await this.#take(entry, networking, await networks.disconnect(entry.id, network));
      return;
    }
    if (left === undefined && !options.force) {
      throw new PermissionDeniedError(`container ${entry.id} is not connected to the network ${network}`);
    }
    await this.#take(entry, networking, undefined);
  }

  /** @throws {NotFoundError} it has none of that name. */
  async removeLink(entry: ContainerEntry, alias: string): Promise<void> {
    const { record, sandbox } = entry.stored;
    const before = networkingOf(record.specification);
    const links = before.links.filter((link) => (link.split(":")[1] ?? link) !== alias);
    if (links.length === before.links.length)
      throw new NotFoundError(`No such container: ${record.name}/${alias}`);
    // The other's line is the one that begins with the alias.
    const isAnother = (line: string): boolean => line.split(/\s+/)[1] !== alias;
    const left =
      sandbox === undefined
        ? undefined
        : { ...sandbox, etcHosts: sandbox.etcHosts.split("\n").filter(isAnother).join("\n") };
    await this.#take(entry, { ...before, links }, left);
  }

  async #openSandbox(record: ContainerRecord): Promise<Sandbox> {
    const { networks } = this.#parts;
    if (networks === undefined) throw new InternalError("this node has no local networks");
    try {
      return await networks.open(sandboxRequest(record));
    } catch (error) {
      if (["not-found", "invalid-argument"].includes(codeOf(error))) throw error;
      const words = messageOf(error);
      const where = isAttachRefusal(words) ? "failed to set up container networking: " : "";
      throw new InternalError(`${where}${words}`, { cause: error });
    }
  }

  /** The other's namespace, hosts, resolver and name: the same files, so that what changes there changes here. */
  #joined(entry: ContainerEntry, specification: KeptSpecification, otherId: string): KeptSpecification {
    const { registry, maker } = this.#parts;
    const other = registry.get(otherId);
    if (other === entry) throw new FailedPreconditionError("cannot join own network");
    const { record } = other.stored;
    if (!other.live) {
      throw new FailedPreconditionError(`cannot join network of a non running container: ${other.id}`);
    }
    const shared = (name: EtcFile): ContainerMount => ({
      kind: "bind",
      source: maker.files.etcPath(other.id, name),
      target: `/etc/${name}`,
      readOnly: specification.readOnly,
      propagation: "",
      recursive: true,
      createSource: false,
    });
    const taken = new Set(specification.mounts.map(({ target }) => target));
    const files = [shared("hosts"), shared("hostname"), shared("resolv.conf")];
    return {
      ...specification,
      hostname: record.specification.hostname,
      network: { kind: "netns", path: `/proc/${record.pid}/ns/net` },
      mounts: [...specification.mounts, ...files.filter(({ target }) => !taken.has(target))],
    };
  }

  #changeable(entry: ContainerEntry, how: "connect" | "disconnect" = "connect"): ContainerNetworks {
    const { network } = entry.stored.record.specification;
    const { networks } = this.#parts;
    if (network.kind === "networks" && networks !== undefined) return networks;
    if (network.kind === "host" && how === "disconnect")
      throw new PermissionDeniedError(
        "container cannot be disconnected from host network or connected to host network",
      );
    if (network.kind === "container" || network.kind === "host") {
      throw new PermissionDeniedError(
        "container sharing network namespace with another container or host cannot be connected to any other network",
      );
    }
    throw new PermissionDeniedError(
      "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
  }

  /** A task's container: its own network is its service's, and stays as it is. */
  async #connectGuest(
    entry: ContainerEntry,
    netnsPath: string,
    joining: { readonly network: string; readonly settings: EndpointSettings },
  ): Promise<void> {
    const { networks } = this.#parts;
    if (networks?.connectGuest === undefined) throw new InternalError("this node has no local networks");
    const request = sandboxRequest(entry.stored.record);
    await this.#takeGuest(entry, await networks.connectGuest(request, netnsPath, joining));
  }

  async #takeGuest(entry: ContainerEntry, sandbox: Sandbox): Promise<void> {
    entry.stored = { ...entry.stored, sandbox };
    entry.change({ endpoints: sandbox.endpoints });
    await this.#parts.state.save(entry.stored);
  }

  async #take(
    entry: ContainerEntry,
    networking: ContainerNetworking,
    sandbox: Sandbox | undefined,
  ): Promise<void> {
    const specification = { ...entry.stored.record.specification, networking };
    entry.change({ specification });
    if (sandbox !== undefined && entry.live) {
      entry.stored = { ...entry.stored, sandbox };
      entry.change(shownSandbox(sandbox));
      await this.#parts.maker.files.rewrite(entry.id, {
        hosts: specification.etcHosts ?? sandbox.etcHosts,
        "resolv.conf": specification.resolvConf ?? sandbox.resolvConf,
      });
    }
    await this.#parts.state.save(entry.stored);
  }
}

/** What of a sandbox the record shows. */
export function shownSandbox(sandbox: Sandbox): Pick<ContainerRecord, "endpoints" | "ports" | "sandboxPath"> {
  return { endpoints: sandbox.endpoints, ports: sandbox.ports, sandboxPath: sandbox.netnsPath };
}

function networkingOf(specification: KeptSpecification): ContainerNetworking {
  return specification.networking ?? NOTHING_ASKED;
}

function inSandbox(specification: KeptSpecification, sandbox: Sandbox): KeptSpecification {
  return {
    ...specification,
    network: { kind: "netns", path: sandbox.netnsPath },
    etcHosts: specification.etcHosts ?? sandbox.etcHosts,
    resolvConf: specification.resolvConf ?? sandbox.resolvConf,
  };
}

function sandboxRequest({ id, name, specification }: ContainerRecord): SandboxRequest {
  return {
    containerId: id,
    containerName: name,
    hostname: specification.hostname,
    domainname: specification.domainname ?? "",
    labels: specification.labels,
    sysctls: specification.sysctls,
    networking: networkingOf(specification),
  };
}
