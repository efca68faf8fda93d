/**
 * `skein stack plan`: what a deployment would change; nothing is changed. Edge: to files, the API and the
 * exit code.
 */
import type { Context } from "../context.js";
import { stackPlanLines } from "../output/change-lines.js";
import { type ProjectFlags, readStackProject } from "./fs-stack-project.js";
import { type RequestOptions, stackRequest } from "./http-stack-request.js";
import { planStack } from "./http-stacks.js";

/** Something would find no node. */
export const EXIT_DOES_NOT_FIT = 3;
/** Something would change. */
export const EXIT_CHANGES = 4;

export async function printPlan(
  context: Context,
  name: string | undefined,
  options: RequestOptions & { readonly files: ProjectFlags; readonly json: boolean },
): Promise<void> {
  const project = await readStackProject(name, options.files);
  for (const warning of project.warnings) context.note(`Warning: ${warning}`);
  const request = await stackRequest(context, project, options);
  const plan = await planStack(context, project.stack, request);
  for (const warning of plan.Warnings) context.note(`Warning: ${warning}`);
  context.print(
    options.json
      ? JSON.stringify(plan, undefined, 2)
      : stackPlanLines(plan, { stack: project.stack, screen: context.screen }).join("\n"),
  );
  if (plan.Changes.length === 0) return;
  process.exitCode = plan.Fits ? EXIT_CHANGES : EXIT_DOES_NOT_FIT;
}
