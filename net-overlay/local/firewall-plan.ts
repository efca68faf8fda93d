/**
 * What the host's rules should be for the networks and sandboxes there are. Pure.
 * Invariant: a published port leads to the endpoint that has the default route of its family.
 */
import type { PortBinding } from "../../proto/engine/networks.js";
import { formatCidr } from "../ipam/cidr.js";
import type { BridgeNetwork } from "./bridge-network.js";
import type { FirewallPlan, FirewallPort } from "./local-ruleset.js";
import { gatewayEndpoint, type LocalSandbox } from "./local-sandbox.js";

export interface FirewallPlans {
  readonly 4: FirewallPlan;
  readonly 6: FirewallPlan;
}

export function firewallPlans(
  networks: Iterable<BridgeNetwork>,
  sandboxes: Iterable<LocalSandbox>,
): FirewallPlans {
  const byId = new Map([...networks].map((network) => [network.id, network]));
  const all = [...sandboxes];
  const plan = (family: 4 | 6): FirewallPlan => ({
    networks: [...byId.values()].flatMap(({ link, internal, masquerade, mode4, mode6, subnet4, subnet6 }) => {
      const [mode, subnet] = family === 4 ? [mode4, subnet4] : [mode6, subnet6];
      if (subnet === undefined) return [];
      return {
        link,
        subnet: formatCidr(subnet.cidr),
        internal,
        masquerade: masquerade && mode !== "routed",
        open: mode === "nat-unprotected",
      };
    }),
    ports: all.flatMap((sandbox) => portsOf(sandbox, family, byId)),
  });
  return { 4: plan(4), 6: plan(6) };
}

function portsOf(
  sandbox: LocalSandbox,
  family: 4 | 6,
  networks: ReadonlyMap<string, BridgeNetwork>,
): FirewallPort[] {
  if (sandbox.ports.length === 0) return [];
  const endpoint = gatewayEndpoint(sandbox.endpoints, family);
  const network = endpoint === undefined ? undefined : networks.get(endpoint.state.networkId);
  const address = (family === 4 ? endpoint?.state.ipv4Address : endpoint?.state.ipv6Address) ?? "";
  if (network === undefined || address === "") return [];
  const routed = (family === 4 ? network.mode4 : network.mode6) === "routed";
  return sandbox.ports
    .filter(({ hostAddress }) => hostAddress.includes(":") === (family === 6))
    .map((binding) => ({
      protocol: binding.protocol,
      hostAddress: isAny(binding) ? "" : binding.hostAddress,
      hostPort: binding.hostPort,
      address,
      port: binding.containerPort,
      routed,
    }));
}

function isAny({ hostAddress }: PortBinding): boolean {
  return hostAddress === "0.0.0.0" || hostAddress === "::";
}
