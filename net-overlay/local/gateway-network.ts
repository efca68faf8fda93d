/**
 * The way out of containers that are on overlays alone: a bridge of this node, on which they see nobody.
 * Pure. Invariant: a container has it while one of its overlays leads outside and none of its other networks
 * does; it is shown as a network, but not as one of the container's.
 * Source: Docker's documentation of docker_gwbridge.
 */
import type { LocalNetworkRequest } from "../../proto/engine/networks.js";
import { BRIDGE_OPTION } from "./bridge-network.js";
import type { LocalEndpoint, LocalSandbox } from "./local-sandbox.js";

export const GATEWAY_NETWORK = "docker_gwbridge";
/** Not Docker's, which may be beside us. */
const GATEWAY_LINK = "skein_gwbridge";

export const GATEWAY_REQUEST: LocalNetworkRequest = {
  name: GATEWAY_NETWORK,
  driver: "bridge",
  internal: false,
  attachable: false,
  enableIpv4: true,
  enableIpv6: false,
  ipamDriver: "default",
  ipamOptions: {},
  ipam: [],
  options: {
    [BRIDGE_OPTION.icc]: "false",
    [BRIDGE_OPTION.masquerade]: "true",
    [BRIDGE_OPTION.name]: GATEWAY_LINK,
  },
  labels: {},
};

/** Whether these networks alone leave a container without the way out that it should have. */
export function needsWayOut(endpoints: readonly LocalEndpoint[]): boolean {
  const leadsOut = ({ isGateway, state }: LocalEndpoint): boolean =>
    isGateway !== true && (state.gateway !== "" || state.ipv6Gateway !== "");
  return (
    endpoints.some(({ leaseId, isInternal }) => leaseId !== undefined && !isInternal) &&
    !endpoints.some(leadsOut)
  );
}

/** As Docker names such an endpoint. */
export function gatewayMemberName({ containerId }: Pick<LocalSandbox, "containerId">): string {
  return `gateway_${containerId.slice(0, 12)}`;
}
