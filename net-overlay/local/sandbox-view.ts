/**
 * A sandbox as the container manager is shown it: endpoints, ports, hosts file and resolver file.
 * Pure over the machine. Invariant: the way out of a container that is on overlays alone is in none of them.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { Sandbox } from "../../proto/engine/networks.js";
import type { LocalGround } from "./local-ground.js";
import { findLinked, splitLink } from "./local-names.js";
import { asSandbox, type LocalSandbox, shownEndpoints } from "./local-sandbox.js";
import { type HostsLink, hostsFile, resolverFile } from "./sandbox-files.js";

export class SandboxView {
  readonly #ground: LocalGround;
  readonly #gateways: readonly string[];

  /** @param hostGateways what host-gateway means; empty: the default bridge's gateway. */
  constructor(ground: LocalGround, hostGateways: readonly string[]) {
    this.#ground = ground;
    this.#gateways = hostGateways;
  }

  shown(sandbox: LocalSandbox): Sandbox {
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
        hasIpv6: shownEndpoints(sandbox).some(({ state }) => state.ipv6Address !== ""),
      }),
    });
  }

  #hostGateways(): readonly string[] {
    if (this.#gateways.length > 0) return this.#gateways;
    const { book, maker } = this.#ground.parts;
    const { subnet4, subnet6 } = maker.networkOf(book.get("bridge"));
    return [subnet4, subnet6].flatMap((subnet) => (subnet === undefined ? [] : [subnet.gateway]));
  }

  /**
   * Links of the default bridge, which has no names. @throws {FailedPreconditionError} the other does not
   * run.
   */
  #links(sandbox: LocalSandbox): HostsLink[] {
    const nameless = shownEndpoints(sandbox).find(({ state }) => state.dnsNames.length === 0);
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

export function hasNames({ endpoints }: LocalSandbox): boolean {
  return endpoints.some(({ state }) => state.dnsNames.length > 0);
}

/** On the networks it was put on. */
function addressesOf(sandbox: LocalSandbox): string[] {
  return shownEndpoints(sandbox).flatMap(({ state }) =>
    [state.ipv4Address, state.ipv6Address].filter((address) => address !== ""),
  );
}
