/**
 * The normal form of a project as text: what `stack config` prints. Pure.
 * Keys stand in one order, durations and sizes in one spelling, short forms are long unless they say all.
 * What env_file and label_file said stands in `environment` and `labels`: those keys are gone.
 * Source: output of `docker stack config` 28.2, looked at.
 */
import { stringify } from "yaml";
import { parseBytes, parseDuration } from "../units.js";
import type { ComposeDoc } from "./model.js";
import { inOrder } from "./print-order.js";

export interface PrintOptions {
  /** @default "yaml" */
  readonly format?: "yaml" | "json";
  /** The project was read without interpolation: dollars are those of variables. @default false */
  readonly uninterpolated?: boolean;
}

type Raw = Readonly<Record<string, unknown>>;
type Change = (value: unknown) => unknown;

const isMap = (value: unknown): value is Raw =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const NS_PER: readonly (readonly [string, number])[] = [
  ["h", 3600e9],
  ["m", 60e9],
];

/** As Go prints a duration: "1m30s", "1h0m0s", "1.5s", "20ms". */
export function durationText(ns: number): string {
  if (ns === 0) return "0s";
  if (ns < 1e3) return `${ns}ns`;
  if (ns < 1e6) return `${ns / 1e3}µs`;
  if (ns < 1e9) return `${ns / 1e6}ms`;
  let rest = ns;
  let text = "";
  for (const [unit, size] of NS_PER) {
    const count = Math.floor(rest / size);
    if (count > 0 || text !== "") text += `${count}${unit}`;
    rest -= count * size;
  }
  return `${text}${rest / 1e9}s`;
}

/** Text with variables, or that is no duration, stays as it is. */
const duration: Change = (value) => {
  if (typeof value !== "string" || !/^(0|([\d.]+(ns|us|µs|ms|s|m|h))+)$/.test(value)) return value;
  return durationText(parseDuration(value, "duration"));
};

const bytes = (value: unknown): unknown =>
  typeof value === "number" || (typeof value === "string" && /^[\d.]+\s*[bkmgt]?i?b?$/i.test(value))
    ? parseBytes(String(value), "size")
    : value;
/** Docker prints them as text. */
const bytesText: Change = (value) => {
  const size = bytes(value);
  return typeof size === "number" ? String(size) : size;
};
const text: Change = (value) => (typeof value === "number" ? String(value) : value);
const gone: Change = () => undefined;

const ORDINARY = JSON.stringify({ condition: "service_started" });

/** A list when every one is only to be started before. */
const dependencies: Change = (value) => {
  if (!isMap(value)) return value;
  const plain = Object.values(value).every((each) => {
    const { required, ...rest } = each as Raw; // entries are maps
    return required !== false && JSON.stringify(rest) === ORDINARY;
  });
  return plain ? Object.keys(value) : value;
};

const device: Change = (value) => {
  if (!isMap(value)) return value;
  const { source, target, permissions, ...rest } = value;
  if (Object.keys(rest).length > 0) return value;
  const parts = permissions === undefined ? [source, target] : [source, target ?? source, permissions];
  return parts.filter((part) => part !== undefined).join(":");
};

const emptyIsNull: Change = (value) => (isMap(value) && Object.keys(value).length === 0 ? null : value);

const UPDATE = ["update_config", "rollback_config"].flatMap((key): [string, Change][] => [
  [`services.*.deploy.${key}.delay`, duration],
  [`services.*.deploy.${key}.monitor`, duration],
]);
const LIMITS = ["limits", "reservations"].flatMap((key): [string, Change][] => [
  [`services.*.deploy.resources.${key}.memory`, bytesText],
  [`services.*.deploy.resources.${key}.cpus`, text],
]);
const HEALTH = ["interval", "timeout", "start_period", "start_interval"].map((key): [string, Change] => [
  `services.*.healthcheck.${key}`,
  duration,
]);

const CHANGES: ReadonlyMap<string, Change> = new Map<string, Change>([
  ...UPDATE,
  ...LIMITS,
  ...HEALTH,
  ["services.*.deploy.restart_policy.delay", duration],
  ["services.*.deploy.restart_policy.window", duration],
  ["services.*.stop_grace_period", duration],
  ["services.*.mem_limit", bytesText],
  ["services.*.mem_reservation", bytesText],
  ["services.*.memswap_limit", bytesText],
  ["services.*.volumes[].tmpfs.size", bytes],
  ["services.*.networks.*", emptyIsNull],
  ["services.*.depends_on", dependencies],
  ["services.*.devices[]", device],
  ["services.*.env_file", gone],
  ["services.*.label_file", gone],
]);
/** Files that were not read keep their names. */
const READ = ["services.*.env_file", "services.*.label_file"];

/** Keys below these are names that the file gives. */
const NAMES = new Set([
  ...["services", "networks", "volumes", "secrets", "configs", "models"],
  ...["services.*.networks", "services.*.depends_on", "services.*.ulimits", "services.*.models"],
  "services.*.build.ulimits",
]);

function ordered(value: unknown, path: string, interpolated: boolean): unknown {
  const change = interpolated || !READ.includes(path) ? CHANGES.get(path) : undefined;
  const changed = change === undefined ? value : change(value);
  if (typeof changed === "string") return interpolated ? changed.replaceAll("$", "$$$$") : changed;
  if (Array.isArray(changed)) return changed.map((item) => ordered(item, `${path}[]`, interpolated));
  if (!isMap(changed)) return changed;
  const below = (key: string): string => {
    const part = NAMES.has(path) ? "*" : key;
    return path === "" ? part : `${path}.${part}`;
  };
  return Object.fromEntries(
    inOrder(path, Object.keys(changed)).flatMap((key): [string, unknown][] => {
      const inner = ordered(changed[key], below(key), interpolated);
      return inner === undefined ? [] : [[key, inner]];
    }),
  );
}

const SECTIONS = ["networks", "volumes", "secrets", "configs", "models"];

/** The normal form as plain values. Dollars stand twice, so that what is printed can be read again. */
export function normalForm(project: ComposeDoc, options: PrintOptions = {}): Raw {
  const value = ordered(project, "", options.uninterpolated !== true) as Raw; // a map stays one
  const isEmpty = (section: unknown): boolean => isMap(section) && Object.keys(section).length === 0;
  return Object.fromEntries(
    Object.entries(value).filter(([key, section]) => !SECTIONS.includes(key) || !isEmpty(section)),
  );
}

/** YAML that readers of YAML 1.1 and 1.2 take alike, or JSON; ends with a line's end. */
export function projectText(project: ComposeDoc, options: PrintOptions = {}): string {
  const value = normalForm(project, options);
  if (options.format === "json") return `${JSON.stringify(value, undefined, 2)}\n`;
  return stringify(value, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false });
}
