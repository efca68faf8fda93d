/**
 * What a stack has beyond its definition: it goes when the deployment prunes, and is told of when it does
 * not.
 * Pure over a read of the store.
 */
import type { Network, Service } from "../../../proto/gen/skein/v1/objects.js";
import type { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import { isLeaving } from "../../control/find-object.js";
import type { ReadTx } from "../../store/types.js";
import { findStack } from "../deployment/begin.js";
import { keptFiles } from "../deployment/leftovers.js";
import { isReplaced } from "../deployment/stack-networks.js";
import type { ObjectKind } from "./definition-faults.js";
import { type FileObject, fileName, networkName, stackOf } from "./definition-form.js";

/** Something of the stack that its definition does not have. */
export interface LeftOver {
  readonly kind: ObjectKind;
  readonly id: string;
  readonly name: string;
}

const NAMES_MAX = 10;

/** What the stack has beyond the definition stays, and somebody should know. */
export function leftOverWarnings(leftOver: readonly LeftOver[]): readonly string[] {
  if (leftOver.length === 0) return [];
  const names = leftOver.slice(0, NAMES_MAX).map(({ kind, name }) => `${kind} ${name}`);
  const more = leftOver.length - names.length;
  const all = `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  return [`not in the definition, and left as ${leftOver.length === 1 ? "it is" : "they are"}: ${all}`];
}

/** It was replaced, and goes when nobody uses it any more. */
function isMadeWay(object: Service | Network | FileObject): boolean {
  return "vni" in object && isReplaced(object);
}

/**
 * What has the stack's label and is not in the definition, nor data that a good revision can be had back
 * with.
 */
export function leftOverOf(tx: ReadTx, stackName: string, definition: StackDefinition): readonly LeftOver[] {
  const lookup = { by: "stackName", stackName } as const;
  const named = (names: readonly string[]): ReadonlySet<string> =>
    new Set(names.map((name) => name.toLowerCase()));
  const wanted = {
    network: named(definition.networks.map(networkName)),
    secret: named(definition.secrets.map(fileName)),
    config: named(definition.configs.map(fileName)),
    service: named(definition.services.map(({ spec }) => spec?.annotations?.name ?? "")),
  };
  const all = [
    ...tx.list("service", lookup).map((object) => ({ kind: "service" as const, object })),
    ...tx.list("network", lookup).map((object) => ({ kind: "network" as const, object })),
    ...tx.list("secret", lookup).map((object) => ({ kind: "secret" as const, object })),
    ...tx.list("config", lookup).map((object) => ({ kind: "config" as const, object })),
  ];
  const stack = findStack(tx, stackName);
  const kept = stack === undefined ? new Set<string>() : keptFiles(tx, stack.id);
  return all.flatMap(({ kind, object }) => {
    const annotations = "spec" in object ? object.spec?.annotations : object.annotations;
    const name = annotations?.name ?? "";
    const isLeft =
      !isLeaving(object) &&
      !isMadeWay(object) &&
      !kept.has(object.id) &&
      stackOf(annotations) === stackName &&
      !wanted[kind].has(name.toLowerCase());
    return isLeft ? [{ kind, id: object.id, name }] : [];
  });
}
