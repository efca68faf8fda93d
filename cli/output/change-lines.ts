/**
 * What differs between two revisions of a stack, or would change by a deployment, for people. Pure.
 * + is added, ~ changed, -/+ replaced, - removed; fields below as "path: before -> after".
 */
import type { StackChange, StackFieldChange, StackPlan } from "../../proto/stack-api.js";
import { planLines } from "./plan-lines.js";
import type { Row } from "./table.js";

/** Fields shown of one object; `--format json` has them all. */
const FIELDS_SHOWN_MAX = 40;

const MARKS: Readonly<Record<StackChange["Action"], string>> = {
  add: "+",
  change: "~",
  replace: "-/+",
  remove: "-",
};

export interface Colours {
  paint(colour: "green" | "yellow" | "red" | "dim", text: string): string;
}

const ANSI = { green: 32, yellow: 33, red: 31, dim: 2 } as const;
export const PLAIN: Colours = { paint: (_, text) => text };
export const COLOURED: Colours = { paint: (colour, text) => `\x1b[${ANSI[colour]}m${text}\x1b[0m` };

const COLOUR_OF = { add: "green", change: "yellow", replace: "yellow", remove: "red" } as const;

/** The order of a deployment: what services need comes first. */
const KINDS: readonly StackChange["Kind"][] = ["network", "secret", "config", "service"];

export function changeLines(changes: readonly StackChange[], colours: Colours = PLAIN): string[] {
  return KINDS.flatMap((kind) => changes.filter((change) => change.Kind === kind)).flatMap((change) =>
    linesOf(change, colours),
  );
}

function linesOf(change: StackChange, colours: Colours): string[] {
  const { Kind, Key, Action, Fields, Reason, RestartsTasks } = change;
  const mark = MARKS[Action];
  const aside = [
    ...(Action === "change" && Kind === "service"
      ? [RestartsTasks ? "its tasks are replaced" : "no task is touched"]
      : Action === "replace"
        ? ["made anew"]
        : []),
    ...(Reason === "" ? [] : [Reason]),
  ].join(": ");
  const head = `${colours.paint(COLOUR_OF[Action], `${mark} ${Kind} ${Key}`)}${aside === "" ? "" : `  (${aside})`}`;
  const indent = " ".repeat(mark.length + 3);
  const width = Math.max(0, ...Fields.map(({ Path }) => Path.length));
  const shown = Fields.slice(0, FIELDS_SHOWN_MAX);
  return [
    head,
    ...shown.map((field) => `${indent}${fieldText(field, width, colours)}`),
    ...(Fields.length > shown.length ? [`${indent}and ${Fields.length - shown.length} more fields`] : []),
  ];
}

function fieldText({ Path, Before, After }: StackFieldChange, width: number, colours: Colours): string {
  const path = `${Path}:`.padEnd(Math.min(width, 40) + 1);
  if (Before === "") return `${path} ${colours.paint("green", `+ ${After}`)}`;
  if (After === "") return `${path} ${colours.paint("red", `- ${Before}`)}`;
  return `${path} ${colours.paint("red", Before)} -> ${colours.paint("green", After)}`;
}

/** "3 services added, 1 changed (6 tasks replaced), 1 config replaced" in the order of actions. */
export function changeSummary(changes: readonly StackChange[]): string {
  const words = { add: "added", change: "changed", replace: "replaced", remove: "removed" } as const;
  const parts = (Object.keys(words) as StackChange["Action"][]).flatMap((action) =>
    KINDS.flatMap((kind) => {
      const count = changes.filter(({ Kind, Action }) => Kind === kind && Action === action).length;
      return count === 0 ? [] : [`${count} ${kind}${count === 1 ? "" : "s"} ${words[action]}`];
    }),
  );
  return parts.length === 0 ? "no change" : parts.join(", ");
}

export interface PlanTextOptions {
  readonly stack: string;
  readonly colours?: Colours;
}

/** A whole plan: what changes, which tasks move and why, and whether they find a node. */
export function stackPlanLines(plan: StackPlan, { stack, colours = PLAIN }: PlanTextOptions): string[] {
  if (plan.Changes.length === 0) return [`Stack ${stack}: no change.`];
  const lines = [`Stack ${stack}: ${changeSummary(plan.Changes)}`, "", ...changeLines(plan.Changes, colours)];
  if (plan.Plan !== undefined) {
    const [, ...tasks] = planLines(plan.Plan as Row); // its title says what the first line says
    lines.push(...tasks);
  } else if (!plan.Fits) lines.push("", "Does not fit.");
  return lines;
}
