/**
 * Stacks as they are listed: those that were deployed whole, and those that others made object by object,
 * which have a label and nothing else.
 * Pure over a read of the store. Invariant: no answer has data of secrets, or credentials.
 */
import { NotFoundError } from "../../../base/errors/errors.js";
import { Stack } from "../../../proto/gen/skein/v1/objects.js";
import type { ListStacksReply, StackCounts, StackReply } from "../../../proto/gen/skein/v1/stacks.js";
import { isLeaving } from "../../control/find-object.js";
import { countTasks } from "../../control/service-counts.js";
import type { ReadTx } from "../../store/types.js";
import { findStack } from "../deployment/begin.js";
import { stackOf } from "./definition-form.js";

const LABELLED = ["service", "network", "secret", "config"] as const;

export function listStacks(tx: ReadTx): ListStacksReply {
  const deployed = tx.list("stack");
  const names = new Set(deployed.map(({ annotations }) => annotations?.name ?? ""));
  const others = new Set<string>();
  for (const service of tx.list("service")) {
    const name = stackOf(service.spec?.annotations);
    if (name !== "" && !names.has(name) && !isLeaving(service)) others.add(name);
  }
  const stacks = [...deployed, ...[...others].map(stackWithoutRevision)];
  return {
    stacks: stacks
      .map((stack) => ({ stack, counts: countsOf(tx, stack.annotations?.name ?? "") }))
      .sort((a, b) => ((a.stack.annotations?.name ?? "") < (b.stack.annotations?.name ?? "") ? -1 : 1)),
  };
}

/** @throws {NotFoundError} neither a stack nor an object with its label. */
export function getStack(tx: ReadTx, name: string): StackReply {
  const stack = findStack(tx, name) ?? labelledStack(tx, name);
  if (stack === undefined) throw new NotFoundError(`stack ${name} not found`);
  return { stack, counts: countsOf(tx, name) };
}

/** @returns undefined when nothing in these tables has the stack's label. */
export function labelledStack(
  tx: ReadTx,
  name: string,
  tables: readonly (typeof LABELLED)[number][] = LABELLED,
): Stack | undefined {
  const lookup = { by: "stackName", stackName: name } as const;
  const isThere = tables.some((table) => tx.list(table, lookup).some((object) => !isLeaving(object)));
  return isThere ? stackWithoutRevision(name) : undefined;
}

/** A stack object for what has none, so that it can be removed as one. @throws {NotFoundError} */
export function stackForRemoval(tx: ReadTx, name: string, id: string): Stack {
  const stack = labelledStack(tx, name);
  if (stack === undefined) throw new NotFoundError(`stack ${name} not found`);
  return { ...stack, id };
}

function stackWithoutRevision(name: string): Stack {
  return Stack.fromPartial({ annotations: { name, labels: {} } });
}

function countsOf(tx: ReadTx, stackName: string): StackCounts {
  const sum = { services: 0, running: 0, desired: 0, completed: 0 };
  for (const service of tx.list("service", { by: "stackName", stackName })) {
    if (isLeaving(service)) continue;
    const counts = countTasks(service, {
      tasks: tx.list("task", { by: "serviceId", serviceId: service.id }),
      node: (id) => tx.get("node", id),
    });
    sum.services += 1;
    sum.running += counts.running;
    sum.desired += counts.desired;
    sum.completed += counts.completed;
  }
  return sum;
}
