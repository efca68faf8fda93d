/**
 * What differs between two revisions of a stack, or between one and what the cluster has now.
 * Pure over a read of the store.
 */
import { NotFoundError } from "../../../base/errors/errors.js";
import type { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import type { DiffStackReply, DiffStackRequest } from "../../../proto/gen/skein/v1/stacks.js";
import type { ReadStore, ReadTx } from "../../store/types.js";
import { findStack } from "../deployment/begin.js";
import { stackChanges } from "./change-details.js";
import { definitionChanges, type ObjectChange } from "./definition-changes.js";
import { definitionNow } from "./definition-now.js";
import { findRevision } from "./stack-answers.js";

/** @throws {NotFoundError} no such stack, or a revision that is not kept. */
export async function diffStack(store: ReadStore, request: DiffStackRequest): Promise<DiffStackReply> {
  return { changes: await stackChanges(store.view((tx) => changesOf(tx, request))) };
}

function changesOf(tx: ReadTx, { name, from, to }: DiffStackRequest): readonly ObjectChange[] {
  const stack = findStack(tx, name);
  if (stack === undefined) throw new NotFoundError(`stack ${name} has no revisions`);
  const revision = (number: number): StackDefinition | undefined =>
    number === 0 ? undefined : findRevision(tx, { stackId: stack.id, name, number }).definition;
  const [before, after] = [revision(from), revision(to)];
  return definitionChanges(
    before ?? definitionNow(tx, { stackName: name, like: after }),
    after ?? definitionNow(tx, { stackName: name, like: before }),
  );
}
