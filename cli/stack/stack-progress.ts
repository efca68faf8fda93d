/**
 * A deployment as people watch it: a line for each service, repainted on a terminal; elsewhere a line for
 * each change. Pure over `write`.
 * Calm: a line says what matters now (what it waits for, how many run, what is wrong), and nothing else
 * moves.
 */
import type { StackServiceState, StackState } from "../../proto/stack-api.js";
import { oneLine } from "../output/printable.js";
import { causeText } from "./outcome.js";

export interface StackView {
  show(state: StackState): void;
  /** After the last `show`. */
  end(): void;
}

const MARKS: Readonly<Record<StackServiceState["State"], string>> = {
  waiting: "·",
  applied: "~",
  unchanged: "=",
  reached: "+",
  failed: "!",
  removed: "-",
};

/** "2/3 running"; of a job that has begun "1 completed", and what still runs. */
export function countsText({ Running, Desired, Completed }: StackServiceState): string {
  if (Completed === 0) return `${Running}/${Desired} running`;
  return `${Completed} completed${Running > 0 ? `, ${Running} running` : ""}`;
}

/** The counts say it already. */
const COUNTED = /^\d+ of \d+ tasks? (run|completed?)$/;

/** What a service does, without its name. */
export function serviceText(service: StackServiceState): string {
  const { State, Message, Trouble } = service;
  const counts = countsText(service);
  const aside = (text: string): string => (text === "" ? "" : `: ${text}`);
  switch (State) {
    case "waiting":
      return Message === "" ? "waiting" : Message;
    case "applied":
      return `${counts}${aside(Trouble || (COUNTED.test(Message) ? "" : Message))}`;
    case "unchanged":
      return `${counts}, unchanged${aside(Trouble)}`;
    case "reached":
      return `${counts}${aside(Trouble)}`;
    case "failed": {
      const causes = [Message, Trouble].filter((text, at, all) => text !== "" && all.indexOf(text) === at);
      return `failed${aside(causes.join("; "))}`;
    }
    case "removed":
      return "removed";
  }
}

export function headline(state: StackState): string {
  if (state.Gone === true) return `Stack ${state.Name}: removed`;
  const services = state.Services.filter(({ State }) => State !== "removed");
  const done = services.filter(({ State }) => State === "reached" || State === "unchanged").length;
  const counts = `${done} of ${services.length} services ready`;
  const revision = state.Revision === 0 ? "" : ` revision ${state.Revision}`;
  switch (state.Phase) {
    case "going back": {
      const to = state.GoingBackTo ?? state.GoodRevision;
      const target = to === 0 ? "removing what it made" : `going back to revision ${to}`;
      return `Stack ${state.Name}${revision} failed (${causeText(state.Failure)}): ${target}`;
    }
    case "removing":
      return `Stack ${state.Name}: removing, ${left(state)} of ${state.Services.length} services left`;
    case "went back":
    case "stuck":
      return `Stack ${state.Name}${revision} ${state.Phase}: ${causeText(state.Failure)}`;
    default:
      return `Stack ${state.Name}${revision}: ${counts}`;
  }
}

const left = (state: StackState): number => state.Services.filter(({ State }) => State !== "removed").length;

/** Of every update: the one before it ends. */
const ORDINARY = /^\S+: waits for the task before it on /;

/** While it waits, what for: how far that has come is told on its own line. */
function lineText(service: StackServiceState): string {
  if (service.State === "waiting") return serviceText(service).split(": ")[0] ?? "";
  return serviceText(ORDINARY.test(service.Trouble) ? { ...service, Trouble: "" } : service);
}

/** Which of several tasks it happened to, and to how many, is no news. */
const sameNews = (line: string): string =>
  line.replace(/: \S+\.\S+: /, ": ").replace(/ \(and \d+ more\)/, "");

/** Prints what changed: fit for files and pipes. */
export class PlainStackView implements StackView {
  readonly #write: (text: string) => void;
  readonly #shown = new Map<string, string>();

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  show(state: StackState): void {
    this.#once("", state.Phase === "going back" ? headline(state) : ""); // how it ended is told by the command
    for (const service of state.Services) this.#once(service.Key, `${service.Key}: ${lineText(service)}`);
  }

  end(): void {
    this.#shown.clear();
  }

  #once(key: string, line: string): void {
    const news = sameNews(line);
    if (this.#shown.get(key) === news) return;
    this.#shown.set(key, news);
    if (line !== "") this.#write(`${line}\n`);
  }
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** Repaints its lines in place. */
export class TerminalStackView implements StackView {
  readonly #write: (text: string) => void;
  readonly #size: () => ScreenSize;
  #painted: readonly string[] = [];

  constructor(write: (text: string) => void, size: () => ScreenSize) {
    this.#write = write;
    this.#size = size;
  }

  show(state: StackState): void {
    const { columns, rows } = this.#size();
    const width = Math.max(20, columns);
    const lines = [headline(state), ...this.#serviceLines(state, Math.max(4, rows - 3))]
      .map(oneLine)
      .map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line));
    if (lines.join("\n") === this.#painted.join("\n")) return;
    const up = this.#painted.length > 0 ? `\x1b[${this.#painted.length}A` : "";
    this.#write(`${up}${lines.map((line) => `\x1b[2K${line}\n`).join("")}\x1b[0J`);
    this.#painted = lines;
  }

  end(): void {
    this.#painted = [];
  }

  /** All when they fit on the screen; else those that move, and how many are left out. */
  #serviceLines({ Services }: StackState, linesMax: number): string[] {
    const width = Math.max(0, ...Services.map(({ Key }) => Key.length));
    const line = (service: StackServiceState): string =>
      ` ${MARKS[service.State]} ${service.Key.padEnd(width)}  ${serviceText(service)}`;
    if (Services.length <= linesMax) return Services.map(line);
    const order = ["failed", "applied", "waiting", "removed", "reached", "unchanged"];
    const shown = new Set(
      [...Services].sort((a, b) => order.indexOf(a.State) - order.indexOf(b.State)).slice(0, linesMax - 1),
    );
    return [
      ...Services.filter((service) => shown.has(service)).map(line),
      `   and ${Services.length - shown.size} more services`,
    ];
  }
}
