/**
 * `skein stack config`: the compose files as one, in their normal form; no daemon is asked. Edge: to files.
 */
import { type Command, Option } from "commander";
import type { Context } from "../context.js";
import type { ProjectFlags } from "../stack/fs-stack-project.js";
import { addProjectFlags } from "./stack-options.js";

interface ConfigFlags extends ProjectFlags {
  readonly format?: "yaml" | "json";
  readonly skipInterpolation?: boolean;
  readonly quiet?: boolean;
}

async function printConfig(context: Context, flags: ConfigFlags): Promise<void> {
  const [{ readFiles }, { projectText }, { findingText, inFileOrder }] = await Promise.all([
    import("../stack/fs-stack-project.js"),
    import("../compose/print-project.js"),
    import("../compose/compose-error.js"),
  ]);
  const uninterpolated = flags.skipInterpolation === true;
  const { project } = await readFiles(undefined, flags, { interpolate: !uninterpolated });
  for (const warning of inFileOrder(project.warnings)) context.note(`Warning: ${findingText(warning)}`);
  if (flags.quiet === true) return;
  const text = projectText(project.doc, { format: flags.format ?? "yaml", uninterpolated });
  context.print(text.trimEnd());
}

export function addStackConfig(stack: Command, context: Context): void {
  addProjectFlags(
    stack.command("config").description("Print the compose files as one, checked, in their normal form"),
  )
    .addOption(new Option("--format <format>", "how it is printed").choices(["yaml", "json"]).default("yaml"))
    .option("--skip-interpolation", "leave variables as they are")
    .option("-q, --quiet", "only check")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  skein stack config                                   what compose.yaml of this folder says in full\n" +
        "  skein stack config -c base.yml -c prod.yml           how several files merge\n" +
        "  skein stack config -q && skein stack deploy shop     check first",
    )
    .action((flags: ConfigFlags) => printConfig(context, flags));
}
