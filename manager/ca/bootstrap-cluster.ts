/**
 * What `swarm init` makes: root CA, join tokens, the Cluster object, the first Node and its certificate,
 * the ingress network.
 * Pure but for key generation. Invariant: nothing is stored here;
 * the caller proposes the objects in one transaction.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import { cidrsOverlap, formatCidr, parseCidr } from "../../net-overlay/ipam/cidr.js";
import { SubnetPool } from "../../net-overlay/ipam/subnet-pool.js";
import { Cluster, Network, Node } from "../../proto/gen/skein/v1/objects.js";
import {
  type ClusterSpec,
  type NodeAvailability,
  type NodeDescription,
  NodeRole,
  NodeState,
} from "../../proto/gen/skein/v1/types.js";
import { checkedSpec } from "../control/cluster.js";
import type { WriteTx } from "../store/types.js";
import { createJoinToken } from "./join-token.js";
import { checkedKey, checkedRoot } from "./root-rotation.js";
import { createUnlockKey } from "./unlock-key.js";
import {
  certificateDigest,
  createRootCertificate,
  issueNodeCertificate,
  NODE_CERT_EXPIRY_MS,
  type RootKeyPair,
} from "./x509-certificates.js";

/** Docker's default pool and mask for overlay networks, and the port of VXLAN. */
export const DEFAULT_ADDRESS_POOL = "10.0.0.0/8";
export const DEFAULT_SUBNET_SIZE = 24;
export const DEFAULT_VXLAN_UDP_PORT = 4789;

export interface BootstrapOptions {
  readonly random: Random;
  readonly nowMs: number;
  readonly spec: ClusterSpec;
  /** CIDRs; empty: 10.0.0.0/8. */
  readonly addressPools?: readonly string[];
  /** Prefix length; 0 or absent: 24. */
  readonly subnetSize?: number;
  /** 0 or absent: 4789. */
  readonly vxlanUdpPort?: number;
  readonly availability: NodeAvailability;
  /** IP other nodes reach this one by. */
  readonly advertiseIp: string;
  readonly description?: NodeDescription;
}

export interface Bootstrap {
  readonly cluster: Cluster;
  readonly node: Node;
  readonly ingress: Network;
  /** The first node's own identity. */
  readonly keyPem: string;
  readonly certificatePem: string;
  readonly caCertPem: string;
}

/** @throws {InvalidArgumentError} a setting outside its range, a root that cannot be used. */
export async function bootstrapCluster(options: BootstrapOptions): Promise<Bootstrap> {
  const { random, nowMs } = options;
  const spec = checkedSpec(options.spec, undefined);
  const root = givenRoot(options) ?? (await createRootCertificate({ nowMs, random }));
  const certDigest = certificateDigest(root.certPem);
  const clusterId = newId(random);
  const nodeId = newId(random);
  const { keyPem, csrPem } = await createKeyAndCsr();
  const certificatePem = issueNodeCertificate({
    root,
    csrPem,
    nodeId,
    role: "swarm-manager",
    clusterId,
    nowMs,
    expiryMs: spec.nodeCertExpiryMs === 0 ? NODE_CERT_EXPIRY_MS : spec.nodeCertExpiryMs,
    random,
  });
  const pools = options.addressPools ?? [];
  checkPools(pools, options.subnetSize || DEFAULT_SUBNET_SIZE);
  const cluster = Cluster.fromPartial({
    id: clusterId,
    spec,
    rootCa: {
      caCertPem: root.certPem,
      caKeyPem: root.keyPem,
      certDigest,
      lastForcedRotation: spec.forceRotate,
      workerToken: createJoinToken(certDigest, random),
      managerToken: createJoinToken(certDigest, random),
    },
    defaultAddressPool: pools.length === 0 ? [DEFAULT_ADDRESS_POOL] : pools,
    subnetSize: options.subnetSize || DEFAULT_SUBNET_SIZE,
    vxlanUdpPort: options.vxlanUdpPort || DEFAULT_VXLAN_UDP_PORT,
    unlockKey: spec.autoLockManagers ? createUnlockKey(random) : "",
    dataKeyEpoch: 1,
    dataKeyRotatedAtMs: nowMs,
  });
  const node = Node.fromPartial({
    id: nodeId,
    spec: { annotations: {}, desiredRole: NodeRole.MANAGER, availability: options.availability },
    ...(options.description === undefined ? {} : { description: options.description }),
    status: { state: NodeState.UNKNOWN, address: options.advertiseIp },
    role: NodeRole.MANAGER,
    certificatePem,
  });
  return { cluster, node, ingress: ingressNetwork(random), keyPem, certificatePem, caCertPem: root.certPem };
}

/** @throws {InvalidArgumentError} what is no subnet, too small for one network, or meets another. */
function checkPools(pools: readonly string[], subnetSize: number): void {
  new SubnetPool({ pools, subnetSize }); // looks at each
  const cidrs = pools.map(parseCidr);
  for (const [at, cidr] of cidrs.entries()) {
    const other = cidrs.slice(0, at).find((before) => cidrsOverlap(before, cidr));
    if (other === undefined) continue;
    throw new InvalidArgumentError(
      `default address pools overlap: ${formatCidr(other)} and ${formatCidr(cidr)}`,
    );
  }
}

/** A root of the user's own: with its key, because the first manager's certificate is signed here. */
function givenRoot({ spec, nowMs }: BootstrapOptions): RootKeyPair | undefined {
  if (spec.signingCaCert === "" && spec.signingCaKey === "") return undefined;
  if (spec.signingCaCert === "" || spec.signingCaKey === "")
    throw new InvalidArgumentError(
      "a swarm is founded on a given root CA only with its certificate and its key",
    );
  const root = checkedRoot(spec.signingCaCert, nowMs);
  return { certPem: root.pem, keyPem: checkedKey(spec.signingCaKey, root) };
}

/** Puts the bootstrap into an empty store: `store.update((tx) => storeBootstrap(tx, bootstrap))`. */
export function storeBootstrap(tx: WriteTx, bootstrap: Bootstrap): void {
  tx.create("cluster", bootstrap.cluster);
  tx.create("node", bootstrap.node);
  tx.create("network", bootstrap.ingress);
}

/** The mesh needs no network object; users look for one named ingress in `network ls`. */
function ingressNetwork(random: Random): Network {
  return Network.fromPartial({
    id: newId(random),
    spec: {
      annotations: { name: "ingress" },
      driver: "overlay",
      ingress: true,
      scope: "swarm",
      ipamDriver: "default",
    },
  });
}
