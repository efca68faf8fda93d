/**
 * The cluster: its settings, join tokens and unlock key.
 * Pure over the store. Invariant: the CA key and the networks' keys are never answered, the unlock key
 * only by its own RPC.
 */
import {
  FailedPreconditionError,
  InvalidArgumentError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import type { ClusterReply, UnlockKeyReply, UpdateClusterRequest } from "../../proto/gen/skein/v1/control.js";
import type { Cluster, RootCa } from "../../proto/gen/skein/v1/objects.js";
import { type ClusterSpec, NodeRole } from "../../proto/gen/skein/v1/types.js";
import { checkExternalCas, NO_EXTERNAL_CA } from "../ca/external-ca.js";
import { createJoinToken } from "../ca/join-token.js";
import { withRootWish } from "../ca/root-rotation.js";
import { createUnlockKey } from "../ca/unlock-key.js";
import { NETWORK_KEY_BYTES, NETWORK_KEY_PERIOD_MIN_MS, withNewNetworkKey } from "../keys/network-key-plan.js";
import { withNewKeyEpoch } from "../keys/rotation-plan.js";
import type { ReadTx } from "../store/types.js";
import { checkLabels, checkVersion } from "./annotations.js";
import type { ControlComponents } from "./control-components.js";

const HOUR_MS = 3_600_000;
/** Each version of a secret or config is kept in the memory of every manager. */
const DATA_VERSIONS_MAX = 100;
/** A heartbeat period outside of this makes nodes flap, or a dead node stay unnoticed for minutes. */
const HEARTBEAT_MS = { min: 100, max: 60_000 } as const;

export class ClusterControl {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  get(): ClusterReply {
    return this.#components.store.view((tx) => {
      const nodes = tx.list("node");
      const managers = nodes.filter(({ spec }) => spec?.desiredRole === NodeRole.MANAGER).length;
      return { cluster: withoutKeys(clusterOf(tx)), nodes: nodes.length, managers };
    });
  }

  unlockKey(): UnlockKeyReply {
    return { unlockKey: this.#components.store.view(clusterOf).unlockKey };
  }

  async update(request: UpdateClusterRequest): Promise<ClusterReply> {
    const { store, random, clock } = this.#components;
    const rootWished = await this.#rootWished(request);
    await store.update((tx) => {
      const cluster = clusterOf(tx);
      checkVersion(cluster, request.version);
      const spec = request.spec === undefined ? cluster.spec : checkedSpec(request.spec, cluster.spec);
      const autoLock = spec?.autoLockManagers ?? false;
      if (request.rotateUnlockKey && !autoLock) {
        throw new FailedPreconditionError("there is no unlock key to rotate: managers are not auto-locked");
      }
      if (request.rotateNetworkKey && cluster.networkKeys.length === 0) {
        throw new FailedPreconditionError("there is no network key to rotate: no network is encrypted");
      }
      const newKey = autoLock && (cluster.unlockKey === "" || request.rotateUnlockKey);
      const unlockKey = newKey ? createUnlockKey(random) : autoLock ? cluster.unlockKey : "";
      const rootCa = this.#withNewTokens(rootWished, request);
      const changed = { ...cluster, spec, unlockKey, rootCa };
      // Who knew the old unlock key, or read files that stood open, knows the data keys, too.
      const rotated = request.rotateNetworkKey
        ? withNewNetworkKey(changed, random.bytes(NETWORK_KEY_BYTES), clock.nowMs())
        : changed;
      tx.update("cluster", newKey ? withNewKeyEpoch(rotated, clock.nowMs()) : rotated);
    });
    return this.get();
  }

  /**
   * Making keys and asking external CAs takes time: it is done before the transaction, which checks that the
   * cluster is still the one this began with.
   */
  async #rootWished({ version, spec }: UpdateClusterRequest): Promise<RootCa | undefined> {
    const { store, random, clock, external = NO_EXTERNAL_CA } = this.#components;
    const cluster = store.view(clusterOf);
    checkVersion(cluster, version);
    if (spec === undefined || cluster.rootCa === undefined) return cluster.rootCa;
    const { externalCas } = checkedSpec(spec, cluster.spec);
    const wish = { certPem: spec.signingCaCert, keyPem: spec.signingCaKey, forceRotate: spec.forceRotate };
    return withRootWish(cluster.rootCa, wish, { externalCas, external, random, nowMs: clock.nowMs() });
  }

  #withNewTokens(rootCa: RootCa | undefined, request: UpdateClusterRequest): RootCa | undefined {
    if (rootCa === undefined) return undefined;
    const { random } = this.#components;
    return {
      ...rootCa,
      workerToken: request.rotateWorkerToken
        ? createJoinToken(rootCa.certDigest, random)
        : rootCa.workerToken,
      managerToken: request.rotateManagerToken
        ? createJoinToken(rootCa.certDigest, random)
        : rootCa.managerToken,
    };
  }
}

/** @throws {FailedPreconditionError} before the first transaction of the cluster. */
function clusterOf(tx: ReadTx): Cluster {
  const [cluster] = tx.list("cluster");
  if (cluster === undefined)
    throw new FailedPreconditionError("the cluster is not ready yet: this manager is still starting");
  return cluster;
}

function withoutKeys(cluster: Cluster): Cluster {
  const { rootCa } = cluster;
  const rotation = rootCa?.rotation && { ...rootCa.rotation, caKeyPem: "" };
  const networkKeys = cluster.networkKeys.map((key) => ({ ...key, key: new Uint8Array() }));
  return { ...cluster, unlockKey: "", networkKeys, rootCa: rootCa && { ...rootCa, caKeyPem: "", rotation } };
}

/** @throws {InvalidArgumentError} {NotImplementedError} naming the field and the rule. */
export function checkedSpec(spec: ClusterSpec, before: ClusterSpec | undefined): ClusterSpec {
  checkLabels(spec.annotations);
  const name = before?.annotations?.name ?? "default";
  const given = spec.annotations?.name ?? "";
  if (given !== "" && given !== name) {
    throw new NotImplementedError(
      `renaming the cluster is not supported: it is called ${name}, got ${given}`,
    );
  }
  checkExternalCas(spec.externalCas);
  if (spec.nodeCertExpiryMs !== 0 && spec.nodeCertExpiryMs < HOUR_MS) {
    throw new InvalidArgumentError(
      `minimum certificate expiry time is 1h0m0s, got ${spec.nodeCertExpiryMs} ms`,
    );
  }
  const period = spec.heartbeatPeriodMs;
  if (period !== 0 && (period < HEARTBEAT_MS.min || period > HEARTBEAT_MS.max)) {
    throw new InvalidArgumentError(
      `heartbeat period must be from ${HEARTBEAT_MS.min} to ${HEARTBEAT_MS.max} ms, got ${period}`,
    );
  }
  for (const [field, ms] of [
    ["node_down_after_ms", spec.nodeDownAfterMs],
    ["orphan_after_ms", spec.orphanAfterMs],
    ["drain_deadline_ms", spec.drainDeadlineMs],
    ["network_key_period_ms", spec.networkKeyPeriodMs],
  ] as const) {
    if (!(ms >= 0)) throw new InvalidArgumentError(`${field} cannot be negative, got ${ms}`);
  }
  if (spec.networkKeyPeriodMs !== 0 && spec.networkKeyPeriodMs < NETWORK_KEY_PERIOD_MIN_MS) {
    throw new InvalidArgumentError(
      `network_key_period_ms must be at least ${NETWORK_KEY_PERIOD_MIN_MS}, got ${spec.networkKeyPeriodMs}`,
    );
  }
  if (spec.dataVersionsKept > DATA_VERSIONS_MAX) {
    throw new InvalidArgumentError(
      `data_versions_kept must be at most ${DATA_VERSIONS_MAX}, got ${spec.dataVersionsKept}`,
    );
  }
  return { ...spec, signingCaKey: "", annotations: { name, labels: spec.annotations?.labels ?? {} } };
}
