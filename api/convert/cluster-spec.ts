/**
 * The swarm's specification between Docker's JSON and the store. Pure.
 * Settings of Skein's own stand under `Skein`. Docker's clients do not know them and send a specification
 * without them: what is absent there stays as it was.
 */
import type { ClusterSpec, ExternalCa } from "../../proto/gen/skein/v1/types.js";
import { ClusterSpec as ClusterSpecMessage, PlacementStrategy } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "./fields.js";
import { type JsonObject, nanoseconds, omitEmpty } from "./shape.js";

export const DEFAULT_HEARTBEAT_MS = 1_000;
export const DEFAULT_CERT_EXPIRY_MS = 90 * 24 * 3_600_000;
const DEFAULT_SNAPSHOT_INTERVAL = 10_000;
const DEFAULT_ENTRIES_FOR_SLOW_FOLLOWERS = 500;
const STRATEGIES = {
  spread: PlacementStrategy.SPREAD,
  binpack: PlacementStrategy.BIN_PACK,
};

type SkeinSettings = Pick<
  ClusterSpec,
  | "placementStrategy"
  | "drainDeadlineMs"
  | "dataVersionsKept"
  | "nodeDownAfterMs"
  | "orphanAfterMs"
  | "networkKeyPeriodMs"
>;

function skeinIn(fields: Fields | undefined, before: ClusterSpec | undefined): Partial<SkeinSettings> {
  const ms = (key: string, was: number | undefined): number => fields?.optionalDurationMs(key) ?? was ?? 0;
  const strategy = fields?.has("PlacementStrategy")
    ? fields.oneOf("PlacementStrategy", STRATEGIES)
    : undefined;
  return {
    placementStrategy: strategy ?? before?.placementStrategy ?? PlacementStrategy.DEFAULT,
    drainDeadlineMs: ms("DrainDeadline", before?.drainDeadlineMs),
    dataVersionsKept:
      fields?.optionalInteger("DataVersionsKept", { min: 1 }) ?? before?.dataVersionsKept ?? 0,
    nodeDownAfterMs: ms("NodeDownAfter", before?.nodeDownAfterMs),
    orphanAfterMs: ms("OrphanAfter", before?.orphanAfterMs),
    networkKeyPeriodMs: ms("NetworkKeyPeriod", before?.networkKeyPeriodMs),
  };
}

/** @param before what is stored; undefined for a new swarm. */
export function clusterSpecIn(fields: Fields, before?: ClusterSpec): ClusterSpec {
  const raft = fields.object("Raft");
  const ca = fields.object("CAConfig");
  const logDriver = fields.object("TaskDefaults")?.object("LogDriver");
  const logDriverName = logDriver?.string("Name") ?? "";
  // fixed here, and GET /swarm says so
  for (const key of ["ElectionTick", "HeartbeatTick"]) raft?.integer(key);
  return ClusterSpecMessage.fromPartial({
    annotations: { name: fields.string("Name") || "default", labels: fields.stringMap("Labels") },
    taskHistoryRetentionLimit: fields
      .object("Orchestration")
      ?.optionalInteger("TaskHistoryRetentionLimit", { min: -1 }),
    snapshotInterval: raft?.integer("SnapshotInterval") ?? 0,
    keepOldSnapshots: raft?.integer("KeepOldSnapshots") ?? 0,
    logEntriesForSlowFollowers: raft?.integer("LogEntriesForSlowFollowers") ?? 0,
    heartbeatPeriodMs: fields.object("Dispatcher")?.optionalDurationMs("HeartbeatPeriod") ?? 0,
    nodeCertExpiryMs: ca?.optionalDurationMs("NodeCertExpiry") ?? 0,
    externalCas: (ca?.objects("ExternalCAs") ?? []).map(externalCaIn),
    signingCaCert: ca?.string("SigningCACert") ?? "",
    signingCaKey: ca?.string("SigningCAKey") ?? "",
    forceRotate: ca?.integer("ForceRotate") ?? 0,
    autoLockManagers: fields.object("EncryptionConfig")?.bool("AutoLockManagers") ?? false,
    defaultLogDriver:
      logDriverName === ""
        ? undefined
        : { name: logDriverName, options: logDriver?.stringMap("Options") ?? {} },
    ...skeinIn(fields.object("Skein"), before),
  });
}

function externalCaIn(fields: Fields): ExternalCa {
  return {
    protocol: fields.string("Protocol") || "cfssl",
    url: fields.string("URL"),
    options: fields.stringMap("Options"),
    caCert: new Uint8Array(Buffer.from(fields.string("CACert"))),
  };
}

/** The stock CLI sends Docker's default of 5 s with every init; only another value was meant. */
const DOCKER_DEFAULT_HEARTBEAT_MS = 5_000;

export function newClusterSpecIn(fields: Fields): ClusterSpec {
  const spec = clusterSpecIn(fields);
  return spec.heartbeatPeriodMs === DOCKER_DEFAULT_HEARTBEAT_MS ? { ...spec, heartbeatPeriodMs: 0 } : spec;
}

function skeinOut(spec: ClusterSpec | undefined): JsonObject {
  const strategy = spec?.placementStrategy === PlacementStrategy.BIN_PACK ? "binpack" : "spread";
  return {
    PlacementStrategy: strategy,
    ...omitEmpty({
      DrainDeadline: nanoseconds(spec?.drainDeadlineMs ?? 0),
      DataVersionsKept: spec?.dataVersionsKept,
      NodeDownAfter: nanoseconds(spec?.nodeDownAfterMs ?? 0),
      OrphanAfter: nanoseconds(spec?.orphanAfterMs ?? 0),
      NetworkKeyPeriod: nanoseconds(spec?.networkKeyPeriodMs ?? 0),
    }),
  };
}

export function clusterSpecOut(spec: ClusterSpec | undefined): JsonObject {
  return {
    Name: spec?.annotations?.name || "default",
    Labels: spec?.annotations?.labels ?? {},
    Orchestration: { TaskHistoryRetentionLimit: spec?.taskHistoryRetentionLimit ?? 5 },
    Raft: {
      SnapshotInterval: spec?.snapshotInterval || DEFAULT_SNAPSHOT_INTERVAL,
      KeepOldSnapshots: spec?.keepOldSnapshots ?? 0,
      LogEntriesForSlowFollowers: spec?.logEntriesForSlowFollowers || DEFAULT_ENTRIES_FOR_SLOW_FOLLOWERS,
      ElectionTick: 10,
      HeartbeatTick: 1,
    },
    Dispatcher: { HeartbeatPeriod: nanoseconds(spec?.heartbeatPeriodMs || DEFAULT_HEARTBEAT_MS) },
    CAConfig: {
      NodeCertExpiry: nanoseconds(spec?.nodeCertExpiryMs || DEFAULT_CERT_EXPIRY_MS),
      ...omitEmpty({
        ExternalCAs: spec?.externalCas.map(({ protocol, url, options, caCert }) =>
          omitEmpty({
            Protocol: protocol,
            URL: url,
            Options: options,
            CACert: Buffer.from(caCert).toString("utf8"),
          }),
        ),
        SigningCACert: spec?.signingCaCert,
        ForceRotate: spec?.forceRotate,
      }),
    },
    TaskDefaults: omitEmpty({
      LogDriver: spec?.defaultLogDriver && {
        Name: spec.defaultLogDriver.name,
        Options: spec.defaultLogDriver.options,
      },
    }),
    EncryptionConfig: { AutoLockManagers: spec?.autoLockManagers ?? false },
    Skein: skeinOut(spec),
  };
}

/** What is kept and shown, and does nothing, in sentences. */
export function clusterSpecWarnings(spec: ClusterSpec | undefined): string[] {
  const kept = spec?.keepOldSnapshots ?? 0;
  return kept === 0
    ? []
    : [
        `--max-snapshots ${kept} (Raft.KeepOldSnapshots) has no effect: a manager holds one state and its log, ` +
          "no old snapshots; 'swarm backup' makes copies.",
      ];
}
