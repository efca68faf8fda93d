/**
 * The configuration of the image that is being built, and what each instruction does to it; the builder and
 * `commit --change` share it. Pure.
 * Invariant: an instruction gives the same configuration and the same history line each time, for the cache
 * compares both. Source: Dockerfile reference; Docker's image config.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { cleanPath } from "../../../base/paths/clean-path.js";
import { signalNumber } from "../../containers/signals.js";
import { EMPTY_CONFIG, parseImageConfig, runConfigToJson } from "../image-config.js";
import type { ImageConfig, ImageRecord } from "../image-store.js";
import type { CommandLine, Instruction, Pair } from "./dockerfile-instructions.js";
import { goDurationText } from "./go-duration.js";
import { type Expansion, expandWord, expandWords } from "./shell-words.js";

export interface BuildConfig {
  readonly image: ImageConfig;
  readonly onBuild: readonly string[];
  readonly author: string;
  /** CMD stands in this stage, so ENTRYPOINT does not take it away. */
  readonly hasOwnCmd: boolean;
}

export type ConfigInstruction = Exclude<Instruction, { kind: "from" | "run" | "copy" | "arg" }>;

export const EMPTY_BUILD_CONFIG: BuildConfig = {
  image: EMPTY_CONFIG,
  onBuild: [],
  author: "",
  hasOwnCmd: false,
};

const DEFAULT_SHELL = ["/bin/sh", "-c"];
const PORTS_MAX = 65_535;

export function buildConfigOf(image: ImageRecord): BuildConfig {
  return { image: image.config, onBuild: image.onBuild ?? [], author: image.author, hasOwnCmd: false };
}

/** Out of Docker's keys. */
export function buildConfigIn(json: Readonly<Record<string, unknown>>): BuildConfig {
  const document = { os: "linux", rootfs: { diff_ids: [] }, config: json };
  const { config, onBuild } = parseImageConfig(Buffer.from(JSON.stringify(document)), "configuration");
  return { ...EMPTY_BUILD_CONFIG, image: config, onBuild: onBuild ?? [] };
}

export function buildConfigToJson(config: BuildConfig): Readonly<Record<string, unknown>> {
  const json = runConfigToJson(config.image);
  const check = json["Healthcheck"];
  return {
    ...json,
    ...(typeof check === "object" ? { Healthcheck: withoutZeros(check) } : {}),
    ...(config.onBuild.length === 0 ? {} : { OnBuild: config.onBuild }),
  };
}

function withoutZeros(object: object | null): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(object ?? {}).filter(([, value]) => value !== 0));
}

export function shellOf(config: BuildConfig): readonly string[] {
  return config.image.shell.length > 0 ? config.image.shell : DEFAULT_SHELL;
}

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A stage always has a PATH. */
export function withPath(config: BuildConfig): BuildConfig {
  const { image } = config;
  if (envValue(image.env, "PATH") !== undefined) return config;
  return { ...config, image: { ...image, env: [...image.env, DEFAULT_PATH] } };
}

/** Value of a variable of the image; undefined when it has none. */
export function envValue(env: readonly string[], name: string): string | undefined {
  const found = env.find((entry) => entry.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}

/** The words of a command; the shell's before its one word. */
export function commandWords(command: CommandLine, config: BuildConfig): readonly string[] {
  return command.shell ? [...shellOf(config), ...command.words] : command.words;
}

/** History line of a step without a command: the shell of then, a mark, the instruction. */
export function noteLine(config: BuildConfig, note: string): string {
  return `${shellOf(config).join(" ")} #(nop) ${note}`;
}

/**
 * @returns the new configuration, and the history line.
 * @throws {InvalidArgumentError} in Docker's words.
 */
export function applyToConfig(
  config: BuildConfig,
  instruction: ConfigInstruction,
  expansion: Expansion,
): { readonly config: BuildConfig; readonly createdBy: string } {
  const { image } = config;
  const done = (changed: Partial<ImageConfig>, note: string, more: Partial<BuildConfig> = {}) => {
    const next = { ...config, ...more, image: { ...image, ...changed } };
    return { config: next, createdBy: noteLine(next, note) };
  };
  const expand = (word: string): string => expandWord(word, expansion);
  switch (instruction.kind) {
    case "env": {
      const pairs = expandPairs(instruction.pairs, expand);
      return done({ env: withPairs(image.env, pairs) }, ` ENV ${shown(pairs)}`);
    }
    case "label": {
      const pairs = expandPairs(instruction.pairs, expand);
      const labels = { ...image.labels };
      for (const { name, value } of pairs) setOwn(labels, name, value);
      return done({ labels }, ` LABEL ${shown(pairs)}`);
    }
    case "maintainer":
      return done({}, ` MAINTAINER ${instruction.value}`, { author: instruction.value });
    case "user": {
      const user = expand(instruction.value);
      return done({ user }, ` USER ${user}`);
    }
    case "workdir": {
      const workingDir = workingDirOf(image.workingDir, expand(instruction.value));
      return done({ workingDir }, `WORKDIR ${workingDir}`);
    }
    case "stopsignal": {
      const stopSignal = expand(instruction.value);
      if (!isSignal(stopSignal)) throw new InvalidArgumentError(`Invalid signal: ${stopSignal}`);
      return done({ stopSignal }, ` STOPSIGNAL ${stopSignal}`);
    }
    case "expose": {
      const words = [...new Set(instruction.values.flatMap((word) => expandWords(word, expansion)))].sort();
      const exposedPorts = [...new Set([...image.exposedPorts, ...words.flatMap(portsOf)])].sort();
      return done({ exposedPorts }, ` EXPOSE ${words.join(" ")}`);
    }
    case "volume": {
      const volumes = instruction.values.map(expand);
      if (volumes.includes("")) throw new InvalidArgumentError("VOLUME specified can not be an empty string");
      const note = ` VOLUME [${volumes.join(" ")}]`;
      return done({ volumes: [...new Set([...image.volumes, ...volumes])].sort() }, note);
    }
    case "cmd": {
      const cmd = commandWords(instruction.command, config);
      return done({ cmd }, ` CMD ${quotedList(cmd)}`, { hasOwnCmd: true });
    }
    case "entrypoint": {
      const entrypoint = commandWords(instruction.command, config);
      const cmd = config.hasOwnCmd ? image.cmd : []; // the base's command was for the base's entrypoint
      return done({ entrypoint, cmd }, ` ENTRYPOINT ${quotedList(entrypoint)}`);
    }
    case "shell":
      return done({ shell: instruction.words }, ` SHELL [${instruction.words.join(" ")}]`);
    case "onbuild":
      return done({}, ` ONBUILD ${instruction.trigger}`, {
        onBuild: [...config.onBuild, instruction.trigger],
      });
    case "healthcheck": {
      const { kind: _kind, ...healthcheck } = instruction;
      const before = image.healthcheck;
      const times = [healthcheck.intervalMs, healthcheck.timeoutMs, healthcheck.startPeriodMs];
      if (healthcheck.startIntervalMs !== 0) times.push(healthcheck.startIntervalMs);
      const texts = times.map((ms) => JSON.stringify(goDurationText(ms))).join(" ");
      const note = `&{${quotedList(healthcheck.test)} ${texts} ${quotedNumber(healthcheck.retries)}}`;
      const kept = before === undefined ? healthcheck : overEarlier(healthcheck, before);
      return done({ healthcheck: kept }, ` HEALTHCHECK ${note}`);
    }
  }
}

type Healthcheck = NonNullable<ImageConfig["healthcheck"]>;

/** Numbers that are not given stay as they were, as when a container overrides its image. */
function overEarlier(check: Healthcheck, before: Healthcheck): Healthcheck {
  return {
    test: check.test,
    intervalMs: check.intervalMs || before.intervalMs,
    timeoutMs: check.timeoutMs || before.timeoutMs,
    startPeriodMs: check.startPeriodMs || before.startPeriodMs,
    startIntervalMs: check.startIntervalMs || before.startIntervalMs,
    retries: check.retries || before.retries,
  };
}

/** Docker's rule: relative to what was before. */
function workingDirOf(before: string, next: string): string {
  if (next === "") throw new InvalidArgumentError("cannot normalize nothing");
  if (next.startsWith("/")) return cleanPath(next);
  return cleanPath(`${before === "" ? "/" : before}/${next}`);
}

function expandPairs(pairs: readonly Pair[], expand: (word: string) => string): readonly Pair[] {
  return pairs.map(({ name, value }) => {
    const expanded = expand(name);
    if (expanded === "") throw new InvalidArgumentError("names can not be blank");
    return { name: expanded, value: expand(value) };
  });
}

function shown(pairs: readonly Pair[]): string {
  return pairs.map(({ name, value }) => `${name}=${value}`).join(" ");
}

/** A name that is there keeps its place. */
export function withPairs(env: readonly string[], pairs: readonly Pair[]): readonly string[] {
  const next = [...env];
  for (const { name, value } of pairs) {
    const at = next.findIndex((entry) => entry === name || entry.startsWith(`${name}=`));
    if (at < 0) next.push(`${name}=${value}`);
    else next[at] = `${name}=${value}`;
  }
  return next;
}

/** Also for a name like __proto__. */
function setOwn(record: Record<string, string>, name: string, value: string): void {
  Object.defineProperty(record, name, { value, enumerable: true, configurable: true, writable: true });
}

/** "80", "80/udp", "90-92", "127.0.0.1:80:81": the container's side. */
function portsOf(word: string): readonly string[] {
  const slash = word.lastIndexOf("/");
  const protocol = (slash < 0 ? "tcp" : word.slice(slash + 1)).toLowerCase();
  const container = (slash < 0 ? word : word.slice(0, slash)).split(":").at(-1) ?? "";
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp")
    throw new InvalidArgumentError(`Invalid proto: ${protocol}`);
  if (container === "") throw new InvalidArgumentError(`No port specified: ${word}<empty>`);
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(container);
  const first = Number(match?.[1] ?? Number.NaN);
  const last = Number(match?.[2] ?? first);
  if (match === null || first > last || last > PORTS_MAX)
    throw new InvalidArgumentError(`Invalid containerPort: ${container}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

function isSignal(text: string): boolean {
  try {
    return signalNumber(text) > 0;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return false;
    throw error;
  }
}

function quotedList(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(" ")}]`;
}

/** A number as Go quotes a character. */
function quotedNumber(value: number): string {
  if (value === 39 || value === 92) return `'\\${String.fromCharCode(value)}'`;
  const short: Readonly<Record<number, string>> = {
    7: "a",
    8: "b",
    9: "t",
    10: "n",
    11: "v",
    12: "f",
    13: "r",
  };
  const name = short[value];
  if (name !== undefined) return `'\\${name}'`;
  if (value >= 32 && value < 127) return `'${String.fromCharCode(value)}'`;
  return value < 128
    ? `'\\x${value.toString(16).padStart(2, "0")}'`
    : `'${String.fromCodePoint(value % 0x10ffff)}'`;
}
