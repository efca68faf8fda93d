/**
 * What tests of local networks ask for, with everything they do not care about left empty. Pure.
 */
import type { ContainerNetworking, LocalNetworkRequest } from "../../proto/engine/networks.js";

export const PLAIN_NETWORKING: ContainerNetworking = {
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

export function bridgeRequest(name: string, asked: Partial<LocalNetworkRequest> = {}): LocalNetworkRequest {
  return {
    name,
    driver: "bridge",
    internal: false,
    attachable: false,
    enableIpv4: true,
    enableIpv6: false,
    ipamDriver: "default",
    ipamOptions: {},
    ipam: [],
    options: {},
    labels: {},
    ...asked,
  };
}
