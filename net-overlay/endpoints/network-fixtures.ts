/**
 * Resources for tests: valid objects of which a test says what differs. Pure.
 */
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import {
  EndpointResource,
  EndpointState,
  NetworkResource,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { NetworkState } from "./network-state.js";

export const identity: NodeNetworkIdentity = {
  nodeId: "node1",
  number: 1,
  dataPathAddress: "10.99.0.1",
  vxlanUdpPort: 4789,
};

export function network(fields: Parameters<typeof NetworkResource.fromPartial>[0] = {}): NodeResource {
  const ipam = [{ subnet: "10.0.1.0/24", gateway: "10.0.1.1" }];
  return {
    resource: {
      $case: "network",
      value: NetworkResource.fromPartial({ id: "net1", name: "front", vni: 4097, ipam, ...fields }),
    },
  };
}

export function service(fields: Parameters<typeof ServiceResource.fromPartial>[0] = {}): NodeResource {
  const virtualIps = [{ networkId: "net1", address: "10.0.1.2/24" }];
  return {
    resource: {
      $case: "service",
      value: ServiceResource.fromPartial({ id: "svc1", name: "web", virtualIps, ...fields }),
    },
  };
}

/** A ready task of svc1: number 21 is the first on node 2, at 10.0.1.21. */
export function endpoint(
  number: number,
  fields: Parameters<typeof EndpointResource.fromPartial>[0] = {},
): NodeResource {
  const node = Math.floor(number / 10);
  return {
    resource: {
      $case: "endpoint",
      value: EndpointResource.fromPartial({
        taskId: `task${number}`,
        taskName: `web.${number}.task${number}`,
        serviceId: "svc1",
        serviceName: "web",
        nodeId: `node${node}`,
        state: EndpointState.READY,
        attachments: [{ networkId: "net1", addresses: [`10.0.1.${number}/24`] }],
        gatewayAddress: `100.64.${node}.${number}`,
        hostname: `box${number}`,
        slot: number,
        ...fields,
      }),
    },
  };
}

export function peer(number: number): NodeResource {
  const value = PeerResource.fromPartial({
    nodeId: `node${number}`,
    number,
    dataPathAddress: `10.99.0.${number}`,
  });
  return { resource: { $case: "peer", value } };
}

export function stateOf(...resources: NodeResource[]): NetworkState {
  const state = new NetworkState();
  state.apply({ complete: true, upserts: resources, removals: [] });
  return state;
}
