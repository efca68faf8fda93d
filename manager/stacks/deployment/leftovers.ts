/**
 * What a stack has beyond what is wanted, and may go: services first, then the networks, secrets and
 * configs that nobody uses.
 * Pure over a read of the store. Invariant: data that a good revision names stays as long as that revision
 * is kept, so that it can be gone back to.
 */
import type { Stack, StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import { RevisionOutcome, type StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import { isLeaving } from "../../control/find-object.js";
import type { ReadTx } from "../../store/types.js";
import { filesOf, findFile } from "./stack-files.js";
import { isReplaced } from "./stack-networks.js";
import { stackName } from "./stack-phase.js";
import type { FileTable, Step } from "./steps.js";

/** Clocks of two leaders may differ by this, ms. */
const CLOCK_SLACK_MS = 60_000;

const TABLES: readonly FileTable[] = ["secret", "config"];

function namesOf(objects: readonly { readonly name: string }[]): ReadonlySet<string> {
  return new Set(objects.map(({ name }) => name));
}

function networkNames(definition: StackDefinition | undefined): ReadonlySet<string> {
  return namesOf((definition?.networks ?? []).map(({ spec }) => ({ name: spec?.annotations?.name ?? "" })));
}

function fileNames(definition: StackDefinition | undefined, table: FileTable): ReadonlySet<string> {
  const files = definition === undefined ? [] : filesOf(definition, table);
  return namesOf(files.map(({ annotations }) => ({ name: annotations?.name ?? "" })));
}

/** Ids of secrets and configs whose data good revisions name: prune leaves them until those are dropped. */
export function keptFiles(tx: ReadTx, stackId: string): ReadonlySet<string> {
  const kept = new Set<string>();
  for (const { definition, outcome } of tx.list("stackRevision", { by: "stackId", stackId })) {
    if (outcome !== RevisionOutcome.GOOD && outcome !== RevisionOutcome.PENDING) continue;
    for (const table of TABLES)
      for (const { objectId } of definition === undefined ? [] : filesOf(definition, table))
        kept.add(objectId);
  }
  return kept;
}

/** At the end of a deployment: networks that were replaced; with prune, all that the definition lacks. */
export function unwantedObjects(
  tx: ReadTx,
  wanted: { readonly stack: Stack; readonly definition: StackDefinition; readonly prune: boolean },
): readonly Step[] {
  const { stack, definition, prune } = wanted;
  const steps: Step[] = [];
  const name = stackName(stack);
  const networks = networkNames(definition);
  for (const network of tx.list("network", { by: "stackName", stackName: name })) {
    if (isLeaving(network) || networks.has(network.spec?.annotations?.name ?? "")) continue;
    if (prune || isReplaced(network)) steps.push({ kind: "removeNetwork", networkId: network.id });
  }
  if (!prune) return steps;
  const kept = keptFiles(tx, stack.id);
  for (const table of TABLES) {
    const names = fileNames(definition, table);
    for (const { id, annotations } of filesNamed(tx, table, name))
      if (!names.has(annotations?.name ?? "") && !kept.has(id)) steps.push({ kind: "removeFile", table, id });
  }
  return steps;
}

function filesNamed(tx: ReadTx, table: FileTable, name: string) {
  const lookup = { by: "stackName", stackName: name } as const;
  return table === "secret" ? tx.list("secret", lookup) : tx.list("config", lookup);
}

/** After going back: what the failed revision, and superseded ones before it, brought, and no good one names. */
export function objectsMadeBy(tx: ReadTx, failed: StackRevision, stack: Stack): readonly Step[] {
  const steps: Step[] = [];
  const all = tx.list("stackRevision", { by: "stackId", stackId: stack.id });
  const good = all.filter(({ outcome }) => outcome === RevisionOutcome.GOOD);
  const tried = all.filter(
    ({ number, outcome }) =>
      number > stack.goodRevision && number <= failed.number && outcome !== RevisionOutcome.GOOD,
  );
  const sinceMs = Math.min(...tried.map(({ madeAtMs }) => madeAtMs), failed.madeAtMs) - CLOCK_SLACK_MS;
  const isNew = (object: { readonly meta?: { readonly createdAtMs: number } | undefined }): boolean =>
    (object.meta?.createdAtMs ?? 0) >= sinceMs;
  const elsewhere = new Set(good.flatMap(({ definition }) => [...networkNames(definition)]));
  const made = new Set(
    tried.flatMap(({ definition }) =>
      (definition?.networks ?? [])
        .filter(({ external }) => !external)
        .map(({ spec }) => spec?.annotations?.name ?? ""),
    ),
  );
  for (const network of tx.list("network", { by: "stackName", stackName: stackName(stack) })) {
    const name = network.spec?.annotations?.name ?? "";
    if (isLeaving(network)) continue;
    if (isReplaced(network) || (made.has(name) && !elsewhere.has(name) && isNew(network)))
      steps.push({ kind: "removeNetwork", networkId: network.id });
  }
  for (const table of TABLES) {
    const named = new Set(good.flatMap(({ definition }) => [...fileNames(definition, table)]));
    const brought = new Set(
      tried
        .flatMap(({ definition }) => (definition === undefined ? [] : filesOf(definition, table)))
        .flatMap(({ annotations, external }) => (external ? [] : [annotations?.name ?? ""])),
    );
    for (const name of brought) {
      const object = named.has(name) ? undefined : findFile(tx, table, name);
      if (object !== undefined && isNew(object)) steps.push({ kind: "removeFile", table, id: object.id });
    }
  }
  return steps;
}

/** All that carries the stack's label, services aside. */
export function objectsOf(tx: ReadTx, stack: Stack): readonly Step[] {
  const name = stackName(stack);
  const steps: Step[] = [];
  for (const table of TABLES)
    for (const { id } of filesNamed(tx, table, name)) steps.push({ kind: "removeFile", table, id });
  for (const network of tx.list("network", { by: "stackName", stackName: name }))
    if (!isLeaving(network)) steps.push({ kind: "removeNetwork", networkId: network.id });
  return steps;
}

/** Nothing in the cluster says any more that it belongs to the stack. */
export function isEmpty(tx: ReadTx, name: string): boolean {
  const lookup = { by: "stackName", stackName: name } as const;
  return (
    tx.list("service", lookup).length === 0 &&
    tx.list("network", lookup).length === 0 &&
    tx.list("secret", lookup).length === 0 &&
    tx.list("config", lookup).length === 0
  );
}
