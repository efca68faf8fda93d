/**
 * The CA's RPCs: the root certificate for everybody,
 * node certificates for a join token, for the certificate being renewed or for its key.
 * Pure but for the gRPC shape. Invariants: the role in a certificate is the token's or the node's desired
 * role, never the caller's wish; a node id is given by the cluster; a removed node gets nothing.
 */
import { isDeepStrictEqual } from "node:util";
import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import {
  FailedPreconditionError,
  PermissionDeniedError,
  UnauthenticatedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import {
  directPeer,
  isForwarded,
  type PeerIdentity,
  type PeerRole,
  peerOf,
} from "../../base/grpc/peer-identity.js";
import type { Logger } from "../../base/log/logger.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type { IssueReply, IssueRequest, NodeCaServer } from "../../proto/gen/skein/v1/ca.js";
import { type Cluster, Node, type RootCa } from "../../proto/gen/skein/v1/objects.js";
import { NodeRole, NodeState } from "../../proto/gen/skein/v1/types.js";
import { checkLabels } from "../control/annotations.js";
import type { ReadTx, Store } from "../store/types.js";
import { type ExternalSigner, externalCasOf, NO_EXTERNAL_CA } from "./external-ca.js";
import { formerIdentity } from "./former-key.js";
import { roleOfToken } from "./join-token.js";
import { signingRoot, trustBundle, withChain } from "./trust.js";
import { issueNodeCertificate, NODE_CERT_EXPIRY_MS } from "./x509-certificates.js";

/** How long a renewal waits for a demoted manager to be out of Raft; below the caller's own deadline. */
const OUT_OF_RAFT_WAIT_MS = 8_000;
/** Tries of one renewal, when what it depends on changes while it is being signed. */
const RENEWALS_MAX = 4;

export interface NodeCaComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** @default none */
  readonly external?: ExternalSigner;
  /** host:port of the managers a new node may connect to. */
  readonly managerAddresses: () => readonly string[];
}

export function createNodeCaHandlers(components: NodeCaComponents): NodeCaServer {
  const ca = new NodeCa(components);
  return {
    getRootCa: (_call, callback) => {
      try {
        callback(null, { caCertPem: ca.rootCertificate() });
      } catch (error) {
        callback(toGrpcStatus(error));
      }
    },
    issue: (call, callback) => {
      ca.issue(call.request, callerOf(call, components.clock)).then(
        (reply) => callback(null, reply),
        (error: unknown) => callback(toGrpcStatus(error)),
      );
    },
  };
}

/** The caller's identity. A connection may outlive its certificate, so the end of that is looked at, too. */
function callerOf(call: ServerUnaryCall<IssueRequest, IssueReply>, clock: Clock): PeerIdentity | undefined {
  const peer = peerOf(call);
  if (isForwarded(call) && directPeer(call)?.role === "swarm-manager") return peer; // that manager has looked
  const expiry = call.getAuthContext().sslPeerCertificate?.valid_to;
  return expiry !== undefined && Date.parse(expiry) < clock.nowMs() ? undefined : peer;
}

export function roleName(role: NodeRole): PeerRole {
  return role === NodeRole.MANAGER ? "swarm-manager" : "swarm-worker";
}

class NodeCa {
  readonly #components: NodeCaComponents;

  constructor(components: NodeCaComponents) {
    this.#components = components;
  }

  rootCertificate(): string {
    return this.#cluster().rootCa.caCertPem;
  }

  async issue(request: IssueRequest, peer: PeerIdentity | undefined): Promise<IssueReply> {
    return request.token === "" ? this.#renew(request, peer) : this.#admit(request);
  }

  /** A new node by its join token. */
  async #admit(request: IssueRequest): Promise<IssueReply> {
    const { store, random, log } = this.#components;
    const { cluster, rootCa } = this.#cluster();
    const role = roleOfToken(rootCa, request.token);
    const annotations = { name: "", labels: request.labels };
    checkLabels(annotations);
    const nodeId = newId(random);
    const certificatePem = await this.#certificate({ cluster, rootCa, csrPem: request.csrPem, nodeId, role });
    const node = Node.fromPartial({
      id: nodeId,
      spec: { annotations, desiredRole: role, availability: request.availability },
      status: { state: NodeState.UNKNOWN, address: request.address },
      role,
      certificatePem,
    });
    await store.update((tx) => tx.create("node", node));
    log.info("node admitted", { nodeId, role, address: request.address });
    return this.#reply({ cluster, rootCa, nodeId, role, certificatePem });
  }

  /** A new certificate for a known node, in the role the cluster wants it to have. */
  async #renew(request: IssueRequest, shown: PeerIdentity | undefined): Promise<IssueReply> {
    const { store, log } = this.#components;
    const { cluster } = this.#cluster();
    const peer = shown ?? formerIdentity(request, (id) => store.view((tx) => tx.get("node", id)));
    if (peer === undefined) {
      throw new UnauthenticatedError(
        "a join token, or a valid certificate of this cluster to renew, is necessary",
      );
    }
    if (peer.clusterId !== cluster.id) {
      throw new PermissionDeniedError(`the certificate of node ${peer.nodeId} belongs to another cluster`);
    }
    await this.#untilOutOfRaft(peer.nodeId);
    for (let attempt = 1; ; attempt++) {
      const reply = await this.#renewed(request, peer.nodeId);
      if (reply !== undefined) {
        log.info("node certificate renewed", {
          nodeId: peer.nodeId,
          role: reply.role,
          late: shown === undefined,
        });
        return reply;
      }
      if (attempt === RENEWALS_MAX)
        throw new UnavailableError(`node ${peer.nodeId} or the root CA was changed meanwhile: try again`);
    }
  }

  /** @returns undefined when the node's role or the root CA changed while the certificate was being signed. */
  async #renewed(request: IssueRequest, nodeId: string): Promise<IssueReply | undefined> {
    const { store } = this.#components;
    const { cluster, rootCa } = this.#cluster();
    const role = roleWished(store.view((tx) => knownNode(tx, nodeId)));
    const certificatePem = await this.#certificate({ cluster, rootCa, csrPem: request.csrPem, nodeId, role });
    const isStored = await store.update((tx) => {
      const node = knownNode(tx, nodeId);
      const isSameRoot = isDeepStrictEqual(tx.get("cluster", cluster.id)?.rootCa, rootCa);
      if (roleWished(node) !== role || !isSameRoot) return false;
      tx.update("node", { ...node, role, certificatePem });
      return true;
    });
    return isStored ? this.#reply({ cluster, rootCa, nodeId, role, certificatePem }) : undefined;
  }

  /**
   * A demoted manager gets its worker certificate when Raft has let it go, not before:
   * with that certificate it stops its manager, and the cluster would lose a vote it still counts on.
   */
  async #untilOutOfRaft(nodeId: string): Promise<void> {
    const { store, clock } = this.#components;
    const leaves = (): boolean => {
      const node = store.view((tx) => tx.get("node", nodeId));
      return node?.spec?.desiredRole === NodeRole.WORKER && node.managerStatus !== undefined;
    };
    if (!leaves()) return;
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void): void => {
        watch.close();
        timer.cancel();
        settle();
      };
      const watch = store.watch({
        tables: ["node"],
        wake: () => {
          watch.take();
          if (!leaves()) end(resolve);
        },
      });
      const timer = clock.setTimer(OUT_OF_RAFT_WAIT_MS, () =>
        end(() =>
          reject(new UnavailableError(`node ${nodeId} is still a Raft member: its demotion is not done yet`)),
        ),
      );
    });
  }

  #cluster(): { readonly cluster: Cluster; readonly rootCa: RootCa } {
    const cluster = this.#components.store.view((tx) => tx.list("cluster")[0]);
    if (cluster?.rootCa === undefined) {
      throw new FailedPreconditionError("the cluster has no root CA yet: this manager is still starting");
    }
    return { cluster, rootCa: cluster.rootCa };
  }

  /** External CAs that sign for the root come first, the cluster's own key where there is none. */
  async #certificate(options: {
    cluster: Cluster;
    rootCa: RootCa;
    csrPem: string;
    nodeId: string;
    role: NodeRole;
  }): Promise<string> {
    const { external = NO_EXTERNAL_CA, clock, random } = this.#components;
    const { cluster, rootCa, csrPem, nodeId } = options;
    const root = signingRoot(rootCa);
    const request = { csrPem, nodeId, role: roleName(options.role), clusterId: cluster.id };
    const externalCas = externalCasOf(cluster.spec?.externalCas ?? [], root.certPem, rootCa.caCertPem);
    if (externalCas.length > 0) {
      const trustPem = trustBundle(rootCa);
      return external.sign(externalCas, { ...request, rootPem: root.certPem, trustPem });
    }
    if (root.keyPem === "") {
      throw new UnavailableError(
        "no certificate can be issued: the cluster has no key of its root CA, and no external CA that signs for it",
      );
    }
    const expiryMs = cluster.spec?.nodeCertExpiryMs ?? 0;
    return issueNodeCertificate({
      ...request,
      root,
      nowMs: clock.nowMs(),
      expiryMs: expiryMs === 0 ? NODE_CERT_EXPIRY_MS : expiryMs,
      random,
    });
  }

  #reply(options: {
    cluster: Cluster;
    rootCa: RootCa;
    nodeId: string;
    role: NodeRole;
    certificatePem: string;
  }): IssueReply {
    return {
      nodeId: options.nodeId,
      role: options.role,
      certificatePem: withChain(options.rootCa, options.certificatePem),
      caCertPem: trustBundle(options.rootCa),
      clusterId: options.cluster.id,
      managerAddresses: this.#components.managerAddresses(),
    };
  }
}

function roleWished(node: Node): NodeRole {
  return node.spec?.desiredRole ?? node.role;
}

/** @throws {PermissionDeniedError} */
function knownNode(tx: ReadTx, nodeId: string): Node {
  const node = tx.get("node", nodeId);
  if (node !== undefined) return node;
  throw new PermissionDeniedError(`node ${nodeId} was removed from the cluster: join again with a token`);
}
