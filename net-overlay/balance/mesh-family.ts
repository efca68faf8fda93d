/**
 * What differs between the families in the mesh's ruleset: a table for each, of one shape.
 * Pure. Source: docs/design/network-ingress.md, "IPv6".
 */

import type { MeshBackend } from "../endpoints/mesh-plan.js";
import { isIpv4 } from "../ipam/cidr.js";
import { isIpv6 } from "../ipam/host-addresses.js";
import { transitGateway, transitGatewayIpv6 } from "../vxlan/node-addresses.js";
import { transitIpv6, transitSubnet, transitSubnetIpv6 } from "../vxlan/transit.js";
import { NFT_TABLE, NFT_TABLE_IP6 } from "./nft-text.js";

export interface MeshFamily {
  readonly word: "ip" | "ip6";
  readonly table: string;
  readonly addressType: "ipv4_addr" | "ipv6_addr";
  /** What never comes from outside. */
  readonly loopback: string;
  /** "Every address" of the family in a list of addresses. */
  readonly wildcard: string;
  /** The node's own address on the transit network. */
  gatewayOf(nodeNumber: number): string;
  subnetOf(nodeNumber: number): string;
  isOwn(address: string): boolean;
  /** Whether a task has an address of the family. */
  reaches(backend: MeshBackend): boolean;
  /** A task's transit address, told as IPv4. */
  transitOf(address: string): string;
  /** Lines for the `arrival` chain that only this family needs. */
  arrivalOf(taskLinks: string): readonly string[];
}

export const MESH_IPV4: MeshFamily = {
  word: "ip",
  table: NFT_TABLE,
  addressType: "ipv4_addr",
  loopback: "127.0.0.0/8",
  wildcard: "0.0.0.0",
  gatewayOf: transitGateway,
  subnetOf: transitSubnet,
  isOwn: isIpv4,
  reaches: () => true,
  transitOf: (address) => address,
  arrivalOf: () => [],
};

export const MESH_IPV6: MeshFamily = {
  word: "ip6",
  table: NFT_TABLE_IP6,
  addressType: "ipv6_addr",
  loopback: "::1",
  wildcard: "::",
  gatewayOf: transitGatewayIpv6,
  subnetOf: transitSubnetIpv6,
  isOwn: isIpv6,
  reaches: ({ hasIpv6 }) => hasIpv6 === true,
  transitOf: transitIpv6,
  // a task is no router
  arrivalOf: (taskLinks) => [
    `iifname ${taskLinks} icmpv6 type { nd-router-advert, nd-redirect } drop`,
    `iifname ${taskLinks} ip6 daddr ff00::/8 drop`,
  ],
};
