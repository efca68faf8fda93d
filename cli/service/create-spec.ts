/**
 * A service specification from the flags of `service create`. Pure (files and the daemon are asked through
 * `Lookups`).
 */
import { AlreadyExistsError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { keyValues, parseBytes, parseCpus, parseDuration, parseInteger } from "../units.js";
import {
  capability,
  type FileReference,
  given,
  type Json,
  parseCredentialSpec,
  parseFileReference,
  parseGenericResource,
  parseHost,
  parseMount,
  parseNetwork,
  parsePublish,
  parseUlimit,
  splitCommand,
} from "./flag-values.js";
import type { FlagValues } from "./service-flags.js";

/** What flags refer to by name. */
export interface Lookups {
  /** Ids by name; names that do not exist are absent. */
  secretIds(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  configIds(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  readFile(path: string): Promise<string>;
}

export function setIf(target: Json, key: string, value: unknown): void {
  if (value !== undefined) target[key] = value;
}

const mapped = <T>(
  text: string | undefined,
  parse: (text: string, flag: string) => T,
  flag: string,
): T | undefined => (text === undefined ? undefined : parse(text, flag));

export function modeOf(flags: FlagValues): Json {
  const mode = flags.text("mode") ?? "replicated";
  const replicas = mapped(flags.text("replicas"), parseInteger, "--replicas");
  const concurrent = mapped(flags.text("max-concurrent"), parseInteger, "--max-concurrent");
  switch (mode) {
    case "replicated":
      return { Replicated: { Replicas: replicas ?? 1 } };
    case "global":
    case "global-job":
      if (replicas !== undefined)
        throw new InvalidArgumentError(
          `--replicas can only be used with replicated or replicated-job mode, not with ${mode}`,
        );
      return mode === "global" ? { Global: {} } : { GlobalJob: {} };
    case "replicated-job":
      return {
        ReplicatedJob: { MaxConcurrent: concurrent ?? replicas ?? 1, TotalCompletions: replicas ?? 1 },
      };
    default:
      throw new InvalidArgumentError(
        `--mode must be replicated, global, replicated-job or global-job, got ${JSON.stringify(mode)}`,
      );
  }
}

/** Changes of an UpdateConfig or RollbackConfig; undefined when no flag was given. */
export function updateConfigOf(
  flags: FlagValues,
  prefix: "update" | "rollback",
  before: Json | undefined,
): Json | undefined {
  const config: Json = {};
  setIf(
    config,
    "Parallelism",
    mapped(flags.text(`${prefix}-parallelism`), parseInteger, `--${prefix}-parallelism`),
  );
  setIf(config, "Delay", mapped(flags.text(`${prefix}-delay`), parseDuration, `--${prefix}-delay`));
  setIf(config, "Order", flags.text(`${prefix}-order`));
  setIf(config, "Monitor", mapped(flags.text(`${prefix}-monitor`), parseDuration, `--${prefix}-monitor`));
  setIf(config, "FailureAction", flags.text(`${prefix}-failure-action`));
  const ratio = flags.text(`${prefix}-max-failure-ratio`);
  if (ratio !== undefined) {
    if (!(Number(ratio) >= 0 && Number(ratio) <= 1))
      throw new InvalidArgumentError(`--${prefix}-max-failure-ratio must be 0 to 1, got ${ratio}`);
    config["MaxFailureRatio"] = Number(ratio);
  }
  if (Object.keys(config).length === 0) return before;
  return { Parallelism: 1, ...before, ...config };
}

export function restartOf(flags: FlagValues, before: Json | undefined): Json | undefined {
  const policy: Json = {};
  setIf(policy, "Condition", flags.text("restart-condition"));
  setIf(policy, "Delay", mapped(flags.text("restart-delay"), parseDuration, "--restart-delay"));
  setIf(
    policy,
    "MaxAttempts",
    mapped(flags.text("restart-max-attempts"), parseInteger, "--restart-max-attempts"),
  );
  setIf(policy, "Window", mapped(flags.text("restart-window"), parseDuration, "--restart-window"));
  return Object.keys(policy).length === 0 ? before : { Condition: "any", ...before, ...policy };
}

export function healthOf(flags: FlagValues, before: Json | undefined): Json | undefined {
  if (flags.negated("healthcheck")) return { Test: ["NONE"] };
  const health: Json = {};
  const command = flags.text("health-cmd");
  setIf(health, "Test", command === undefined ? undefined : ["CMD-SHELL", command]);
  setIf(health, "Interval", mapped(flags.text("health-interval"), parseDuration, "--health-interval"));
  setIf(health, "Timeout", mapped(flags.text("health-timeout"), parseDuration, "--health-timeout"));
  setIf(
    health,
    "StartPeriod",
    mapped(flags.text("health-start-period"), parseDuration, "--health-start-period"),
  );
  setIf(
    health,
    "StartInterval",
    mapped(flags.text("health-start-interval"), parseDuration, "--health-start-interval"),
  );
  setIf(health, "Retries", mapped(flags.text("health-retries"), parseInteger, "--health-retries"));
  return Object.keys(health).length === 0 ? before : { ...before, ...health };
}

/** Limits and reservations given by flags, over what was there. */
export function resourcesOf(flags: FlagValues, before: Json = {}): Json {
  const limits: Json = { ...(before["Limits"] as Json | undefined) };
  const reservations: Json = { ...(before["Reservations"] as Json | undefined) };
  setIf(limits, "NanoCPUs", mapped(flags.text("limit-cpu"), parseCpus, "--limit-cpu"));
  setIf(limits, "MemoryBytes", mapped(flags.text("limit-memory"), parseBytes, "--limit-memory"));
  setIf(limits, "Pids", mapped(flags.text("limit-pids"), parseInteger, "--limit-pids"));
  setIf(reservations, "NanoCPUs", mapped(flags.text("reserve-cpu"), parseCpus, "--reserve-cpu"));
  setIf(reservations, "MemoryBytes", mapped(flags.text("reserve-memory"), parseBytes, "--reserve-memory"));
  const generic = flags.list("generic-resource");
  if (generic.length > 0)
    reservations["GenericResources"] = generic.map((text) => parseGenericResource(text));
  const swap = flags.text("memory-swap");
  return given({
    Limits: Object.keys(limits).length > 0 ? limits : undefined,
    Reservations: Object.keys(reservations).length > 0 ? reservations : undefined,
    SwapBytes:
      swap === undefined ? before["SwapBytes"] : swap === "-1" ? -1 : parseBytes(swap, "--memory-swap"),
    MemorySwappiness:
      mapped(
        flags.text("memory-swappiness"),
        (text, flag) => parseInteger(text, flag, -1),
        "--memory-swappiness",
      ) ?? before["MemorySwappiness"],
  });
}

/** Single-valued container fields, the same for create and update. */
export function setContainerFields(container: Json, flags: FlagValues): void {
  setIf(container, "Dir", flags.text("workdir"));
  setIf(container, "User", flags.text("user"));
  setIf(container, "Hostname", flags.text("hostname"));
  setIf(container, "Isolation", flags.text("isolation"));
  setIf(container, "StopSignal", flags.text("stop-signal"));
  const credentials = flags.text("credential-spec");
  if (credentials !== undefined)
    container["Privileges"] = {
      ...(container["Privileges"] as Json | undefined), // an object in the API
      CredentialSpec: parseCredentialSpec(credentials),
    };
  setIf(
    container,
    "StopGracePeriod",
    mapped(flags.text("stop-grace-period"), parseDuration, "--stop-grace-period"),
  );
  setIf(
    container,
    "OomScoreAdj",
    mapped(flags.text("oom-score-adj"), (text, flag) => parseInteger(text, flag, -1000), "--oom-score-adj"),
  );
  const entrypoint = flags.text("entrypoint");
  if (entrypoint !== undefined) container["Command"] = splitCommand(entrypoint);
  for (const [key, name] of [
    ["Init", "init"],
    ["TTY", "tty"],
    ["ReadOnly", "read-only"],
  ] as const) {
    if (flags.has(name)) container[key] = true;
    if (flags.negated(name)) container[key] = false;
  }
}

/** References with ids; @throws {NotFoundError} naming what does not exist. */
export async function fileReferences(
  texts: readonly string[],
  kind: "secret" | "config",
  lookups: Lookups,
): Promise<Json[]> {
  if (texts.length === 0) return [];
  const references = texts.map((text) => parseFileReference(text, `--${kind}`));
  const targets = new Set<string>();
  for (const { target } of references) {
    if (targets.has(target))
      throw new AlreadyExistsError(`duplicate ${kind} target for ${target} not allowed`);
    targets.add(target);
  }
  const names = references.map(({ source }) => source);
  const ids = await (kind === "secret" ? lookups.secretIds(names) : lookups.configIds(names));
  return references.map((reference) => withId(reference, kind, ids.get(reference.source)));
}

function withId(reference: FileReference, kind: "secret" | "config", id: string | undefined): Json {
  if (id === undefined) throw new NotFoundError(`${kind} not found: ${reference.source}`);
  const file = { Name: reference.target, UID: reference.uid, GID: reference.gid, Mode: reference.mode };
  return kind === "secret"
    ? { File: file, SecretID: id, SecretName: reference.source }
    : { File: file, ConfigID: id, ConfigName: reference.source };
}

export async function environment(flags: FlagValues, lookups: Lookups): Promise<string[]> {
  const files = await Promise.all(flags.list("env-file").map((path) => lookups.readFile(path)));
  const lines = files
    .flatMap((text) => text.split(/\r?\n/))
    .filter((line) => line.trim() !== "" && !line.trimStart().startsWith("#"));
  return [...lines, ...flags.list("env")];
}

/** @throws {InvalidArgumentError} options for a driver that nobody named. */
export function logDriverOf(flags: FlagValues, before: Json | undefined): Json | undefined {
  const name = flags.text("log-driver");
  const options = keyValues(flags.list("log-opt"));
  if (name !== undefined) return { Name: name, Options: options };
  if (Object.keys(options).length === 0) return before;
  if (before === undefined) throw new InvalidArgumentError("--log-opt needs --log-driver");
  // a map in the API
  return { ...before, Options: { ...(before["Options"] as object | undefined), ...options } };
}

export function preferenceOf(text: string): Json {
  const descriptor = /^spread=(.+)$/.exec(text)?.[1];
  if (descriptor === undefined)
    throw new InvalidArgumentError(`--placement-pref must be spread=LABEL, got ${JSON.stringify(text)}`);
  return { Spread: { SpreadDescriptor: descriptor } };
}

const orAbsent = <T extends object>(value: T): T | undefined =>
  (Array.isArray(value) ? value : Object.keys(value)).length > 0 ? value : undefined;

/** The body of POST /services/create. */
export async function createSpec(
  image: string,
  args: readonly string[],
  flags: FlagValues,
  lookups: Lookups,
): Promise<Json> {
  const container: Json = given({
    Image: image,
    Args: orAbsent([...args]),
    Labels: orAbsent(keyValues(flags.list("container-label"))),
    Env: orAbsent(await environment(flags, lookups)),
    Groups: orAbsent([...flags.list("group")]),
    Hosts: orAbsent(flags.list("host").map((text) => parseHost(text))),
    Mounts: orAbsent(flags.list("mount").map((text) => parseMount(text))),
    Secrets: orAbsent(await fileReferences(flags.list("secret"), "secret", lookups)),
    Configs: orAbsent(await fileReferences(flags.list("config"), "config", lookups)),
    Sysctls: orAbsent(keyValues(flags.list("sysctl"))),
    CapabilityAdd: orAbsent(flags.list("cap-add").map(capability)),
    CapabilityDrop: orAbsent(flags.list("cap-drop").map(capability)),
    Ulimits: orAbsent(flags.list("ulimit").map((text) => parseUlimit(text))),
    DNSConfig: orAbsent(
      given({
        Nameservers: orAbsent([...flags.list("dns")]),
        Search: orAbsent([...flags.list("dns-search")]),
        Options: orAbsent([...flags.list("dns-option")]),
      }),
    ),
    Healthcheck: healthOf(flags, undefined),
  });
  setContainerFields(container, flags);
  const maxReplicas = mapped(flags.text("replicas-max-per-node"), parseInteger, "--replicas-max-per-node");
  return given({
    Name: flags.text("name"),
    Labels: keyValues(flags.list("label")),
    TaskTemplate: given({
      ContainerSpec: container,
      Resources: orAbsent(resourcesOf(flags)),
      RestartPolicy: restartOf(flags, undefined),
      Placement: orAbsent(
        given({
          Constraints: orAbsent([...flags.list("constraint")]),
          Preferences: orAbsent(flags.list("placement-pref").map(preferenceOf)),
          MaxReplicas: maxReplicas,
        }),
      ),
      Networks: orAbsent(flags.list("network").map((text) => parseNetwork(text))),
      LogDriver: logDriverOf(flags, undefined),
    }),
    Mode: modeOf(flags),
    UpdateConfig: updateConfigOf(flags, "update", undefined),
    RollbackConfig: updateConfigOf(flags, "rollback", undefined),
    EndpointSpec: given({
      Mode: flags.text("endpoint-mode"),
      Balance: flags.text("balance"),
      IdleTimeout: mapped(flags.text("idle-timeout"), parseDuration, "--idle-timeout"),
      Ports: orAbsent(flags.list("publish").flatMap((text) => parsePublish(text))),
    }),
  });
}
