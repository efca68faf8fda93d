/**
 * `skein stack undo` and `skein stack rollback N`: an older revision is deployed again. Edge: to the API and
 * the terminal.
 */
import { CancelledError } from "../../base/errors/errors.js";
import type { RollbackBody, StackChange } from "../../proto/stack-api.js";
import type { Context } from "../context.js";
import { canAsk, confirm } from "../output/process-confirm.js";
import { askedBy } from "./fs-stack-project.js";
import { followAccepted } from "./http-deploy-stack.js";
import { diffStack, fetchRevisions, fetchState, rollbackStack } from "./http-stacks.js";
import { undoCandidates } from "./undo-candidates.js";

export interface RollBackOptions extends Pick<RollbackBody, "OnFailure" | "Timeout"> {
  readonly detach: boolean;
  readonly quiet: boolean;
  readonly yes: boolean;
}

/** @param revision 0: the good one before the one that is there. */
export async function rollBack(
  context: Context,
  stack: string,
  revision: number,
  { detach, quiet, yes, ...fields }: RollBackOptions,
): Promise<void> {
  let target = revision;
  if (!yes && canAsk()) {
    const found = target === 0 ? await undoTarget(context, stack) : { target, changes: undefined };
    if (found !== undefined) await askFor(context, stack, found);
    target = found?.target ?? 0; // without one the daemon says why
  }
  const accepted = await rollbackStack(context, stack, { ...fields, Revision: target, By: askedBy() });
  await followAccepted(context, accepted, { detach, quiet, verb: "rollback" });
}

interface Target {
  readonly target: number;
  /** From what the cluster has now; undefined: not asked for yet. */
  readonly changes: readonly StackChange[] | undefined;
}

async function undoTarget(context: Context, stack: string): Promise<Target | undefined> {
  const [state, revisions] = await Promise.all([fetchState(context, stack), fetchRevisions(context, stack)]);
  const inForce = state.Phase === "applying" ? state.Revision : state.GoodRevision;
  for (const target of undoCandidates(revisions, inForce)) {
    const changes = await diffStack(context, stack, { from: 0, to: target });
    if (changes.length > 0) return { target, changes };
  }
  return undefined;
}

async function askFor(context: Context, stack: string, { target, changes }: Target): Promise<void> {
  const { changeLines, changeSummary } = await import("../output/change-lines.js");
  const known = changes ?? (await diffStack(context, stack, { from: 0, to: target }));
  if (known.length === 0) return;
  context.print(`Stack ${stack}, back to revision ${target}: ${changeSummary(known)}`);
  context.print(["", ...changeLines(known, context.screen)].join("\n"));
  if (!(await confirm(`\nGo back to revision ${target}?`))) throw new CancelledError("nothing was changed");
}
