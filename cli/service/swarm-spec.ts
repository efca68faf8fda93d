/**
 * Flags of `skein swarm init|update|ca` and the specification they make, over the one that is there.
 * Edge: to the file system, for certificates that flags name.
 */
import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { keyValues, parseDuration, parseInteger } from "../units.js";
import { listOption } from "./service-flags.js";

type Json = Readonly<Record<string, unknown>>;

export interface SpecFlags {
  readonly autolock?: boolean;
  readonly certExpiry?: string;
  readonly externalCa?: readonly string[];
  readonly dispatcherHeartbeat?: string;
  readonly snapshotInterval?: string;
  readonly maxSnapshots?: string;
  readonly taskHistoryLimit?: string;
  readonly placementStrategy?: string;
  readonly drainDeadline?: string;
  readonly dataVersionsKept?: string;
  readonly networkKeyPeriod?: string;
}

export function addCaFlags(command: Command): Command {
  return command
    .option("--cert-expiry <duration>", "life of node certificates (default 2160h)")
    .addOption(
      listOption("--external-ca <options>", "protocol=cfssl,url=https://…[,cacert=FILE]: who signs"),
    );
}

export function addSpecFlags(command: Command): Command {
  return addCaFlags(command)
    .option("--dispatcher-heartbeat <duration>", "heartbeat period of the nodes (default 1s)")
    .option("--snapshot-interval <n>", "log entries between snapshots (default 10000)")
    .option("--max-snapshots <n>", "accepted; old snapshots are not kept")
    .option("--task-history-limit <n>", "finished tasks kept per slot (default 5)")
    .addOption(
      new Option(
        "--placement-strategy <strategy>",
        "how tasks are placed where nothing else decides",
      ).choices(["spread", "binpack"]),
    )
    .option("--drain-deadline <duration>", "longest wait for successors when a node is drained (default 10m)")
    .option("--data-versions-kept <n>", "versions kept of each secret and config (default 5)")
    .option("--network-key-period <duration>", "time between new keys of encrypted networks (default 12h)");
}

/** The certificate that a text names: its own words, or the file. */
type ReadFile = (path: string) => string;

const readTextFile: ReadFile = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new InvalidArgumentError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
};

/** "protocol=cfssl,url=https://ca/sign,cacert=ca.pem,key=value" as the API takes it. */
export function externalCa(text: string, read: ReadFile = readTextFile): Json {
  const fields = keyValues(text.split(",").map((field) => field.trim()));
  const { protocol, url, cacert, ...options } = fields;
  if (protocol !== "cfssl")
    throw new InvalidArgumentError(
      `--external-ca: unrecognized external CA protocol ${protocol ?? ""}: use cfssl`,
    );
  if (url === undefined || url === "")
    throw new InvalidArgumentError("--external-ca: the external-ca option needs a url= parameter");
  return {
    Protocol: protocol,
    URL: url,
    ...(Object.keys(options).length === 0 ? {} : { Options: options }),
    ...(cacert === undefined ? {} : { CACert: read(cacert) }),
  };
}

function part(before: Json, name: string): Json {
  const value = before[name];
  return typeof value === "object" && value !== null ? (value as Json) : {}; // the API's own answer
}

/** The specification with what the flags say over what was there; settings that no flag names are kept. */
export function specOf(flags: SpecFlags, before: Json = {}): Record<string, unknown> {
  const spec: Record<string, unknown> = { ...before };
  const over = (name: string, changes: Json): void => {
    const given = Object.entries(changes).filter(([, value]) => value !== undefined);
    if (given.length > 0) spec[name] = { ...part(spec, name), ...Object.fromEntries(given) };
  };
  const number = (text: string | undefined, flag: string, min?: number): number | undefined =>
    text === undefined ? undefined : parseInteger(text, flag, min);
  const duration = (text: string | undefined, flag: string): number | undefined =>
    text === undefined ? undefined : parseDuration(text, flag);
  over("EncryptionConfig", { AutoLockManagers: flags.autolock });
  over("Raft", {
    SnapshotInterval: number(flags.snapshotInterval, "--snapshot-interval", 1),
    KeepOldSnapshots: number(flags.maxSnapshots, "--max-snapshots"),
  });
  over("Orchestration", {
    TaskHistoryRetentionLimit: number(flags.taskHistoryLimit, "--task-history-limit", -1),
  });
  over("Dispatcher", { HeartbeatPeriod: duration(flags.dispatcherHeartbeat, "--dispatcher-heartbeat") });
  over("CAConfig", {
    NodeCertExpiry: duration(flags.certExpiry, "--cert-expiry"),
    ExternalCAs: flags.externalCa?.map((text) => externalCa(text)),
  });
  over("Skein", {
    PlacementStrategy: flags.placementStrategy,
    DrainDeadline: duration(flags.drainDeadline, "--drain-deadline"),
    DataVersionsKept: number(flags.dataVersionsKept, "--data-versions-kept", 1),
    NetworkKeyPeriod: duration(flags.networkKeyPeriod, "--network-key-period"),
  });
  return spec;
}
