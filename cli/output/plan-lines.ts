/**
 * A plan for people. Pure.
 */
import { inner, textOf } from "../context.js";
import type { Row } from "./table.js";

/** Tasks shown of a service; `--format json` has them all. */
const TASKS_SHOWN_MAX = 20;

/** The API's lists are of objects. */
const rows = (value: unknown): readonly Row[] => (Array.isArray(value) ? (value as Row[]) : []);

/** @param plan as POST /skein/v1/plan answers it. */
export function planLines(plan: Row): string[] {
  const tasks = rows(plan["Tasks"]);
  const lines = [`Plan: ${textOf(plan["Title"])}`];
  const services = rows(plan["Services"]);
  if (services.length === 0) lines.push("Nothing changes for any task.");
  for (const service of services) {
    lines.push("", `${textOf(service["Name"])}: ${textOf(service["Sentence"])}`);
    const own = tasks.filter((task) => task["ServiceID"] === service["ID"]);
    lines.push(...own.slice(0, TASKS_SHOWN_MAX).map((task) => `  ${taskLine(task)}`));
    if (own.length > TASKS_SHOWN_MAX) lines.push(`  and ${own.length - TASKS_SHOWN_MAX} more`);
  }
  const left = Number(plan["TasksLeftOut"] ?? 0);
  if (left > 0) lines.push("", `${left} more tasks are not listed.`);
  const losses = rows(plan["Losses"]);
  if (losses.length > 0) lines.push("", "Each node in turn, the worst first:", ...losses.map(lossLine));
  const without = services.reduce((sum, service) => sum + Number(service["Unplaced"] ?? 0), 0);
  lines.push(
    "",
    plan["Fits"] === true ? "Everything fits." : `Does not fit: ${count(without)} would find no node.`,
  );
  return lines;
}

function taskLine(task: Row): string {
  const from = textOf(inner(task, "Before")["NodeName"]);
  const to = textOf(inner(task, "After")["NodeName"]);
  const begins = task["After"] !== undefined;
  const way = [
    ...(task["Before"] === undefined ? [] : [from === "" ? "(waiting)" : from]),
    begins ? `-> ${to === "" ? "nowhere" : to}` : "ends",
  ].join(" ");
  const detail = textOf(task["Detail"]);
  const reason = textOf(task["Reason"]);
  const kind = textOf(task["Kind"]);
  const why = [kind === "node" || detail === "" ? detail || kind : `${kind}: ${detail}`];
  return `${textOf(task["Name"])}  ${way}  (${why.join("")})${reason === "" ? "" : `: ${reason}`}`;
}

function lossLine(loss: Row): string {
  const services = loss["Services"];
  const names = Array.isArray(services) && services.length > 0 ? ` (${services.join(", ")})` : "";
  const unplaced = Number(loss["Unplaced"] ?? 0);
  const fits = unplaced === 0 ? "all find another node" : `${count(unplaced)} would find no node${names}`;
  return `  ${textOf(loss["NodeName"])}: ${count(Number(loss["Tasks"] ?? 0))} there, ${fits}`;
}

const count = (tasks: number): string => `${tasks} task${tasks === 1 ? "" : "s"}`;
