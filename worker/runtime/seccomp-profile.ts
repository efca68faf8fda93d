/**
 * A custom seccomp profile in Docker's JSON, turned into the OCI form.
 * Rules that ask for capabilities or instruction sets are decided here.
 * Pure. Unknown keys are refused by name, so that no rule is dropped in silence.
 * Source: Docker's seccomp documentation.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { OciSeccomp } from "./oci-types.js";
import type { SeccompArch } from "./seccomp-bpf.js";

type Fields = Readonly<Record<string, unknown>>;

const PROFILE_KEYS = ["defaultAction", "defaultErrnoRet", "architectures", "archMap", "syscalls"];
const RULE_KEYS = ["name", "names", "action", "errnoRet", "args", "comment", "includes", "excludes"];
const FILTER_KEYS = ["caps", "arches", "minKernel"];
const DOCKER_ARCH: Readonly<Record<SeccompArch, readonly string[]>> = {
  x86_64: ["amd64", "x32"],
  i386: ["x86"],
  aarch64: ["arm64"],
};

/** @throws {InvalidArgumentError} naming the wrong key or value. */
export function profileToOci(
  profile: unknown,
  host: { readonly capabilities: readonly string[]; readonly arches: readonly SeccompArch[] },
): OciSeccomp {
  const fields = object(profile, "profile", PROFILE_KEYS);
  const architectures = [
    ...strings(fields["architectures"], "architectures"),
    ...mappedArches(fields["archMap"], host.arches),
  ];
  const syscalls = list(fields["syscalls"], "syscalls").flatMap((rule) => ruleToOci(rule, host));
  return {
    defaultAction: text(fields["defaultAction"], "defaultAction"),
    ...(fields["defaultErrnoRet"] === undefined
      ? {}
      : { defaultErrnoRet: integer(fields["defaultErrnoRet"], "defaultErrnoRet") }),
    ...(architectures.length > 0 ? { architectures } : {}),
    syscalls,
  };
}

function ruleToOci(value: unknown, host: Parameters<typeof profileToOci>[1]): OciSeccomp["syscalls"] {
  const rule = object(value, "syscalls[]", RULE_KEYS);
  if (!applies(rule["includes"], host, true) || !applies(rule["excludes"], host, false)) return [];
  const single = rule["name"] === undefined || rule["name"] === "" ? [] : [text(rule["name"], "name")];
  const args = list(rule["args"], "args").map((arg) => {
    const test = object(arg, "args[]", ["index", "value", "valueTwo", "op"]);
    return {
      index: integer(test["index"], "index"),
      value: integer(test["value"], "value"),
      ...(test["valueTwo"] === undefined ? {} : { valueTwo: integer(test["valueTwo"], "valueTwo") }),
      op: text(test["op"], "op"),
    };
  });
  return [
    {
      names: [...single, ...strings(rule["names"], "names")],
      action: text(rule["action"], "action"),
      ...(rule["errnoRet"] === undefined ? {} : { errnoRet: integer(rule["errnoRet"], "errnoRet") }),
      ...(args.length > 0 ? { args } : {}),
    },
  ];
}

/** Included: every capability named is held and an instruction set matches. Excluded: none does. */
function applies(value: unknown, host: Parameters<typeof profileToOci>[1], including: boolean): boolean {
  // null is Go's empty struct pointer in generated profiles
  if (value === undefined || value === null) return true;
  const filter = object(value, including ? "includes" : "excludes", FILTER_KEYS);
  const caps = strings(filter["caps"], "caps");
  const arches = strings(filter["arches"], "arches");
  const names = host.arches.flatMap((arch) => DOCKER_ARCH[arch]);
  if (including) {
    // minKernel: every kernel we run on (5.4 and later) is above those that published profiles ask for (4.8).
    return (
      caps.every((cap) => host.capabilities.includes(cap)) &&
      (arches.length === 0 || arches.some((arch) => names.includes(arch)))
    );
  }
  return (
    !caps.some((cap) => host.capabilities.includes(cap)) &&
    !arches.some((arch) => names.includes(arch)) &&
    filter["minKernel"] === undefined
  );
}

function mappedArches(value: unknown, arches: readonly SeccompArch[]): string[] {
  const native: Readonly<Record<string, boolean>> = {
    SCMP_ARCH_X86_64: arches.includes("x86_64"),
    SCMP_ARCH_AARCH64: arches.includes("aarch64"),
  };
  return list(value, "archMap").flatMap((entry) => {
    const map = object(entry, "archMap[]", ["architecture", "subArchitectures"]);
    const name = text(map["architecture"], "architecture");
    return native[name] === true ? [name, ...strings(map["subArchitectures"], "subArchitectures")] : [];
  });
}

function object(value: unknown, what: string, keys: readonly string[]): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidArgumentError(`seccomp ${what} must be an object`);
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined)
    throw new InvalidArgumentError(`seccomp ${what} has the unknown key ${JSON.stringify(unknown)}`);
  return value as Fields; // just checked: an object that is no array
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return []; // null is how Go writes an empty list
  if (!Array.isArray(value)) throw new InvalidArgumentError(`seccomp ${what} must be a list`);
  return value;
}

function strings(value: unknown, what: string): string[] {
  return list(value, what).map((item) => text(item, what));
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string")
    throw new InvalidArgumentError(`seccomp ${what} must be text, got ${JSON.stringify(value)}`);
  return value;
}

function integer(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError(
      `seccomp ${what} must be an integer of at least 0, got ${JSON.stringify(value)}`,
    );
  }
  return value;
}
