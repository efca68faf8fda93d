/**
 * Stacks and their revisions as `stack ls`, `stack history` and `stack status` show them. Pure.
 */
import type { RevisionSummary, StackServiceState, StackState, StackSummary } from "../../proto/stack-api.js";
import { countsText, headline } from "../stack/stack-progress.js";
import type { Screen } from "./process-screen.js";
import { type Column, type Row, table } from "./table.js";
import { duration } from "./words.js";

export const STACK_COLUMNS: readonly Column[] = [
  { header: "NAME", field: "Name" },
  { header: "SERVICES", field: "Services" },
  { header: "TASKS", field: "Tasks" },
  { header: "REVISION", field: "Revision" },
  { header: "STATE", field: "State", shrinks: true },
];

export function stackRow(stack: StackSummary): Row {
  const { Revision, GoodRevision, Phase } = stack;
  return {
    Name: stack.Name,
    Services: stack.Services,
    Tasks: `${stack.Running}/${stack.Desired}`,
    Revision: Revision === 0 ? "-" : String(Phase === "went back" ? GoodRevision : Revision),
    State: Phase === "went back" ? `went back (revision ${Revision} failed)` : Phase || "-",
    Orchestrator: "Swarm",
    ID: stack.ID,
    Running: stack.Running,
    Desired: stack.Desired,
    GoodRevision,
  };
}

export const HISTORY_COLUMNS: readonly Column[] = [
  { header: "REVISION", field: "Mark" },
  { header: "WHEN", field: "When" },
  { header: "BY", field: "By" },
  { header: "OUTCOME", field: "Outcome" },
  { header: "CHANGES", field: "Changes", shrinks: true },
];

export interface HistoryOptions {
  readonly nowMs: number;
  readonly noTrunc: boolean;
  /** The newest good revision: what the stack is on. */
  readonly current: number;
}

const CHANGES_LENGTH_MAX = 60;

export function historyRow(revision: RevisionSummary, options: HistoryOptions): Row {
  const { Number: number, Outcome, Failure, Origin, Restores } = revision;
  const source =
    Origin === "rollback" && Restores !== 0
      ? `back to ${Restores}: `
      : Origin === "observed"
        ? "object by object: "
        : "";
  const changes = `${source}${revision.Changes}${Failure === "" ? "" : `; failed: ${Failure}`}`;
  return {
    Mark: `${number}${number === options.current ? "*" : ""}`,
    Revision: number,
    When: options.noTrunc
      ? revision.At
      : `${duration(options.nowMs - Date.parse(revision.At)).toLowerCase()} ago`,
    By: revision.By === "" ? "-" : revision.By,
    Outcome,
    Changes:
      options.noTrunc || changes.length <= CHANGES_LENGTH_MAX
        ? changes
        : `${changes.slice(0, CHANGES_LENGTH_MAX - 1)}…`,
    Current: number === options.current,
    At: revision.At,
    Origin,
    Restores,
    Failure,
    Images: revision.Images,
    Files: revision.Files,
  };
}

/** One revision in full: who, when, images with digests, versions of secrets and configs. */
export function revisionLines(revision: RevisionSummary): string[] {
  const list = (title: string, entries: readonly (readonly [string, string])[]): string[] =>
    entries.length === 0
      ? []
      : [
          "",
          ...table(
            [
              { header: title, field: "a" },
              { header: "", field: "b" },
            ],
            entries.map(([a, b]) => ({ a, b })),
          ).split("\n"),
        ];
  return [
    `Revision:  ${revision.Number} (${revision.Outcome})`,
    `When:      ${revision.At}`,
    `By:        ${revision.By === "" ? "-" : revision.By}`,
    `Origin:    ${revision.Origin}${revision.Restores === 0 ? "" : `, of revision ${revision.Restores}`}`,
    `Changes:   ${revision.Changes}`,
    ...(revision.Failure === "" ? [] : [`Failure:   ${revision.Failure}`]),
    ...list("IMAGES", Object.entries(revision.Images)),
    ...list(
      "FILES",
      Object.entries(revision.Files).map(([name, version]) => [name, `version ${version}`]),
    ),
  ];
}

const SERVICE_COLUMNS: readonly Column[] = [
  { header: "SERVICE", field: "Key" },
  { header: "STATE", field: "State" },
  { header: "TASKS", field: "Tasks" },
  { header: "DETAIL", field: "Detail", shrinks: true },
];

const tasksText = (service: StackServiceState): string =>
  service.Completed > 0 ? countsText(service) : `${service.Running}/${service.Desired}`;

export function statusLines(state: StackState, screen?: Screen): string[] {
  const lines = [headline(state)];
  if (state.Revision !== 0) {
    lines.push(
      `Phase: ${state.Phase || "-"}, revision ${state.Revision}, good revision ${state.GoodRevision || "-"}` +
        `${state.EndedAt === "" ? `, since ${state.StartedAt}` : `, ended ${state.EndedAt}`}`,
    );
  }
  const rows = state.Services.map((service) => ({
    Key: service.Key,
    State: service.State,
    Tasks: tasksText(service),
    Detail: [service.Message, service.Trouble].filter((text) => text !== "").join("; "),
  }));
  return [...lines, "", ...table(SERVICE_COLUMNS, rows, screen).split("\n")];
}
