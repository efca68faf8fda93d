/**
 * The names that containers on user-defined networks ask for.
 * Pure. Invariants: a container knows the names of its own networks alone; the default bridge has none; a
 * link's name is known to the container that has the link alone.
 * Source: Docker's documentation of its embedded DNS server.
 */
import { MapNames } from "../discovery/map-names.js";
import type { AskerView, NameTable } from "../discovery/resolve.js";
import type { LocalSandbox } from "./local-sandbox.js";

export class LocalNames {
  readonly #sandboxes: ReadonlyMap<string, LocalSandbox>;
  /** By network id; built when first asked for after a change. */
  readonly #built = new Map<string, NameTable>();

  readonly #ofCluster: (networkId: string) => NameTable | undefined;

  /** @param ofCluster names on an overlay, where others have some, too. */
  constructor(
    sandboxes: ReadonlyMap<string, LocalSandbox>,
    ofCluster: (networkId: string) => NameTable | undefined = () => undefined,
  ) {
    this.#sandboxes = sandboxes;
    this.#ofCluster = ofCluster;
  }

  /** Somebody came, went or got another name. */
  changed(networkIds: Iterable<string>): void {
    for (const id of networkIds) this.#built.delete(id);
  }

  viewOf(containerId: string): AskerView | undefined {
    const sandbox = this.#sandboxes.get(containerId);
    if (sandbox === undefined) return undefined;
    const named = sandbox.endpoints.filter(({ state }) => state.dnsNames.length > 0);
    return {
      networks: [
        { name: "", names: this.#links(sandbox) },
        ...named.map(({ networkName, state, leaseId }) => ({
          name: networkName,
          names:
            (leaseId === undefined ? undefined : this.#ofCluster(state.networkId)) ??
            this.#namesOf(state.networkId),
        })),
      ],
      // what is on internal networks alone must not be heard outside
      forwards: sandbox.endpoints.some(({ isInternal }) => !isInternal),
      nameservers: sandbox.networking.dns,
    };
  }

  #namesOf(networkId: string): NameTable {
    let names = this.#built.get(networkId);
    if (names === undefined) {
      names = this.#build(networkId);
      this.#built.set(networkId, names);
    }
    return names;
  }

  #build(networkId: string): NameTable {
    const byName = new Map<string, string[]>();
    const byAddress = new Map<string, string>();
    for (const { containerName, endpoints } of this.#sandboxes.values()) {
      for (const { state } of endpoints) {
        if (state.networkId !== networkId) continue;
        const addresses = [state.ipv4Address, state.ipv6Address].filter((address) => address !== "");
        for (const name of state.dnsNames) {
          const key = name.toLowerCase();
          byName.set(key, [...(byName.get(key) ?? []), ...addresses]);
        }
        for (const address of addresses) byAddress.set(address, containerName);
      }
    }
    return new MapNames(byName, byAddress);
  }

  #links(sandbox: LocalSandbox): NameTable {
    const byName = new Map<string, string[]>();
    for (const { state, settings } of sandbox.endpoints) {
      if (state.dnsNames.length === 0) continue;
      for (const link of [...settings.links, ...sandbox.networking.links]) {
        const { target, alias } = splitLink(link);
        const other = findLinked(this.#sandboxes, target)?.endpoints.find(
          (endpoint) => endpoint.state.networkId === state.networkId,
        );
        if (other === undefined) continue;
        const addresses = [other.state.ipv4Address, other.state.ipv6Address];
        byName.set(
          alias.toLowerCase(),
          addresses.filter((address) => address !== ""),
        );
      }
    }
    return new MapNames(byName);
  }
}

/** "CONTAINER:ALIAS", or "CONTAINER" alone. */
export function splitLink(link: string): { readonly target: string; readonly alias: string } {
  const [target = "", alias] = link.split(":");
  const name = target.replace(/^\//, "");
  return { target: name, alias: (alias ?? name).replace(/^.*\//, "") };
}

/** By name, id or the beginning of an id. */
export function findLinked(
  sandboxes: ReadonlyMap<string, LocalSandbox>,
  target: string,
): LocalSandbox | undefined {
  const exact = sandboxes.get(target);
  if (exact !== undefined) return exact;
  const all = [...sandboxes.values()];
  const named = all.find(({ containerName }) => containerName === target);
  if (named !== undefined || !/^[0-9a-f]{12,}$/.test(target)) return named;
  return all.find(({ containerId }) => containerId.startsWith(target));
}
