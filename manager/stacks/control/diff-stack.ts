/**
 * What differs between two revisions of a stack, or between one and what the cluster has now.
 * Pure over a read of the store.
 */
import { NotFoundError } from "../../../base/errors/errors.js";
import { inSlices } from "../../../base/loop/process-slices.js";
import type { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import type { DiffStackReply, DiffStackRequest } from "../../../proto/gen/skein/v1/stacks.js";
import type { ReadStore, ReadTx } from "../../store/types.js";
import { findStack } from "../deployment/begin.js";
import { stackChanges } from "./change-details.js";
import { comparison } from "./definition-changes.js";
import { definitionNow } from "./definition-now.js";
import { findRevision } from "./stack-answers.js";

interface Compared {
  readonly before: StackDefinition;
  readonly after: StackDefinition;
}

/** @throws {NotFoundError} no such stack, or a revision that is not kept. */
export async function diffStack(store: ReadStore, request: DiffStackRequest): Promise<DiffStackReply> {
  const { before, after } = store.view((tx) => definitionsOf(tx, request));
  return { changes: await stackChanges(await inSlices(comparison(before, after))) };
}

function definitionsOf(tx: ReadTx, { name, from, to }: DiffStackRequest): Compared {
  const stack = findStack(tx, name);
  if (stack === undefined) throw new NotFoundError(`stack ${name} has no revisions`);
  const revision = (number: number): StackDefinition | undefined =>
    number === 0 ? undefined : findRevision(tx, { stackId: stack.id, name, number }).definition;
  const [before, after] = [revision(from), revision(to)];
  return {
    before: before ?? definitionNow(tx, { stackName: name, like: after }),
    after: after ?? definitionNow(tx, { stackName: name, like: before }),
  };
}
