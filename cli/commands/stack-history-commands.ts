/**
 * `skein stack history|diff|status`: what a stack was, is and how it differs. Edge: to the API and the clock.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Context } from "../context.js";
import { printList } from "../output/print-list.js";
import { addJsonFormat, revisionNumber, wantsJson } from "./stack-options.js";

interface HistoryFlags {
  readonly format?: string;
  readonly trunc?: boolean;
  readonly quiet?: boolean;
}

async function history(context: Context, stack: string, flags: HistoryFlags): Promise<void> {
  const [{ fetchRevisions, fetchState }, { HISTORY_COLUMNS, historyRow }] = await Promise.all([
    import("../stack/http-stacks.js"),
    import("../output/stack-rows.js"),
  ]);
  const [revisions, state] = await Promise.all([fetchRevisions(context, stack), fetchState(context, stack)]);
  const forPeople = flags.format === undefined || flags.format.startsWith("table");
  const noTrunc = flags.trunc === false || !forPeople;
  const options = { nowMs: Date.now(), noTrunc, current: state.GoodRevision };
  const rows = revisions.map((revision) => historyRow(revision, options));
  printList(context, HISTORY_COLUMNS, rows, {
    format: flags.format,
    quiet: flags.quiet,
    idField: "Revision",
  });
}

async function diff(
  context: Context,
  stack: string,
  numbers: readonly [string | undefined, string | undefined],
  format: string | undefined,
): Promise<void> {
  const json = wantsJson(format);
  const side = (text: string, what: string): number => (text === "now" ? 0 : revisionNumber(text, what));
  const [from, to] = numbers;
  const [{ diffStack, fetchState }, { changeLines, changeSummary }] = await Promise.all([
    import("../stack/http-stacks.js"),
    import("../output/change-lines.js"),
  ]);
  const a = from === undefined ? (await fetchState(context, stack)).GoodRevision : side(from, "the revision");
  const b = to === undefined ? 0 : side(to, "the other revision");
  if (a === 0 && b === 0) {
    if (from === undefined)
      throw new InvalidArgumentError(
        `stack ${stack} has no good revision yet: name one of 'skein stack history ${stack}'`,
      );
    throw new InvalidArgumentError("two different revisions are needed");
  }
  const changes = await diffStack(context, stack, { from: a, to: b });
  if (json) {
    context.print(JSON.stringify({ From: a, To: b, Changes: changes }, undefined, 2));
    return;
  }
  const word = (number: number): string => (number === 0 ? "now" : `revision ${number}`);
  context.print(`Stack ${stack}, ${word(a)} -> ${word(b)}: ${changeSummary(changes)}`);
  if (changes.length > 0) context.print(["", ...changeLines(changes, context.screen)].join("\n"));
}

interface StatusFlags {
  readonly format?: string;
}

async function status(
  context: Context,
  stack: string,
  revision: string | undefined,
  flags: StatusFlags,
): Promise<void> {
  const [{ fetchRevision, fetchState }, { revisionLines, statusLines }] = await Promise.all([
    import("../stack/http-stacks.js"),
    import("../output/stack-rows.js"),
  ]);
  const isText = flags.format === undefined || flags.format === "text";
  const found =
    revision === undefined
      ? await fetchState(context, stack)
      : await fetchRevision(context, stack, revisionNumber(revision));
  if (isText) {
    context.print(("Phase" in found ? statusLines(found, context.screen) : revisionLines(found)).join("\n"));
    return;
  }
  const { applyTemplate } = await import("../output/table.js");
  const format = flags.format ?? "";
  context.print(format === "json" ? JSON.stringify(found, undefined, 2) : applyTemplate(format, found));
}

export function addStackHistoryCommands(stack: Command, context: Context): void {
  stack
    .command("history")
    .description("List the revisions of a stack, newest first; * is what it is on")
    .argument("<stack>", "name of the stack")
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("--no-trunc", "whole texts and exact times")
    .option("-q, --quiet", "numbers alone")
    .addHelpText(
      "after",
      "\nA change made object by object (docker stack deploy, service update) is a revision, too.\n\nExamples:\n" +
        "  skein stack history shop\n" +
        "  skein stack inspect shop 3                           one revision: digests, versions of files\n" +
        "  skein stack history --format '{{.Revision}} {{.By}}' shop",
    )
    .action((name: string, flags: HistoryFlags) => history(context, name, flags));
  addJsonFormat(
    stack
      .command("diff")
      .description("Show how two revisions differ, field by field")
      .argument("<stack>", "name of the stack")
      .argument("[a]", "a revision, or now (default: the last good one)")
      .argument("[b]", "another one (default: now, what the cluster has)"),
  )
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  skein stack diff shop 3 5                            what changed from revision 3 to 5\n" +
        "  skein stack diff shop 3                              what differs from revision 3 now\n" +
        "  skein stack diff shop                                what others changed since the last deployment",
    )
    .action(
      (name: string, a: string | undefined, b: string | undefined, flags: { readonly format?: string }) =>
        diff(context, name, [a, b], flags.format),
    );
  stack
    .command("status")
    .alias("inspect")
    .description("Show how far a stack's deployment is, or one of its revisions")
    .argument("<stack>", "name of the stack")
    .argument("[revision]", "number of a revision: its images, digests and files")
    .option("--format <template>", "text, json, or a template")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  skein stack status shop\n" +
        "  skein stack status --format '{{.Phase}}' shop        for scripts: reached, applying, went back, stuck\n" +
        "  skein stack inspect --format json shop 3",
    )
    .action((name: string, revision: string | undefined, flags: StatusFlags) =>
      status(context, name, revision, flags),
    );
}
