/**
 * `skein stack undo` and `skein stack rollback N`: an older revision is deployed again. Edge: to the API and
 * the terminal.
 */
import { CancelledError } from "../../base/errors/errors.js";
import type { RollbackBody } from "../../proto/stack-api.js";
import type { Context } from "../context.js";
import { askedBy } from "./fs-stack-project.js";
import { followAccepted } from "./http-deploy-stack.js";
import { diffStack, fetchRevisions, fetchState, rollbackStack } from "./http-stacks.js";
import { canAsk } from "./terminal-question.js";
import { undoTarget } from "./undo-target.js";

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
    if (target === 0) {
      const [state, revisions] = await Promise.all([
        fetchState(context, stack),
        fetchRevisions(context, stack),
      ]);
      target = undoTarget(revisions, state.GoodRevision) ?? 0;
    }
    if (target !== 0) await askFor(context, stack, target);
  }
  const accepted = await rollbackStack(context, stack, { ...fields, Revision: target, By: askedBy() });
  await followAccepted(context, accepted, { detach, quiet, verb: "rollback" });
}

async function askFor(context: Context, stack: string, target: number): Promise<void> {
  const [{ changeLines, changeSummary, COLOURED }, { confirm }] = await Promise.all([
    import("../output/change-lines.js"),
    import("./terminal-question.js"),
  ]);
  const changes = await diffStack(context, stack, { from: 0, to: target });
  if (changes.length === 0) return;
  context.print(`Stack ${stack}, back to revision ${target}: ${changeSummary(changes)}`);
  context.print(["", ...changeLines(changes, COLOURED)].join("\n"));
  if (!(await confirm(`\nGo back to revision ${target}?`))) throw new CancelledError("nothing was changed");
}
