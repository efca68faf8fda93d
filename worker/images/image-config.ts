/**
 * The config blob of an image: parsing into what runs a container, and writing for images we make.
 * Pure. Source: OCI image-spec 1.1 config.md; Docker's Healthcheck, Shell and OnBuild extensions (durations
 * in ns).
 */
import { DataLossError, InvalidArgumentError } from "../../base/errors/errors.js";
import { asObject, type JsonObject, parseJsonObject } from "./image-manifest.js";
import { isDigest } from "./image-reference.js";
import type { ImageConfig } from "./image-store.js";

export interface ParsedConfig {
  readonly config: ImageConfig;
  readonly diffIds: readonly string[];
  readonly createdMs: number;
  readonly architecture: string;
  readonly os: string;
  readonly author: string;
  /** Its own, else the newest line's of the history. */
  readonly comment: string;
  readonly variant?: string;
  readonly onBuild?: readonly string[];
}

const NS_PER_MS = 1_000_000;

export const EMPTY_CONFIG: ImageConfig = {
  user: "",
  env: [],
  entrypoint: [],
  cmd: [],
  workingDir: "",
  labels: {},
  exposedPorts: [],
  volumes: [],
  stopSignal: "",
  shell: [],
  healthcheck: undefined,
};

/** @throws {DataLossError} malformed; {InvalidArgumentError} not for Linux. */
export function parseImageConfig(bytes: Uint8Array, what: string): ParsedConfig {
  const json = parseJsonObject(bytes, what);
  const rootfs = asObject(json["rootfs"]);
  const diffIds = stringsOf(rootfs?.["diff_ids"]);
  if (rootfs === undefined || !diffIds.every(isDigest))
    throw new DataLossError(`${what} has no valid rootfs.diff_ids`);
  const os = textOf(json["os"]) || "linux";
  if (os !== "linux") throw new InvalidArgumentError(`${what} is for ${os}; only linux images run here`);
  const createdMs = Date.parse(textOf(json["created"]));
  const config = asObject(json["config"]) ?? {};
  const history = Array.isArray(json["history"]) ? json["history"] : [];
  const variant = textOf(json["variant"]);
  const onBuild = stringsOf(config["OnBuild"]);
  return {
    config: parseRunConfig(config),
    diffIds,
    createdMs: Number.isFinite(createdMs) ? createdMs : 0,
    architecture: textOf(json["architecture"]),
    os,
    author: textOf(json["author"]),
    comment: textOf(json["comment"]) || textOf(asObject(history.at(-1))?.["comment"]),
    ...(variant === "" ? {} : { variant }),
    ...(onBuild.length === 0 ? {} : { onBuild }),
  };
}

/** Docker's JSON form of a run config, for images made here. Absent members are left out. */
export function runConfigToJson(config: ImageConfig): JsonObject {
  const emptySet = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, {}]));
  const check = config.healthcheck;
  return {
    ...(config.user === "" ? {} : { User: config.user }),
    ...(config.exposedPorts.length === 0 ? {} : { ExposedPorts: emptySet(config.exposedPorts) }),
    Env: config.env,
    ...(config.entrypoint.length === 0 ? {} : { Entrypoint: config.entrypoint }),
    ...(config.cmd.length === 0 ? {} : { Cmd: config.cmd }),
    ...(config.volumes.length === 0 ? {} : { Volumes: emptySet(config.volumes) }),
    ...(config.workingDir === "" ? {} : { WorkingDir: config.workingDir }),
    ...(Object.keys(config.labels).length === 0 ? {} : { Labels: config.labels }),
    ...(config.stopSignal === "" ? {} : { StopSignal: config.stopSignal }),
    ...(config.shell.length === 0 ? {} : { Shell: config.shell }),
    ...(check === undefined
      ? {}
      : {
          Healthcheck: {
            Test: check.test,
            Interval: check.intervalMs * NS_PER_MS,
            Timeout: check.timeoutMs * NS_PER_MS,
            StartPeriod: check.startPeriodMs * NS_PER_MS,
            StartInterval: check.startIntervalMs * NS_PER_MS,
            Retries: check.retries,
          },
        }),
  };
}

function parseRunConfig(json: JsonObject): ImageConfig {
  const labels = Object.entries(asObject(json["Labels"]) ?? {}).map(
    ([key, value]) => [key, textOf(value)] as const,
  );
  return {
    user: textOf(json["User"]),
    env: stringsOf(json["Env"]),
    entrypoint: stringsOf(json["Entrypoint"]),
    cmd: stringsOf(json["Cmd"]),
    workingDir: textOf(json["WorkingDir"]),
    labels: Object.fromEntries(labels),
    exposedPorts: Object.keys(asObject(json["ExposedPorts"]) ?? {}).sort(),
    volumes: Object.keys(asObject(json["Volumes"]) ?? {}).sort(),
    stopSignal: textOf(json["StopSignal"]),
    shell: stringsOf(json["Shell"]),
    healthcheck: parseHealthcheck(asObject(json["Healthcheck"])),
  };
}

function parseHealthcheck(json: JsonObject | undefined): ImageConfig["healthcheck"] {
  if (json === undefined) return undefined;
  const ms = (key: string): number => (typeof json[key] === "number" ? json[key] / NS_PER_MS : 0);
  const test = stringsOf(json["Test"]);
  if (test.length === 0) return undefined;
  return {
    test,
    intervalMs: ms("Interval"),
    timeoutMs: ms("Timeout"),
    startPeriodMs: ms("StartPeriod"),
    startIntervalMs: ms("StartInterval"),
    retries: typeof json["Retries"] === "number" ? json["Retries"] : 0,
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}
