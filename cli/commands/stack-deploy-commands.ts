/**
 * `skein stack deploy|plan|undo|rollback|rm`: what changes stacks, and what would. Edge: to the API.
 * What they do is loaded when they are called.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Context } from "../context.js";
import type { RequestOptions } from "../stack/http-stack-request.js";
import {
  addDeploymentFlags,
  addJsonFormat,
  addRequestFlags,
  type DeploymentFlags,
  deploymentFields,
  type RequestFlags,
  revisionNumber,
  wantsJson,
} from "./stack-options.js";

const requestOf = (flags: RequestFlags): RequestOptions => ({
  resolveImage: flags.resolveImage ?? "always",
  withRegistryAuth: flags.withRegistryAuth === true,
  prune: flags.prune === true,
});

const followingOf = (flags: DeploymentFlags) => ({
  detach: flags.detach === true,
  quiet: flags.quiet === true,
  yes: flags.yes === true,
});

interface DeployFlags extends RequestFlags, DeploymentFlags {
  readonly build?: boolean;
  readonly push?: boolean;
  readonly share?: boolean;
}

/** @throws {InvalidArgumentError} */
function buildOf({
  build,
  push,
  share,
}: DeployFlags): { readonly push: boolean; readonly share: boolean } | undefined {
  if (push === true && share === true)
    throw new InvalidArgumentError("--push and --share are two ways to the other nodes: choose one");
  return build === true || push === true || share === true
    ? { push: push === true, share: share === true }
    : undefined;
}

const DEPLOY_HELP = `
All of the file is deployed as one transaction: it is checked before anything changes, services start in the order
of depends_on, and when one of them can't be reached the stack goes back to its last good revision as a whole.
On a terminal the plan is shown first and you are asked; --yes, or a pipe, deploys at once.

Examples:
  skein stack deploy shop                              compose.yaml of this folder
  skein stack deploy -c base.yml -c prod.yml shop      several files, later ones override
  skein stack deploy --prune --yes shop                also remove what the file no longer has; for scripts
  skein stack deploy --on-failure keep shop            leave a failed deployment as it is, to look at it
  skein stack deploy --build --share shop              build what has build:, no registry needed
  generate-compose | skein stack deploy -c - shop      from standard input

Exit codes: 0 the revision is reached, or nothing changed; 1 it failed, and the last line says where the stack is
now; 2 the files or flags are wrong; 130 interrupted or not confirmed: what was accepted goes on.`;

function addDeploy(stack: Command, context: Context): void {
  const deploy = stack
    .command("deploy")
    .alias("up")
    .description("Deploy a compose file, or bring what it deployed up to date")
    .argument(
      "[stack]",
      "name of the stack: it begins the names of all it holds (default: name: of the file)",
    );
  addDeploymentFlags(addRequestFlags(deploy))
    .option("--build", "build the images of services that have the key build, with the engine of this node")
    .option("--push", "build, and push to the images' registries")
    .option("--share", "build, and load the images into every other node that is ready")
    .addHelpText("after", DEPLOY_HELP)
    .action(async (name: string | undefined, flags: DeployFlags) => {
      const { Timeout, OnFailure } = deploymentFields(flags);
      const build = buildOf(flags);
      const { deployStack } = await import("../stack/http-deploy-stack.js");
      await deployStack(context, name, {
        files: flags,
        ...requestOf(flags),
        ...followingOf(flags),
        ...(build === undefined ? {} : { build }),
        ...(OnFailure === undefined ? {} : { onFailure: OnFailure }),
        ...(Timeout === undefined ? {} : { timeoutMs: Timeout }),
      });
    });
}

const PLAN_HELP = `
  + added   ~ changed, field by field   -/+ made anew   - removed
Below the changes: the tasks that are replaced and why, the nodes they would get, and what finds none.

Examples:
  skein stack plan -c compose.yml shop                 what 'stack deploy' would do
  skein stack plan --prune --format json shop          for programs
  skein stack plan shop; [ $? = 4 ] && echo "out of date"

Exit codes: 0 nothing would change; 4 something would; 3 something would find no node; others as of every command.`;

function addPlan(stack: Command, context: Context): void {
  const plan = stack
    .command("plan")
    .description("Show what a deployment would change; nothing is changed")
    .argument("[stack]", "name of the stack (default: name: of the file)");
  addJsonFormat(addRequestFlags(plan))
    .addHelpText("after", PLAN_HELP)
    .action(async (name: string | undefined, flags: RequestFlags & { readonly format?: string }) => {
      const json = wantsJson(flags.format);
      const { printPlan } = await import("../stack/http-plan-stack.js");
      await printPlan(context, name, { files: flags, ...requestOf(flags), json });
    });
}

const UNDO_HELP = `
The older revision is deployed again, with its images' digests and its versions of secrets and configs, and becomes
the newest one: an undo can be undone.

Examples:
  skein stack undo shop                                back to the good revision before the one that is there
  skein stack rollback shop 3                          back to revision 3
  skein stack history shop                             which revisions there are`;

function addRollBack(stack: Command, context: Context): void {
  const go = async (name: string, revision: number, flags: DeploymentFlags): Promise<void> => {
    const fields = deploymentFields(flags);
    const { rollBack } = await import("../stack/http-roll-back.js");
    await rollBack(context, name, revision, { ...followingOf(flags), ...fields });
  };
  addDeploymentFlags(
    stack
      .command("undo")
      .description("Go back to the good revision before the one that is there")
      .argument("<stack>", "name of the stack"),
  )
    .addHelpText("after", UNDO_HELP)
    .action((name: string, flags: DeploymentFlags) => go(name, 0, flags));
  addDeploymentFlags(
    stack
      .command("rollback")
      .description("Go back to a revision of its history")
      .argument("<stack>", "name of the stack")
      .argument("<revision>", "its number"),
  )
    .addHelpText("after", UNDO_HELP)
    .action((name: string, revision: string, flags: DeploymentFlags) =>
      go(name, revisionNumber(revision), flags),
    );
}

export function addStackDeployCommands(stack: Command, context: Context): void {
  addDeploy(stack, context);
  addPlan(stack, context);
  addRollBack(stack, context);
  stack
    .command("rm")
    .aliases(["remove", "down"])
    .description("Remove stacks, and wait until their tasks have ended")
    .argument("<stack...>", "names of stacks")
    .option("-d, --detach", "return at once instead of waiting")
    .option("-q, --quiet", "no progress")
    .addHelpText(
      "after",
      "\nServices go first, then their networks, secrets and configs. Volumes stay.\n\n" +
        "Examples:\n  skein stack rm shop\n  skein stack rm -d shop blog                          without waiting",
    )
    .action(async (names: string[], flags: { readonly detach?: boolean; readonly quiet?: boolean }) => {
      const { removeStacks } = await import("../stack/http-remove.js");
      await removeStacks(context, names, { wait: flags.detach !== true, quiet: flags.quiet === true });
    });
}
