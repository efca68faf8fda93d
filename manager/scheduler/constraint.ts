/**
 * Placement constraints: "node.labels.zone == east". Keys and values compare without regard to case,
 * as in Docker.
 * Pure. An unknown key or operator is refused when the service is made,
 * so that it can never silently match nothing.
 *
 *   node.id  node.hostname  node.ip  node.role  node.platform.os  node.platform.arch  node.labels.KEY
 *   engine.labels.KEY
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { cidrContains, parseAddress, parseCidr } from "../../net-overlay/ipam/cidr.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeRole, type Placement } from "../../proto/gen/skein/v1/types.js";

export interface Constraint {
  /** As the user wrote it. */
  readonly text: string;
  readonly key: string;
  readonly operator: "==" | "!=";
  readonly value: string;
}

const FIXED_KEYS = [
  "node.id",
  "node.hostname",
  "node.ip",
  "node.role",
  "node.platform.os",
  "node.platform.arch",
] as const;
const LABEL_PREFIXES = ["node.labels.", "engine.labels."] as const;
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  aarch64: "arm64",
  armv7l: "arm",
  i386: "386",
  i686: "386",
};

/** @returns Docker's name of an architecture: "amd64" for "x86_64". */
export function normalArchitecture(name: string): string {
  const lower = name.toLowerCase();
  return ARCHITECTURES[lower] ?? lower;
}

/** @throws {InvalidArgumentError} naming the expression and the rule it breaks. */
export function parseConstraint(text: string): Constraint {
  const match = /^\s*([^=!\s]+)\s*(==|!=)\s*(.*?)\s*$/.exec(text);
  if (match === null) {
    throw new InvalidArgumentError(`constraint "${text}" must be KEY == VALUE or KEY != VALUE`);
  }
  const [, key = "", operator, value = ""] = match;
  if (!/^[a-z_][a-z0-9\-_./]*$/i.test(key)) {
    throw new InvalidArgumentError(`constraint "${text}": the key "${key}" has characters that no key has`);
  }
  if (value === "" || !/^[a-z0-9:\-_\s.*()?+[\]\\^$|/@]+$/i.test(value)) {
    throw new InvalidArgumentError(
      `constraint "${text}": the value "${value}" is empty or has forbidden characters`,
    );
  }
  const lower = key.toLowerCase();
  const labelled = LABEL_PREFIXES.some((prefix) => lower.startsWith(prefix) && lower.length > prefix.length);
  if (!labelled && !FIXED_KEYS.some((fixed) => fixed === lower)) {
    throw new InvalidArgumentError(
      `constraint "${text}": unknown key "${key}"; known are ${FIXED_KEYS.join(", ")}, ` +
        "node.labels.KEY and engine.labels.KEY",
    );
  }
  if (lower === "node.role" && !/^(manager|worker)$/i.test(value)) {
    throw new InvalidArgumentError(`constraint "${text}": a role is manager or worker`);
  }
  return { text, key, operator: operator === "!=" ? "!=" : "==", value };
}

/** @throws {InvalidArgumentError} at the first bad expression. */
export function parseConstraints(texts: readonly string[]): readonly Constraint[] {
  return texts.map(parseConstraint);
}

const parsedOf = new WeakMap<Placement, readonly Constraint[] | string>();

/** Parsed once per placement. @returns the message of the error when an expression is bad. */
export function constraintsOf(placement: Placement): readonly Constraint[] | string {
  let parsed = parsedOf.get(placement);
  if (parsed === undefined) {
    try {
      parsed = parseConstraints(placement.constraints);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      parsed = error.message;
    }
    parsedOf.set(placement, parsed);
  }
  return parsed;
}

export function matchesConstraint(node: Node, constraint: Constraint): boolean {
  return valueMatches(node, constraint) === (constraint.operator === "==");
}

/** True when every constraint holds; a placement with a bad expression fits no node. */
export function satisfiesPlacement(node: Node, placement: Placement | undefined): boolean {
  if (placement === undefined || placement.constraints.length === 0) return true;
  const constraints = constraintsOf(placement);
  return (
    typeof constraints !== "string" && constraints.every((constraint) => matchesConstraint(node, constraint))
  );
}

function valueMatches(node: Node, constraint: Constraint): boolean {
  const key = constraint.key.toLowerCase();
  const wanted = constraint.value.toLowerCase();
  if (key === "node.ip") return addressMatches(node.status?.address ?? "", wanted);
  if (key === "node.platform.arch") {
    return normalArchitecture(node.description?.platform?.architecture ?? "") === normalArchitecture(wanted);
  }
  return attributeOf(node, constraint.key)?.toLowerCase() === wanted;
}

function addressMatches(address: string, wanted: string): boolean {
  if (address === "") return false;
  try {
    return wanted.includes("/")
      ? cidrContains(parseCidr(wanted), parseAddress(address))
      : parseAddress(wanted).value === parseAddress(address).value;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return false; // neither an address nor a subnet: equal to none
    throw error;
  }
}

/**
 * @param path one of the keys above; also what spread preferences name. Label keys are exact,
 * the rest ignores case.
 * @returns undefined when the node has no such label or has not told yet.
 */
export function attributeOf(node: Node, path: string): string | undefined {
  const lower = path.toLowerCase();
  if (lower.startsWith("node.labels."))
    return labelOf(node.spec?.annotations?.labels, path.slice("node.labels.".length));
  if (lower.startsWith("engine.labels.")) {
    return labelOf(node.description?.engineLabels, path.slice("engine.labels.".length));
  }
  switch (lower) {
    case "node.id":
      return node.id;
    case "node.hostname":
      return node.description?.hostname;
    case "node.ip":
      return node.status?.address;
    case "node.role":
      return node.role === NodeRole.MANAGER ? "manager" : "worker";
    case "node.platform.os":
      return node.description?.platform?.os;
    case "node.platform.arch":
      return node.description?.platform?.architecture;
    default:
      return undefined;
  }
}

function labelOf(labels: Readonly<Record<string, string>> | undefined, key: string): string | undefined {
  return labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
}
