/**
 * `skein plan …`: what the cluster would do; nothing is changed. Edge: to the API and the exit code.
 * Exit codes: 0 everything fits; 3 something would find no node; others as of every command.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, inner } from "../context.js";
import { planLines } from "../output/plan-lines.js";
import type { Row } from "../output/table.js";
import { createSpec } from "../service/create-spec.js";
import { fetchService, lookupsOf } from "../service/http-services.js";
import { addCreateFlags, addUpdateFlags, FlagValues } from "../service/service-flags.js";
import { updatedSpec } from "../service/update-spec.js";
import { parseInteger } from "../units.js";
import { withNetworkIds } from "./service-commands.js";

/** Something would find no node. */
const EXIT_DOES_NOT_FIT = 3;

interface PlanFlags {
  readonly format?: string;
}

async function show(context: Context, question: Row, { format }: PlanFlags): Promise<void> {
  if (format !== undefined && format !== "json" && format !== "text")
    throw new InvalidArgumentError(`--format must be text or json, got ${JSON.stringify(format)}`);
  const answer = await context.client().call("POST", "/skein/v1/plan", { body: question });
  const plan = answer as Row; // the API answers with an object
  context.print(format === "json" ? JSON.stringify(plan, undefined, 2) : planLines(plan).join("\n"));
  if (plan["Fits"] !== true) process.exitCode = EXIT_DOES_NOT_FIT;
}

const withFormat = (command: Command): Command =>
  command.option("--format <format>", "text or json (default text)");

export function addPlanCommands(program: Command, context: Context): void {
  const plan = program
    .command("plan")
    .description("Show what the cluster would do; nothing is changed")
    .addHelpText("after", "\nExit code 3: something would find no node.");
  addServicePlans(plan.command("service").description("Plan a change of a service"), context);
  withFormat(plan.command("scale"))
    .description("Plan other numbers of replicas")
    .argument("<service=replicas...>", "service and number of its tasks")
    .action((targets: string[], flags: PlanFlags) => show(context, { Scale: scaleOf(targets) }, flags));
  withFormat(plan.command("drain"))
    .description("Plan the drain of a node")
    .argument("<node>", "id or name")
    .action((node: string, flags: PlanFlags) => show(context, { Drain: node }, flags));
  withFormat(plan.command("loss"))
    .description("Plan the loss of a node")
    .argument("[node]", "id or name")
    .option("--any", "each node in turn; the worst one is told in full")
    .action((node: string | undefined, flags: PlanFlags & { readonly any?: boolean }) => {
      if ((node === undefined) === (flags.any !== true))
        throw new InvalidArgumentError("plan loss takes a node, or --any");
      return show(context, node === undefined ? { LoseAny: true } : { Lose: node }, flags);
    });
}

function addServicePlans(service: Command, context: Context): void {
  const create = withFormat(service.command("create"))
    .description("Plan a new service, with the flags of service create")
    .usage("[OPTIONS] IMAGE [COMMAND] [ARG...]")
    .argument("<image>", "image of the tasks")
    .argument("[command...]", "command and arguments in place of the image's")
    .passThroughOptions();
  addCreateFlags(create);
  create.action(async (image: string, words: string[]) => {
    const spec = await createSpec(image, words, new FlagValues(create.opts()), lookupsOf(context));
    await show(context, { Create: { Name: "planned", ...spec } }, create.opts<PlanFlags>());
  });
  const update = withFormat(service.command("update"))
    .description("Plan a change of a service, with the flags of service update")
    .argument("<service>", "id or name");
  addUpdateFlags(update);
  update.action(async (name: string) => {
    const flags = update.opts<PlanFlags & { readonly rollback?: boolean }>();
    if (flags.rollback === true) {
      await show(context, { Update: { Service: name, Rollback: true } }, flags);
      return;
    }
    const values = new FlagValues(await withNetworkIds(context, update.opts()));
    const before = await fetchService(context, name);
    const spec = await updatedSpec({ ...inner(before, "Spec") }, values, lookupsOf(context));
    await show(context, { Update: { Service: before["ID"], Spec: spec } }, flags);
  });
  for (const verb of ["rollback", "rm"] as const) {
    withFormat(service.command(verb))
      .description(verb === "rm" ? "Plan the removal of a service" : "Plan the way back to the previous one")
      .argument("<service>", "id or name")
      .action((name: string, flags: PlanFlags) =>
        show(
          context,
          verb === "rm" ? { Remove: name } : { Update: { Service: name, Rollback: true } },
          flags,
        ),
      );
  }
}

/** @throws {InvalidArgumentError} not SERVICE=REPLICAS. */
function scaleOf(targets: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries(
    targets.map((target) => {
      const [name = "", count, ...more] = target.split("=");
      if (name === "" || count === undefined || more.length > 0)
        throw new InvalidArgumentError(`scale takes SERVICE=REPLICAS, got ${JSON.stringify(target)}`);
      return [name, parseInteger(count, name)];
    }),
  );
}
