/**
 * The daemon's log: one JSON object a line on standard error. Edge: to pino and the process's streams.
 */
import { type Logger as Pino, pino } from "pino";
import type { LogFields, Logger } from "./logger.js";

class PinoLogger implements Logger {
  readonly #pino: Pino;

  constructor(instance: Pino) {
    this.#pino = instance;
  }

  debug(message: string, fields: LogFields = {}): void {
    this.#pino.debug(fields, message);
  }

  info(message: string, fields: LogFields = {}): void {
    this.#pino.info(fields, message);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#pino.warn(fields, message);
  }

  error(message: string, fields: LogFields = {}): void {
    this.#pino.error(fields, message);
  }

  child(fields: LogFields): Logger {
    return new PinoLogger(this.#pino.child(fields));
  }
}

/** @param options.level debug, info, warn or error. @default "info" */
export function createPinoLogger(options: { level?: string; name?: string } = {}): Logger {
  return new PinoLogger(
    pino(
      {
        level: options.level ?? "info",
        base: options.name === undefined ? {} : { name: options.name },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        serializers: { error: pino.stdSerializers.err },
      },
      pino.destination({ fd: 2, sync: true }),
    ),
  );
}
