/**
 * Plain data as a flat list of paths and short texts.
 * Pure. Invariant: what is absent, empty, zero or false has no line; two values with different lines differ.
 */
import { formatBytes } from "../../scheduler/room-filters.js";

export type Fields = Readonly<Record<string, unknown>>;

export interface FieldSink {
  readonly fields: Map<string, string>;
  /** Words for values that our contract spells in capitals. */
  readonly texts: Readonly<Record<string, string>>;
}

export function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {}; // any object is fields by name
}

/** @param path "": the top. */
export function flatten(value: unknown, path: string, sink: FieldSink): void {
  if (value instanceof Uint8Array) {
    if (value.length > 0) sink.fields.set(path, `${value.length} bytes`);
    return;
  }
  if (Array.isArray(value)) {
    const texts = value.map((item) => itemText(item, sink)).filter((text) => text !== "");
    if (texts.length > 0) sink.fields.set(path, texts.join(", "));
    return;
  }
  if (typeof value === "object" && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      const own = ownWord(name, path);
      flatten(inner, path === "" ? own : `${path}.${own}`, sink);
    }
    return;
  }
  const text = scalarText(value, path, sink);
  if (text !== "") sink.fields.set(withoutUnit(path), text);
}

/** Names of settings in the file's spelling; names that users chose (labels, options) as they are. */
function ownWord(name: string, path: string): string {
  return /(^|\.)(labels|driver_opts|options|sysctls|annotations|storage_opts|ports)$/.test(path)
    ? name
    : snakeCase(name);
}

function itemText(item: unknown, sink: FieldSink): string {
  if (typeof item !== "object" || item === null) return scalarText(item, "", sink);
  const inner: FieldSink = { fields: new Map(), texts: sink.texts };
  flatten(item, "", inner);
  return [...inner.fields].map(([path, text]) => `${path} ${text}`).join(" ");
}

function scalarText(value: unknown, path: string, { texts }: FieldSink): string {
  switch (typeof value) {
    case "string":
      return Object.hasOwn(texts, value) ? (texts[value] ?? "") : value;
    case "boolean":
      return value ? "true" : path.endsWith("init") ? "false" : "";
    case "number":
      if (value === 0) return "";
      if (path.endsWith("_ms")) return durationText(value);
      if (path.endsWith("_bytes") && value > 0) return formatBytes(value);
      return path.endsWith("nano_cpus") ? String(value / 1e9) : String(value);
    default:
      return "";
  }
}

/** "stop_grace_period" for "stop_grace_period_ms": the value has its unit. */
function withoutUnit(path: string): string {
  return path
    .replace(/_ms$/, "")
    .replace(/_bytes$/, "")
    .replace(/nano_cpus$/, "cpus");
}

export function durationText(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}

export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
