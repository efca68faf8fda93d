/**
 * What one definition changes of another, object by object.
 * Pure. Invariant: empty exactly when nothing differs that anybody could notice; the form of both is that of
 * `definition-form.ts`.
 */
import type {
  StackDefinition,
  StackFile,
  StackNetwork,
  StackService,
} from "../../../proto/gen/skein/v1/stack_types.js";
import { compareServiceSpecs } from "../../control/spec-comparison.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { networkChange } from "../deployment/stack-networks.js";
import type { ObjectKind } from "./definition-faults.js";
import { atOnce, type Sliced } from "./look-ahead.js";

export type ObjectChange =
  | Changed<"network", StackNetwork>
  | Changed<"secret", StackFile>
  | Changed<"config", StackFile>
  | Changed<"service", StackService>;

interface Changed<K extends ObjectKind, T> {
  readonly kind: K;
  readonly key: string;
  /** undefined: it is added. */
  readonly before: T | undefined;
  /** undefined: it is removed. */
  readonly after: T | undefined;
}

const NOTHING: StackDefinition = { networks: [], secrets: [], configs: [], services: [] };

/** In the order networks, secrets, configs, services; then by key. */
export function definitionChanges(
  before?: StackDefinition,
  after?: StackDefinition,
): readonly ObjectChange[] {
  return atOnce(comparison(before, after));
}

/** `definitionChanges` in slices. */
export function* comparison(
  before: StackDefinition = NOTHING,
  after: StackDefinition = NOTHING,
): Sliced<readonly ObjectChange[]> {
  return [
    ...(yield* changesOf("network", before.networks, after.networks, sameNetwork)),
    ...(yield* changesOf("secret", before.secrets, after.secrets, sameFile)),
    ...(yield* changesOf("config", before.configs, after.configs, sameFile)),
    ...(yield* changesOf("service", before.services, after.services, sameService)),
  ];
}

function* changesOf<K extends ObjectKind, T extends { readonly key: string }>(
  kind: K,
  before: readonly T[],
  after: readonly T[],
  same: (before: T, after: T) => boolean,
): Sliced<readonly Changed<K, T>[]> {
  const [old, next] = [before, after].map((list) => new Map(list.map((one) => [one.key, one])));
  const keys = [...new Set([...before, ...after].map(({ key }) => key))].sort();
  const changes: Changed<K, T>[] = [];
  for (const key of keys) {
    yield;
    const [was, is] = [old?.get(key), next?.get(key)];
    if (was === undefined || is === undefined || !same(was, is))
      changes.push({ kind, key, before: was, after: is });
  }
  return changes;
}

function sameNetwork(a: StackNetwork, b: StackNetwork): boolean {
  if (a.external !== b.external) return false;
  const [old, next] = [a.spec, b.spec];
  if (a.external) return old?.annotations?.name === next?.annotations?.name;
  if (old === undefined || next === undefined) return old === next;
  return (
    networkChange(old, next) === "same" &&
    old.annotations?.name === next.annotations?.name &&
    old.ipamConfigs.length === next.ipamConfigs.length
  );
}

/** Objects that were made anew with the same data mean the same. */
function sameFile(a: StackFile, b: StackFile): boolean {
  if (a.external !== b.external) return false;
  if (a.external) return a.annotations?.name === b.annotations?.name;
  return (
    deepEqual(a.annotations, b.annotations) &&
    a.templateDriver === b.templateDriver &&
    a.driverName === b.driverName &&
    deepEqual(a.driverOptions, b.driverOptions) &&
    a.dataSha256 === b.dataSha256
  );
}

function sameService(a: StackService, b: StackService): boolean {
  if (!deepEqual(a.dependsOn, b.dependsOn)) return false;
  if (a.spec === undefined || b.spec === undefined) return a.spec === b.spec;
  return deepEqual(a.spec, b.spec) || compareServiceSpecs(a.spec, b.spec).same;
}
