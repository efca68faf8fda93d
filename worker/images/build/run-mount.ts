/**
 * The value of RUN --mount: type=cache, bind, tmpfs, secret. Pure.
 * Source: Dockerfile reference, "RUN --mount".
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";

export interface RunMount {
  readonly type: "bind" | "cache" | "tmpfs" | "secret";
  readonly target: string;
  /** bind: path in the stage, image or context. */
  readonly source: string;
  readonly from: string;
  readonly readOnly: boolean;
  /** cache: what is shared between builds; its target unless told. */
  readonly id: string;
  readonly sharing: "shared" | "private" | "locked";
  readonly required: boolean;
  readonly mode: number | undefined;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** @throws {InvalidArgumentError} naming what is wrong, or not supported. */
export function readRunMount(text: string): RunMount {
  const fields = new Map<string, string>();
  for (const part of text.split(",")) {
    const equals = part.indexOf("=");
    const key = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    fields.set(ALIASES[key] ?? key, equals < 0 ? "true" : part.slice(equals + 1));
  }
  const take = (key: string): string => {
    const value = fields.get(key) ?? "";
    fields.delete(key);
    return value;
  };
  const number = (key: string, base: 8 | 10): number | undefined => {
    const value = take(key);
    if (value === "") return undefined;
    if (!(base === 8 ? /^[0-7]{1,5}$/ : /^\d{1,10}$/).test(value))
      refuse(`invalid value for ${key}: ${value}`);
    return Number.parseInt(value, base);
  };
  const bool = (key: string): boolean | undefined => {
    if (!fields.has(key)) return undefined;
    const value = take(key);
    if (value !== "true" && value !== "false") refuse(`invalid value for ${key}: ${value}`);
    return value === "true";
  };
  const type = take("type") || "bind";
  if (type !== "bind" && type !== "cache" && type !== "tmpfs" && type !== "secret")
    refuse(`RUN --mount=type=${type} is not supported by Skein: use bind, cache, tmpfs or secret`);
  const readOnly = bool("readonly");
  const readWrite = bool("readwrite");
  const target = take("target");
  const sharing = take("sharing") || "shared";
  if (sharing !== "shared" && sharing !== "private" && sharing !== "locked")
    refuse(`unsupported sharing value ${JSON.stringify(sharing)}`);
  if (target === "" && type !== "secret") refuse("mount target is required");
  const size = /^(\d{1,12})([bkmgt]?)b?$/i.exec(take("size") || "0");
  if (size === null) refuse("invalid size of a mount");
  const mount: RunMount = {
    type,
    target,
    source: take("source"),
    from: take("from"),
    readOnly: readOnly ?? (type === "bind" ? readWrite !== true : false),
    id: take("id") || target,
    sharing,
    required: bool("required") ?? false,
    mode: number("mode", 8),
    uid: number("uid", 10) ?? 0,
    gid: number("gid", 10) ?? 0,
    sizeBytes: Number(size[1]) * (UNITS[(size[2] ?? "").toLowerCase()] ?? 1),
  };
  take("env");
  const [other] = fields.keys();
  if (other !== undefined) refuse(`unexpected key '${other}' in '${text}'`);
  return mount;
}

const ALIASES: Readonly<Record<string, string>> = {
  dst: "target",
  destination: "target",
  src: "source",
  ro: "readonly",
  rw: "readwrite",
};

function refuse(words: string): never {
  throw new InvalidArgumentError(words);
}
