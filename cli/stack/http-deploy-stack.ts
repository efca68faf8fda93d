/**
 * `skein stack deploy`: reads, shows, asks, sends one request and follows it. Edge: to files, the API, the
 * terminal.
 */
import { CancelledError } from "../../base/errors/errors.js";
import type { StackAccepted } from "../../proto/stack-api.js";
import type { Context } from "../context.js";
import { canAsk, confirm } from "../output/process-confirm.js";
import type { ProjectFlags, StackProject } from "./fs-stack-project.js";
import { readStackProject } from "./fs-stack-project.js";
import { followStack } from "./http-follow.js";
import { type RequestOptions, stackRequest } from "./http-stack-request.js";
import { planStack, sendStack } from "./http-stacks.js";

export interface DeployOptions extends RequestOptions {
  readonly files: ProjectFlags;
  readonly detach: boolean;
  readonly quiet: boolean;
  readonly yes: boolean;
  /** Build the images of services that say how, and what becomes of them then. */
  readonly build?: { readonly push: boolean; readonly share: boolean };
}

/** @throws {InvalidArgumentError} wrong files; {Error} the deployment failed; {CancelledError} at Ctrl-C or "no". */
export async function deployStack(
  context: Context,
  name: string | undefined,
  options: DeployOptions,
): Promise<void> {
  const project = await readStackProject(name, options.files);
  for (const warning of project.warnings) context.note(`Warning: ${warning}`);
  const local = await buildFor(context, project, options);
  await sendAndFollow(context, project, { ...options, ...(local === undefined ? {} : { local }) });
}

/** @returns ids of the images that no registry has; undefined when nothing was to be built. */
async function buildFor(
  context: Context,
  { builds }: StackProject,
  { build, quiet }: DeployOptions,
): Promise<ReadonlyMap<string, string> | undefined> {
  if (build === undefined) return undefined;
  if (builds.length === 0) {
    context.note("Warning: --build has nothing to do: no service of the file has the key build");
    return undefined;
  }
  const { buildImages } = await import("./build/http-build-images.js");
  const built = await buildImages(context, builds, { push: build.push, quiet });
  if (build.push) return undefined;
  const { shareImages } = await import("./build/http-share-images.js");
  await shareImages(context, [...built.keys()], { share: build.share, quiet });
  return built;
}

async function sendAndFollow(context: Context, project: StackProject, options: DeployOptions): Promise<void> {
  const { stack } = project;
  const request = await stackRequest(context, project, options);
  if (!options.yes && canAsk()) {
    const { stackPlanLines } = await import("../output/change-lines.js");
    const plan = await planStack(context, stack, request);
    for (const warning of plan.Warnings) context.note(`Warning: ${warning}`);
    context.print(stackPlanLines(plan, { stack, screen: context.screen }).join("\n"));
    // the daemon is asked all the same: a stack that is not on its revision yet goes on
    if (plan.Changes.length > 0 && !(await confirm(`\nDeploy this to ${stack}?`)))
      throw new CancelledError("nothing was changed");
  }
  const accepted = await sendStack(context, stack, request);
  await followAccepted(context, accepted, options);
}

export interface FollowFlags {
  readonly detach: boolean;
  readonly quiet: boolean;
  readonly verb?: "deploy" | "rollback";
}

/** Tells what was accepted, and stays until it has ended unless told otherwise. */
export async function followAccepted(
  context: Context,
  accepted: StackAccepted,
  { detach, quiet, verb = "deploy" }: FollowFlags,
): Promise<void> {
  const { Name: stack, Revision: revision, Changed, Warnings } = accepted;
  for (const warning of Warnings ?? []) context.note(`Warning: ${warning}`);
  if (!Changed) {
    if (!quiet) context.print(`Stack ${stack}: no change, it is on revision ${revision}`);
    return;
  }
  if (detach) {
    if (!quiet)
      context.print(
        `Stack ${stack}: revision ${revision} is accepted; 'skein stack status ${stack}' shows how it goes`,
      );
    return;
  }
  const text = await followStack(context, { stack, revision, verb, quiet });
  if (!quiet) context.print(text);
}
