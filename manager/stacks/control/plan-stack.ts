/**
 * What a deployment would do: what changes, field by field, and where the tasks of all its services together
 * would go.
 * Pure over the store, which is only read. Invariant: checked by the rules of a deployment, judged by the
 * orchestrator's own rules, placed by the scheduler's own. Order of start is not looked at.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import type { DeployStackRequest, PlanStackReply } from "../../../proto/gen/skein/v1/stacks.js";
import { planOfCase } from "../../plan/answer-plan.js";
import { pictureOf, type Supposition } from "../../scheduler/what-if-question.js";
import type { ReadTx } from "../../store/types.js";
import { stackChanges } from "./change-details.js";
import { type CheckedDefinition, checkDefinition } from "./check-definition.js";
import { comparison, type ObjectChange } from "./definition-changes.js";
import { definitionNow } from "./definition-now.js";
import { type LeftOver, leftOverWarnings } from "./left-over.js";
import { lookAhead } from "./look-ahead.js";
import type { StackComponents } from "./stack-control.js";

interface Posed {
  readonly changes: readonly ObjectChange[];
  readonly leftOver: readonly LeftOver[];
  readonly picture: ReturnType<typeof pictureOf>;
  readonly suppositions: readonly Supposition[];
}

/** @throws {InvalidArgumentError} with a line for each fault. */
export async function planStack(
  components: StackComponents,
  request: DeployStackRequest,
): Promise<PlanStackReply> {
  const { name, definition, prune } = request;
  if (definition === undefined) throw new InvalidArgumentError("a stack needs a definition");
  const { store, random } = components;
  const ahead = await lookAhead(components, function* (tx) {
    const checked = yield* checkDefinition(tx, { name, definition, prune, random });
    const now = definitionNow(tx, { stackName: name, like: checked.definition });
    const goes = prune ? checked.leftOver : [];
    const all = yield* comparison(now, checked.definition);
    const changes = all.filter(
      (change) => change.after !== undefined || goes.some((left) => isOne(left, change)),
    );
    return { changes, checked, leftOver: checked.leftOver };
  });
  let posed: Posed;
  try {
    posed = store.view((tx) => {
      const { checked, ...found } = ahead.at(tx);
      const picture = { ...pictureOf(tx), networks: checked.supposed.list("network") };
      return { ...found, picture, suppositions: suppositionsOf(tx, checked, prune) };
    });
  } finally {
    ahead.close();
  }
  const { changes, picture, suppositions } = posed;
  const plan =
    suppositions.length === 0
      ? undefined
      : await planOfCase(components, { title: `deployment of stack ${name}`, picture, suppositions });
  const warnings = prune ? [] : leftOverWarnings(posed.leftOver);
  return { changes: await stackChanges(changes), plan, warnings };
}

function isOne({ kind, name }: LeftOver, change: ObjectChange): boolean {
  if (kind !== change.kind || change.before === undefined) return false;
  const { before } = change;
  return ("spec" in before ? before.spec?.annotations?.name : before.annotations?.name) === name;
}

function suppositionsOf(tx: ReadTx, checked: CheckedDefinition, prune: boolean): readonly Supposition[] {
  const removed = new Set<string>();
  for (const { before, after } of checked.services)
    if (before !== undefined && before.id !== after.id) removed.add(before.id);
  for (const { kind, id } of prune ? checked.leftOver : []) if (kind === "service") removed.add(id);
  return [
    ...[...removed]
      .filter((id) => tx.get("service", id) !== undefined)
      .map((serviceId) => ({ kind: "serviceRemoved", serviceId }) as const),
    ...checked.services
      .filter(({ same }) => !same)
      .map(({ after }) => ({ kind: "service", service: after }) as const),
  ];
}
