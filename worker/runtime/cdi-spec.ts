/**
 * Container Device Interface: a specification's text made into edits of a container's configuration. Pure.
 * Unknown keys of the format's newer versions are left alone unless they would change the container: those
 * are
 * refused by name.
 * Source: CDI specification 0.3 to 1.0 (cncf-tags/container-device-interface, SPEC.md).
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { OciHook, OciHookName } from "./oci-types.js";

export interface CdiDeviceNode {
  readonly path: string;
  /** @default path */
  readonly hostPath: string;
  /** c, b, p, u or "" for as the host has it. */
  readonly type: string;
  readonly major: number | undefined;
  readonly minor: number | undefined;
  readonly fileMode: number | undefined;
  readonly permissions: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

export interface CdiEdits {
  readonly env: readonly string[];
  readonly deviceNodes: readonly CdiDeviceNode[];
  readonly mounts: readonly {
    readonly hostPath: string;
    readonly containerPath: string;
    readonly options: readonly string[];
  }[];
  readonly hooks: readonly { readonly name: OciHookName; readonly hook: OciHook }[];
  readonly additionalGids: readonly number[];
}

export interface CdiSpec {
  /** vendor.com/class */
  readonly kind: string;
  /** For whatever device of the file. */
  readonly edits: CdiEdits;
  readonly devices: ReadonlyMap<string, CdiEdits>;
}

type Fields = Readonly<Record<string, unknown>>;

const VENDOR_CLASS = /^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]\/[A-Za-z][A-Za-z0-9_-]*$/;
const DEVICE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]*$/;
const HOOKS: readonly string[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] satisfies OciHookName[];
const NOT_HONOURED = ["intelRdt", "netDevices"];
const ENTRIES_MAX = 4_096;

/** @param value the parsed JSON or YAML. @throws {InvalidArgumentError} naming what is wrong with it. */
export function cdiSpec(value: unknown): CdiSpec {
  const fields = object(value, "specification");
  const kind = text(fields["kind"], "kind");
  if (!VENDOR_CLASS.test(kind)) throw new InvalidArgumentError(`CDI kind must be vendor/class, got ${kind}`);
  const devices = new Map<string, CdiEdits>();
  for (const item of list(fields["devices"], "devices")) {
    const device = object(item, "device");
    const name = text(device["name"], "device name");
    if (!DEVICE_NAME.test(name)) throw new InvalidArgumentError(`CDI device name is invalid: ${name}`);
    if (devices.has(name)) throw new InvalidArgumentError(`CDI device ${kind}=${name} is there twice`);
    devices.set(name, edits(device["containerEdits"]));
  }
  return { kind, edits: edits(fields["containerEdits"]), devices };
}

function edits(value: unknown): CdiEdits {
  const fields = value === undefined || value === null ? {} : object(value, "containerEdits");
  const refused = NOT_HONOURED.find((key) => key in fields);
  if (refused !== undefined) throw new InvalidArgumentError(`CDI containerEdits.${refused} is not supported`);
  return {
    env: list(fields["env"], "env").map((item) => text(item, "env")),
    deviceNodes: list(fields["deviceNodes"], "deviceNodes").map(deviceNode),
    mounts: list(fields["mounts"], "mounts").map((item) => {
      const mount = object(item, "mount");
      return {
        hostPath: absolute(mount["hostPath"], "mount hostPath"),
        containerPath: absolute(mount["containerPath"], "mount containerPath"),
        options: list(mount["options"], "mount options").map((option) => text(option, "mount option")),
      };
    }),
    hooks: list(fields["hooks"], "hooks").map(hook),
    additionalGids: list(fields["additionalGids"], "additionalGids").map((id) => integer(id, "gid") ?? 0),
  };
}

function deviceNode(value: unknown): CdiDeviceNode {
  const node = object(value, "device node");
  const path = absolute(node["path"], "device path");
  const type = optionalText(node["type"], "device type");
  if (!["", "c", "b", "u", "p"].includes(type))
    throw new InvalidArgumentError(`CDI device type must be b, c, u or p, got ${JSON.stringify(type)}`);
  const permissions = optionalText(node["permissions"], "device permissions");
  if (!/^[rwm]{0,3}$/.test(permissions))
    throw new InvalidArgumentError(`CDI device permissions must be of rwm, got ${permissions}`);
  return {
    path,
    hostPath: optionalText(node["hostPath"], "device hostPath") || path,
    type,
    major: integer(node["major"], "major"),
    minor: integer(node["minor"], "minor"),
    fileMode: integer(node["fileMode"], "fileMode"),
    permissions: permissions === "" ? "rwm" : permissions,
    uid: integer(node["uid"], "uid"),
    gid: integer(node["gid"], "gid"),
  };
}

function hook(value: unknown): CdiEdits["hooks"][number] {
  const fields = object(value, "hook");
  const name = text(fields["hookName"], "hookName");
  if (!isHookName(name)) throw new InvalidArgumentError(`CDI hook name is unknown: ${name}`);
  const args = list(fields["args"], "hook args").map((item) => text(item, "hook args"));
  const env = list(fields["env"], "hook env").map((item) => text(item, "hook env"));
  const timeout = integer(fields["timeout"], "hook timeout");
  return {
    name,
    hook: {
      path: absolute(fields["path"], "hook path"),
      ...(args.length > 0 ? { args } : {}),
      ...(env.length > 0 ? { env } : {}),
      ...(timeout === undefined ? {} : { timeout }),
    },
  };
}

function isHookName(name: string): name is OciHookName {
  return HOOKS.includes(name);
}

function object(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidArgumentError(`CDI ${what} must be an object`);
  return value as Fields; // just checked: an object that is no array
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > ENTRIES_MAX)
    throw new InvalidArgumentError(`CDI ${what} must be a list of at most ${ENTRIES_MAX}`);
  return value;
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "" || value.includes("\0"))
    throw new InvalidArgumentError(`CDI ${what} must be text`);
  return value;
}

function optionalText(value: unknown, what: string): string {
  return value === undefined || value === null || value === "" ? "" : text(value, what);
}

function absolute(value: unknown, what: string): string {
  const path = text(value, what);
  if (!path.startsWith("/")) throw new InvalidArgumentError(`CDI ${what} must be absolute, got ${path}`);
  return path;
}

function integer(value: unknown, what: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`CDI ${what} must be an integer of at least 0`);
  return value;
}
