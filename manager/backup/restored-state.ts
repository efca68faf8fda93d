/**
 * What a backup's state becomes in the one-manager cluster that is founded from it.
 * Pure but for issuing a certificate. Invariants: same cluster, root CA, tokens, services, secrets; one new
 * node, this host, is the only manager, the former ones are workers until they are promoted again; the index
 * is above every index that any earlier life of the cluster has handed out. Source: docs/design/backup.md.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { BackupHead } from "../../proto/gen/skein/v1/backup.js";
import { type Cluster, Node, StoreObject } from "../../proto/gen/skein/v1/objects.js";
import type { SnapshotPair } from "../../proto/gen/skein/v1/raft.js";
import { type NodeAvailability, NodeRole, NodeState } from "../../proto/gen/skein/v1/types.js";
import { issueNodeCertificate, NODE_CERT_EXPIRY_MS } from "../ca/x509-certificates.js";
import { isTableName, storeKey, type TableRow } from "../store/tables.js";

/** So far above the backup's index at least: 20 months of 20 000 entries a second after it was made. */
export const INDEX_STEP = 2 ** 40;
/** And above so many entries per millisecond since 1970: a later restore is above an earlier one. */
export const INDEXES_PER_MS = 64;

/** Where the restored log begins. @throws {InvalidArgumentError} the index has no room left. */
export function restorePoint(
  head: Pick<BackupHead, "index" | "term">,
  nowMs: number,
): { readonly index: number; readonly term: number } {
  const index = Math.max(head.index + INDEX_STEP, Math.floor(nowMs) * INDEXES_PER_MS);
  if (!Number.isSafeInteger(index + INDEX_STEP))
    throw new InvalidArgumentError(`the backup's index ${head.index} leaves no room for a restored cluster`);
  return { index, term: head.term + 1 };
}

/** A manager of the cluster that was backed up. */
export interface FormerManager {
  readonly nodeId: string;
  readonly hostname: string;
  readonly address: string;
}

export interface RestoredCluster {
  /** Belongs behind the others. */
  readonly node: SnapshotPair;
  readonly certificatePem: string;
  readonly caCertPem: string;
  readonly objects: number;
  readonly formerManagers: readonly FormerManager[];
}

export interface StateRestorerOptions {
  readonly head: BackupHead;
  readonly point: { readonly index: number };
  readonly nodeId: string;
  readonly csrPem: string;
  /** IP other nodes reach this one by. */
  readonly advertiseIp: string;
  readonly availability: NodeAvailability;
  readonly nowMs: number;
  readonly random: Random;
}

/** Takes the pairs in order and gives back what they become. */
export class StateRestorer {
  readonly #options: StateRestorerOptions;
  #cluster: Cluster | undefined;
  #objects = 0;
  #formerManagers: FormerManager[] = [];

  constructor(options: StateRestorerOptions) {
    this.#options = options;
  }

  /** Known after the first portion, because keys come in order. "" without autolock. */
  get unlockKey(): string {
    return this.#cluster?.spec?.autoLockManagers === true ? this.#cluster.unlockKey : "";
  }

  take(pairs: readonly SnapshotPair[]): readonly SnapshotPair[] {
    this.#objects += pairs.length;
    return pairs.map((pair) => this.#restored(pair));
  }

  /** @throws {InvalidArgumentError} the backup holds no cluster, or another than its head says. */
  finish(): RestoredCluster {
    const { head, nodeId, csrPem, nowMs, random } = this.#options;
    const cluster = this.#cluster;
    if (cluster?.rootCa === undefined || cluster.id !== head.clusterId)
      throw new InvalidArgumentError("the backup holds no cluster with a root CA: it cannot be restored");
    if (cluster.rootCa.caKeyPem === "") {
      throw new InvalidArgumentError(
        "the backup's cluster has its certificates signed by an external CA, and no key of its own to found the " +
          "restored cluster with: back up again after 'swarm ca --rotate'",
      );
    }
    const expiryMs = cluster.spec?.nodeCertExpiryMs ?? 0;
    const certificatePem = issueNodeCertificate({
      root: { certPem: cluster.rootCa.caCertPem, keyPem: cluster.rootCa.caKeyPem },
      csrPem,
      nodeId,
      role: "swarm-manager",
      clusterId: cluster.id,
      nowMs,
      expiryMs: expiryMs === 0 ? NODE_CERT_EXPIRY_MS : expiryMs,
      random,
    });
    return {
      node: pairOf({ $case: "node", value: this.#ownNode(certificatePem) }),
      certificatePem,
      caCertPem: cluster.rootCa.caCertPem,
      objects: this.#objects + 1,
      formerManagers: this.#formerManagers,
    };
  }

  #ownNode(certificatePem: string): Node {
    const { nodeId, advertiseIp, availability, nowMs } = this.#options;
    return Node.fromPartial({
      id: nodeId,
      meta: { version: { index: this.#options.point.index }, createdAtMs: nowMs, updatedAtMs: nowMs },
      spec: { annotations: {}, desiredRole: NodeRole.MANAGER, availability },
      status: { state: NodeState.UNKNOWN, address: advertiseIp },
      role: NodeRole.MANAGER,
      certificatePem,
    });
  }

  #restored(pair: SnapshotPair): SnapshotPair {
    const row = rowOf(pair);
    if (row.$case === "cluster") this.#cluster = row.value;
    if (row.$case !== "node") return pair;
    const node = row.value;
    if (node.managerStatus === undefined && node.spec?.desiredRole !== NodeRole.MANAGER) return pair;
    this.#formerManagers.push({
      nodeId: node.id,
      hostname: node.description?.hostname ?? "",
      address: node.managerStatus?.address ?? node.status?.address ?? "",
    });
    const { index } = this.#options.point;
    const value = Node.fromPartial({
      ...node,
      meta: { ...node.meta, version: { index }, updatedAtMs: this.#options.nowMs },
      spec: { ...node.spec, desiredRole: NodeRole.WORKER },
      role: NodeRole.WORKER,
      managerStatus: undefined,
    });
    return pairOf({ $case: "node", value });
  }
}

function rowOf({ key, value }: SnapshotPair): TableRow {
  let row: StoreObject["object"];
  try {
    row = StoreObject.decode(value).object;
  } catch (error) {
    throw new InvalidArgumentError(`the backup's object ${key} cannot be read`, { cause: error });
  }
  if (row === undefined || !isTableName(row.$case) || storeKey(row.$case, row.value.id) !== key) {
    throw new InvalidArgumentError(
      `the backup holds ${key}, which this Skein does not know: restore it with the release that wrote it`,
    );
  }
  return row;
}

function pairOf(object: TableRow): SnapshotPair {
  return { key: storeKey(object.$case, object.value.id), value: StoreObject.encode({ object }).finish() };
}
