/**
 * The daemon's JSON-lines progress of pull, load and import as text. Pure over `write`.
 * On a terminal each id has one line that is repainted; elsewhere only changes of status are printed, not
 * each megabyte.
 */
import { oneLine } from "../output/printable.js";
import { size } from "../output/words.js";

interface ProgressMessage {
  readonly status?: string;
  readonly id?: string;
  readonly stream?: string;
  readonly error?: string;
  /** For programs: ids of what was built or pushed. */
  readonly aux?: unknown;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

/** A line of the stream may be that long. */
const LINE_BYTES_MAX = 1024 * 1024;
const BAR_WIDTH = 30;

export interface JsonProgressOptions {
  readonly terminal: boolean;
  readonly quiet: boolean;
}

export class JsonProgress {
  readonly #write: (text: string) => void;
  readonly #options: JsonProgressOptions;
  readonly #lines = new Map<string, string>();
  #rest = "";
  #painted = 0;

  constructor(write: (text: string) => void, options: JsonProgressOptions) {
    this.#write = write;
    this.#options = options;
  }

  /** @throws {Error} the failure that the stream tells. */
  push(chunk: string): void {
    const lines = `${this.#rest}${chunk}`.split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LINE_BYTES_MAX) throw new Error("the daemon's progress is not JSON lines");
    for (const line of lines.filter((each) => each.trim() !== ""))
      this.#take(JSON.parse(line) as ProgressMessage); // Docker's messages
  }

  #take(message: ProgressMessage): void {
    if (message.error !== undefined) throw new Error(message.error);
    if (message.stream !== undefined) {
      this.#printed(message.stream);
      return;
    }
    const { status = "", id } = message;
    if (this.#options.quiet || (status === "" && message.aux !== undefined)) return;
    if (id === undefined) this.#printed(`${status}\n`);
    else if (this.#options.terminal) this.#repaint(id, `${id}: ${status}${bar(message)}`);
    else if (this.#lines.get(id) !== status) {
      this.#lines.set(id, status);
      this.#write(`${id}: ${status}\n`);
    }
  }

  #printed(text: string): void {
    this.#lines.clear();
    this.#painted = 0;
    this.#write(text);
  }

  #repaint(id: string, line: string): void {
    this.#lines.set(id, oneLine(line));
    const up = this.#painted > 0 ? `\x1b[${this.#painted}A` : "";
    this.#write(`${up}${[...this.#lines.values()].map((each) => `\x1b[2K${each}\n`).join("")}`);
    this.#painted = this.#lines.size;
  }
}

function bar({ progressDetail }: ProgressMessage): string {
  const { current = 0, total = 0 } = progressDetail ?? {};
  if (total <= 0) return "";
  const filled = Math.min(BAR_WIDTH, Math.floor((current / total) * BAR_WIDTH));
  const drawn = `${"=".repeat(filled)}${filled < BAR_WIDTH ? ">" : ""}`.padEnd(BAR_WIDTH);
  return ` [${drawn}] ${size(current)}/${size(total)}`;
}
