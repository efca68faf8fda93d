/**
 * `service why` for people: the reason first, then each slot's story, newest task first. Pure.
 */
import { inner, textOf } from "../context.js";
import type { Row } from "./table.js";
import { shortId } from "./words.js";

/** The API's lists hold objects. */
const rowsOf = (value: unknown): readonly Row[] => (Array.isArray(value) ? (value as Row[]) : []);

const PHASE_WORDS: Readonly<Record<string, string>> = {
  allocate: "addresses",
  schedule: "node",
  assign: "accepted",
  pull: "image",
  prepare: "prepared",
  start: "started",
  healthy: "healthy",
  run: "ran",
  stop: "stopped",
};
const OPEN_WORDS: Readonly<Record<string, string>> = {
  allocate: "waits for addresses",
  schedule: "waits for a node",
  assign: "waits to be accepted",
  pull: "fetches its image",
  prepare: "is prepared",
  start: "waits for its start",
  healthy: "waits for its health",
  run: "runs",
  stop: "stops",
};

/** "12 ms", "1.2 s", "75 s", "12 min", "3 h 5 min". */
export function lengthText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${Math.round(ms / 100) / 10} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** "09:55:01 UTC" of today, with the date of another day. */
function clock(instant: unknown, now: unknown): string {
  const text = textOf(instant);
  const time = text.slice(11, 19);
  return text.slice(0, 10) === textOf(now).slice(0, 10) ? time : `${text.slice(0, 10)} ${time}`;
}

export function serviceWhyLines(why: Row): readonly string[] {
  const lines = [textOf(why["Headline"])];
  for (const advice of Array.isArray(why["Advice"]) ? why["Advice"] : [])
    lines.push(`  try: ${textOf(advice)}`);
  const update = inner(why, "Update");
  if (textOf(update["State"]) !== "") {
    const message = textOf(update["Message"]);
    const at = textOf(update["CompletedAt"]) || textOf(update["StartedAt"]);
    lines.push(
      `  update: ${textOf(update["State"])} at ${clock(at, why["Now"])}${message === "" ? "" : `, ${message}`}`,
    );
  }
  if (textOf(why["LastChange"]) !== "") lines.push(`  last change: ${textOf(why["LastChange"])}`);
  for (const slot of rowsOf(why["Slots"])) {
    lines.push("");
    for (const [at, task] of rowsOf(slot["Tasks"]).entries())
      lines.push(...taskWhyLines(task, { now: why["Now"], isOlder: at > 0 }));
  }
  const left = Number(why["SlotsLeftOut"] ?? 0);
  if (left > 0)
    lines.push("", `and ${left} more slots; of one: skein service why ${textOf(why["Name"])}.SLOT`);
  return lines;
}

export function taskWhyLines(
  task: Row,
  { now, isOlder = false }: { readonly now?: unknown; readonly isOlder?: boolean } = {},
): readonly string[] {
  const indent = isOlder ? "   " : "";
  const name = isOlder ? `\\_ ${textOf(task["Name"])}` : textOf(task["Name"]);
  const lines = [`${isOlder ? " " : ""}${name} ${shortId(textOf(task["ID"]))}: ${textOf(task["Sentence"])}`];
  const add = (text: string): void => {
    lines.push(`${indent}  ${text}`);
  };
  if (textOf(task["Detail"]) !== "") add(`the node said: ${textOf(task["Detail"])}`);
  if (!isOlder && textOf(task["Advice"]) !== "") add(`try: ${textOf(task["Advice"])}`);
  const at = clock(task["CreatedAt"], now ?? task["CreatedAt"]);
  const replaces = textOf(task["Replaces"]);
  const before = replaces === "" ? "" : `, after ${shortId(replaces)}`;
  add(`${at} made for: ${textOf(task["CreatedBecause"]) || "create"}${before}`);
  for (const wait of rowsOf(task["Waits"])) add(waitLine(wait, now ?? task["CreatedAt"]));
  const phases = rowsOf(task["Phases"]).map(phaseText);
  if (phases.length > 0) add(phases.join(", "));
  const stopped = textOf(task["StoppedBecause"]);
  if (stopped !== "") add(`told to stop: ${stopped}`);
  const next = textOf(task["ReplacedBy"]);
  if (next !== "") add(`replaced by ${shortId(next)}`);
  return lines;
}

function waitLine(wait: Row, now: unknown): string {
  const until = textOf(wait["Until"]);
  const from = Date.parse(textOf(wait["Since"]));
  const length = until === "" ? "still" : `for ${lengthText(Date.parse(until) - from)}`;
  return `${clock(wait["Since"], now)} waited ${length}: ${textOf(wait["Message"])}`;
}

function phaseText(phase: Row): string {
  const word = textOf(phase["Phase"]);
  const length = lengthText(Number(phase["DurationMs"] ?? 0));
  return phase["Open"] === true
    ? `${OPEN_WORDS[word] ?? word} for ${length}`
    : `${PHASE_WORDS[word] ?? word} ${word === "run" ? "for" : "in"} ${length}`;
}
