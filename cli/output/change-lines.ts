/**
 * What differs between two revisions of a stack, or would change by a deployment, for people. Pure.
 * + is added, ~ changed, -/+ replaced, - removed; fields below as "path: before -> after".
 */
import type { StackChange, StackFieldChange, StackPlan } from "../../proto/stack-api.js";
import { planLines } from "./plan-lines.js";
import { coloured, NO_SCREEN, type Screen } from "./process-screen.js";
import type { Row } from "./table.js";

/** Fields shown of one object; `--format json` has them all. */
const FIELDS_SHOWN_MAX = 40;

const MARKS: Readonly<Record<StackChange["Action"], string>> = {
  add: "+",
  change: "~",
  replace: "-/+",
  remove: "-",
};

const COLOUR_OF = { add: "green", change: "yellow", replace: "yellow", remove: "red" } as const;

/** The order of a deployment: what services need comes first. */
const KINDS: readonly StackChange["Kind"][] = ["network", "secret", "config", "service"];

export function changeLines(changes: readonly StackChange[], screen: Screen = NO_SCREEN): string[] {
  return KINDS.flatMap((kind) => changes.filter((change) => change.Kind === kind)).flatMap((change) =>
    linesOf(change, screen),
  );
}

function linesOf(change: StackChange, screen: Screen): string[] {
  const { Kind, Key, Action, Fields } = change;
  const mark = MARKS[Action];
  const aside = asideOf(change);
  const head = `${coloured(screen, COLOUR_OF[Action], `${mark} ${Kind} ${Key}`)}${aside === "" ? "" : `  (${aside})`}`;
  const indent = " ".repeat(mark.length + 3);
  const width = Math.max(0, ...Fields.map(({ Path }) => Path.length));
  const shown = Fields.slice(0, FIELDS_SHOWN_MAX);
  return [
    head,
    ...shown.map((field) => `${indent}${fieldText(field, width, screen)}`),
    ...(Fields.length > shown.length ? [`${indent}and ${Fields.length - shown.length} more fields`] : []),
  ];
}

/** What it means for tasks or for the object, and why. */
function asideOf({ Kind, Action, Reason, RestartsTasks }: StackChange): string {
  const what =
    Action === "replace"
      ? "made anew"
      : Action !== "change" || Kind !== "service"
        ? ""
        : RestartsTasks
          ? "tasks are replaced"
          : "no task is touched";
  if (what === "" || Reason.startsWith(what)) return Reason;
  return Reason === "" ? what : `${what}: ${Reason}`;
}

function fieldText({ Path, Before, After }: StackFieldChange, width: number, screen: Screen): string {
  const path = `${Path}:`.padEnd(Math.min(width, 40) + 1);
  if (Before === "") return `${path} ${coloured(screen, "green", `+ ${After}`)}`;
  if (After === "") return `${path} ${coloured(screen, "red", `- ${Before}`)}`;
  return `${path} ${coloured(screen, "red", Before)} -> ${coloured(screen, "green", After)}`;
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
  readonly screen?: Screen | undefined;
}

/** A whole plan: what changes, which tasks move and why, and whether they find a node. */
export function stackPlanLines(plan: StackPlan, { stack, screen = NO_SCREEN }: PlanTextOptions): string[] {
  if (plan.Changes.length === 0) return [`Stack ${stack}: no change.`];
  const lines = [`Stack ${stack}: ${changeSummary(plan.Changes)}`, "", ...changeLines(plan.Changes, screen)];
  if (plan.Plan !== undefined) {
    const [, ...tasks] = planLines(plan.Plan as Row); // its title says what the first line says
    lines.push(...tasks);
  } else if (!plan.Fits) lines.push("", "Does not fit.");
  return lines;
}
