/**
 * Docker's bind strings, "source:target:modes", and the modes of VolumesFrom. Pure.
 * Refused is what dockerd refuses, in its words.
 */
import { posix } from "node:path";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerMount } from "../../proto/engine/containers.js";

export const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
const GROUPS: readonly (readonly string[])[] = [
  ["ro", "rw"],
  ["z", "Z"],
  PROPAGATIONS,
  ["nocopy"],
  ["consistent", "cached", "delegated"],
  ["rro"],
];

/** Each word known, and one of each kind at most. "" is no mode. */
export function isMountMode(text: string): boolean {
  if (text === "") return false;
  const words = text.split(",");
  if (new Set(words).size !== words.length) return false;
  return (
    words.every((word) => GROUPS.some((group) => group.includes(word))) &&
    GROUPS.every((group) => words.filter((word) => group.includes(word)).length <= 1)
  );
}

/** @throws {InvalidArgumentError} "invalid mode: x" */
export function checkMode(mode: string): void {
  if (!isMountMode(mode)) throw new InvalidArgumentError(`invalid mode: ${mode}`);
}

interface Parts {
  readonly source: string;
  readonly target: string;
  readonly mode: string;
}

function partsOf(bind: string): Parts {
  const parts = bind.split(":");
  const [first = "", second = "", third = ""] = parts;
  if (parts.length > 3 || parts[0] === "")
    throw new InvalidArgumentError(`invalid volume specification: '${bind}'`);
  if (parts.length === 3) return { source: first, target: second, mode: third };
  if (parts.length === 1) return { source: "", target: first, mode: "" };
  if (isMountMode(second)) return { source: "", target: first, mode: second };
  return { source: first, target: second, mode: "" };
}

/** Of a bind as inspect shows it: the mode as it was written, by target. */
export function modesOfBinds(binds: readonly string[]): ReadonlyMap<string, string> {
  return new Map(binds.map(partsOf).map(({ target, mode }) => [posix.normalize(target), mode]));
}

/** @throws {InvalidArgumentError} in dockerd's words, naming the string. */
export function bindIn(bind: string, volumeDriver: string): ContainerMount {
  const { source, target, mode } = partsOf(bind);
  if (mode !== "") checkMode(mode);
  const words = mode.split(",");
  const isBind = source.startsWith("/");
  const refuse = (why: string): never => {
    const kind = isBind ? "bind" : "volume";
    throw new InvalidArgumentError(
      `invalid volume specification: '${bind}': invalid mount config for type "${kind}": ${why}`,
    );
  };
  if (target === "") refuse("field Target must not be empty");
  if (!target.startsWith("/")) refuse(`invalid mount path: '${target}' mount path must be absolute`);
  if (posix.normalize(target) === "/") refuse("invalid specification: destination can't be '/'");
  const recursively = words.includes("rro");
  const readOnly = words.includes("ro") || recursively;
  const propagation = words.find((word) => PROPAGATIONS.includes(word)) ?? "";
  const noCopy = words.includes("nocopy");
  if (isBind) {
    if (noCopy) refuse("field VolumeOptions must not be specified");
    return {
      kind: "bind",
      source: posix.normalize(source),
      target: cleanTarget(target),
      readOnly,
      propagation,
      recursive: true,
      createSource: true,
      ...(recursively ? { readOnlyRecursive: "forced" } : {}),
    };
  }
  if (propagation !== "" || recursively) refuse("field BindOptions must not be specified");
  return {
    kind: "volume",
    name: source,
    target: cleanTarget(target),
    readOnly,
    noCopy,
    subpath: "",
    driver: source === "" ? "" : volumeDriver,
    driverOptions: {},
    labels: {},
  };
}

/** "/a/../b/" as "/b". */
export function cleanTarget(target: string): string {
  const clean = posix.normalize(target);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}
