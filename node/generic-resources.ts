/**
 * Generic resources of a node, from the daemon's flags: `GPU=UUID1` is one named unit, `SSD=3` a count.
 * Pure. Invariant: a kind is either counted, once, or named, each name once. Source: dockerd's
 * --node-generic-resource.
 */
import { InvalidArgumentError } from "../base/errors/errors.js";
import type { GenericResource } from "../proto/gen/skein/v1/types.js";

const ENTRY = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=([^,=\s]{1,64})$/;
const COUNT = /^\d{1,9}$/;
/** Of one node. */
const RESOURCES_MAX = 256;

/** @throws {InvalidArgumentError} naming the entry and the rule. */
export function genericResources(list: readonly string[]): readonly GenericResource[] {
  const resources = list
    .flatMap((text) => text.split(","))
    .map((text) => text.trim())
    .map(parsed);
  if (resources.length > RESOURCES_MAX)
    throw new InvalidArgumentError(
      `a node may have ${RESOURCES_MAX} generic resources, got ${resources.length}`,
    );
  const seen = new Map<string, GenericResource["value"]>();
  for (const { kind, value } of resources) {
    const before = seen.get(kind);
    if (before !== undefined && (before.$case === "discrete" || value?.$case === "discrete"))
      throw new InvalidArgumentError(
        `--node-generic-resource ${kind}: it is counted once, or has names only`,
      );
    const name = `${kind}=${value?.value}`;
    if (seen.has(name)) throw new InvalidArgumentError(`--node-generic-resource ${name} is given twice`);
    seen.set(kind, value).set(name, value);
  }
  return resources;
}

function parsed(text: string): GenericResource {
  const [, kind, value] = ENTRY.exec(text) ?? [];
  if (kind === undefined || value === undefined)
    throw new InvalidArgumentError(
      `--node-generic-resource must be NAME=COUNT or NAME=UNIT, got ${JSON.stringify(text)}`,
    );
  if (!COUNT.test(value)) return { kind, value: { $case: "named", value } };
  if (Number(value) === 0)
    throw new InvalidArgumentError(`--node-generic-resource ${kind}: a count is at least 1`);
  return { kind, value: { $case: "discrete", value: Number(value) } };
}
