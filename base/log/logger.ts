/**
 * Structured logging as a collaborator. Pure (interface, and the twin that keeps lines in memory).
 * A message is constant text; data goes into fields; secrets go nowhere.
 */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with fields on every line, usually `component`. */
  child(fields: LogFields): Logger;
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps the newest `linesMax` lines for a test to read. */
export class MemoryLogger implements Logger {
  readonly lines: LogLine[];
  readonly #fields: LogFields;
  readonly #linesMax: number;

  constructor(options: { linesMax?: number; fields?: LogFields; lines?: LogLine[] } = {}) {
    this.#linesMax = options.linesMax ?? 10_000;
    this.#fields = options.fields ?? {};
    this.lines = options.lines ?? [];
  }

  #add(level: LogLine["level"], message: string, fields: LogFields = {}): void {
    if (this.lines.length >= this.#linesMax) this.lines.shift();
    this.lines.push({ level, message, fields: { ...this.#fields, ...fields } });
  }

  debug(message: string, fields?: LogFields): void {
    this.#add("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#add("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#add("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#add("error", message, fields);
  }

  child(fields: LogFields): Logger {
    return new MemoryLogger({
      linesMax: this.#linesMax,
      fields: { ...this.#fields, ...fields },
      lines: this.lines,
    });
  }
}
