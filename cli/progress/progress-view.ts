/**
 * Progress of services as people see it: repainted lines on a terminal, one line per change elsewhere. Pure
 * over `write`.
 */
import { oneLine } from "../output/printable.js";
import type { Convergence, SlotProgress } from "./convergence.js";

export interface ProgressView {
  show(name: string, progress: Convergence): void;
  /** After the last `show`. */
  end(): void;
}

/** More slots than this are summed up in the first line alone. */
const SLOTS_SHOWN_MAX = 20;

function headline(name: string, progress: Convergence, several: boolean): string {
  const done = progress.noun === "completed" ? " completed" : "";
  const tasks = `overall progress: ${progress.ready} out of ${progress.wanted} tasks${done}`;
  return several ? `${name}: ${tasks}` : tasks;
}

function slotLine(slot: SlotProgress): string {
  return `${slot.label}: ${slot.error === "" ? slot.state : `${slot.state}: ${slot.error}`}`;
}

/** Prints what changed: fit for files and pipes. */
export class PlainProgress implements ProgressView {
  readonly #write: (text: string) => void;
  readonly #several: boolean;
  readonly #shown = new Map<string, string>();

  constructor(write: (text: string) => void, options: { readonly several: boolean }) {
    this.#write = write;
    this.#several = options.several;
  }

  show(name: string, progress: Convergence): void {
    this.#once(name, headline(name, progress, this.#several));
    for (const slot of progress.slots.filter(({ error }) => error !== "")) {
      const line = `${this.#several ? `${name} ` : ""}${slot.label}: ${slot.error}`;
      this.#once(`${name}/${slot.label}`, line);
    }
  }

  end(): void {
    this.#shown.clear();
  }

  #once(key: string, line: string): void {
    if (this.#shown.get(key) === line) return;
    this.#shown.set(key, line);
    this.#write(`${line}\n`);
  }
}

/** Repaints its lines in place. */
export class TerminalProgress implements ProgressView {
  readonly #write: (text: string) => void;
  readonly #columns: () => number;
  readonly #several: boolean;
  readonly #progress = new Map<string, Convergence>();
  #lines = 0;

  constructor(
    write: (text: string) => void,
    options: { readonly several: boolean; readonly columns: () => number },
  ) {
    this.#write = write;
    this.#several = options.several;
    this.#columns = options.columns;
  }

  show(name: string, progress: Convergence): void {
    this.#progress.set(name, progress);
    const lines = [...this.#progress].flatMap(([each, state]) => this.#linesOf(each, state));
    const width = Math.max(20, this.#columns());
    const up = this.#lines > 0 ? `\x1b[${this.#lines}A` : "";
    const painted = lines
      .map(oneLine)
      .map((line) => `\x1b[2K${line.length > width ? `${line.slice(0, width - 1)}…` : line}\n`)
      .join("");
    this.#write(`${up}${painted}\x1b[0J`);
    this.#lines = lines.length;
  }

  end(): void {
    this.#progress.clear();
    this.#lines = 0;
  }

  #linesOf(name: string, progress: Convergence): string[] {
    const faulty = progress.slots.filter(({ error }) => error !== "");
    const slots = this.#several
      ? faulty.slice(0, 3)
      : progress.slots.length <= SLOTS_SHOWN_MAX
        ? progress.slots
        : faulty.slice(0, SLOTS_SHOWN_MAX);
    return [
      headline(name, progress, this.#several),
      ...slots.map((slot) => `${this.#several ? "  " : ""}${slotLine(slot)}`),
    ];
  }
}
