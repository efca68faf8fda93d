/**
 * A revision of what others made of a stack, object by object: what the cluster has now, if it is other than
 * the good revision.
 * Pure over a transaction. Invariants: never while a deployment of ours is under way; what is observed is
 * good at once; changes of numbers of replicas alone, one after the other, are one revision.
 */
import { Stack, StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import {
  RevisionOrigin,
  RevisionOutcome,
  StackDefinition,
  StackDeployment,
  StackPhase,
  StackServiceProgress,
  StackServiceState,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type { ServiceSpec } from "../../../proto/gen/skein/v1/types.js";
import { compareServiceSpecs } from "../../control/spec-comparison.js";
import { versionOf } from "../../store/tables.js";
import type { ReadTx, WriteTx } from "../../store/types.js";
import { dropOldRevisions, findStack, revisionOf } from "../deployment/begin.js";
import { isUnderWay } from "../deployment/stack-phase.js";
import { changeWords } from "./change-words.js";
import { DEFINITION_BYTES_MAX, isStackName } from "./check-definition.js";
import { comparison, definitionChanges, type ObjectChange } from "./definition-changes.js";
import { definitionNow } from "./definition-now.js";
import type { Sliced } from "./look-ahead.js";

export interface Observed {
  /** Of the revision that was recorded; undefined: there was nothing to record. */
  readonly number: number | undefined;
  /** Why it was not recorded though something differs; "": nothing is amiss. */
  readonly refusal: string;
}

const NOTHING_NEW: Observed = { number: undefined, refusal: "" };

/** What is other than the good revision. */
export interface Sight {
  readonly stack: Stack | undefined;
  readonly good: StackRevision | undefined;
  readonly now: StackDefinition;
  readonly changes: readonly ObjectChange[];
}

/** @returns undefined when nothing is, or a deployment is under way. */
export function* sightOf(tx: ReadTx, name: string): Sliced<Sight | undefined> {
  const stack = findStack(tx, name);
  if (isUnderWay(stack) || !isStackName(name)) return undefined;
  const good = stack && revisionOf(tx, stack.id, stack.goodRevision);
  const changedAfter = versionOf(good);
  const now = definitionNow(tx, { stackName: name, like: good?.definition, changedAfter });
  if (good === undefined && now.services.length === 0) return undefined;
  const changes = yield* comparison(good?.definition, now);
  return changes.length === 0 ? undefined : { stack, good, now, changes };
}

export function observeStack(
  tx: WriteTx,
  sight: Sight | undefined,
  what: { readonly name: string; readonly nowMs: number; readonly newId: () => string },
): Observed {
  if (sight === undefined) return NOTHING_NEW;
  const { stack, good, now, changes } = sight;
  const { name, nowMs, newId } = what;
  const bytes = StackDefinition.encode(now).finish().length;
  if (bytes > DEFINITION_BYTES_MAX)
    return { number: undefined, refusal: `it has ${bytes} bytes, and ${DEFINITION_BYTES_MAX} are kept` };
  const former = good && formerOf(tx, good, changes);
  const number = former === undefined ? (stack?.newestRevision ?? 0) + 1 : (good?.number ?? 0);
  const id = stack?.id ?? newId();
  const recorded = StackRevision.fromPartial({
    id: former === undefined ? newId() : (good?.id ?? ""),
    ...{ annotations: { name: `${name}.${number}` }, stackId: id, number, madeAtMs: nowMs },
    definition: now,
    changes:
      former === undefined
        ? changeWords(changes, good === undefined)
        : changeWords(definitionChanges(former.definition, now)),
    ...{ outcome: RevisionOutcome.GOOD, origin: RevisionOrigin.OBSERVED },
  });
  if (former === undefined || good === undefined) tx.create("stackRevision", recorded);
  else tx.update("stackRevision", { ...recorded, meta: good.meta });
  const next: Stack = {
    ...(stack ?? Stack.fromPartial({ id, annotations: { name } })),
    ...{ newestRevision: Math.max(number, stack?.newestRevision ?? 0), goodRevision: number },
    deployment: reached(tx, now, { number, nowMs, step: (stack?.deployment?.step ?? 0) + 1 }),
  };
  if (stack === undefined) tx.create("stack", next);
  else tx.update("stack", next);
  dropOldRevisions(tx, next);
  return { number, refusal: "" };
}

/**
 * @returns the revision before the good one, when that was observed, is the newest, and both it and what is
 * so now are of other numbers of replicas and nothing else: it is written anew then.
 */
function formerOf(
  tx: WriteTx,
  good: StackRevision,
  changes: readonly ObjectChange[],
): StackRevision | undefined {
  if (good.origin !== RevisionOrigin.OBSERVED || !changes.every(isScale)) return undefined;
  const former = tx
    .list("stackRevision", { by: "stackId", stackId: good.stackId })
    .filter(({ number, outcome }) => number < good.number && outcome === RevisionOutcome.GOOD)
    .sort((a, b) => b.number - a.number)[0];
  if (former === undefined) return undefined;
  return definitionChanges(former.definition, good.definition).every(isScale) ? former : undefined;
}

function isScale(change: ObjectChange): boolean {
  if (change.kind !== "service") return false;
  const [before, after] = [change.before?.spec, change.after?.spec];
  return before !== undefined && after !== undefined && isScaled(before, after);
}

function isScaled(before: ServiceSpec, after: ServiceSpec): boolean {
  if (before.mode?.$case !== "replicated" || after.mode?.$case !== "replicated") return false;
  return compareServiceSpecs(before, { ...after, mode: before.mode }).same;
}

function reached(
  tx: WriteTx,
  { services }: StackDefinition,
  at: { readonly number: number; readonly nowMs: number; readonly step: number },
): StackDeployment {
  return StackDeployment.fromPartial({
    ...{ revision: at.number, phase: StackPhase.REACHED, startedAtMs: at.nowMs, endedAtMs: at.nowMs },
    step: at.step,
    services: services.map(({ key, spec }) => {
      const name = spec?.annotations?.name ?? "";
      const serviceId = tx.list("service", { by: "name", name })[0]?.id ?? "";
      return StackServiceProgress.fromPartial({
        ...{ key, name, serviceId },
        state: StackServiceState.UNCHANGED,
      });
    }),
  });
}
