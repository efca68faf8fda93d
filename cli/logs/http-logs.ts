/**
 * Follows a log endpoint and hands its frames on. Edge: to the API, the clock and standard output.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Context } from "../context.js";
import { parseDuration } from "../units.js";
import { LogFrameReader } from "./log-frames.js";

export interface LogFlags {
  readonly follow?: boolean;
  readonly since?: string;
  readonly until?: string;
  readonly tail?: string;
  readonly timestamps?: boolean;
  readonly details?: boolean;
}

/**
 * "10m" ago, RFC 3339, a date or seconds since 1970, as what the API takes.
 * @throws {InvalidArgumentError}
 */
export function sinceParameter(text: string, flag: string, nowMs: number): string {
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  if (/^[\d.]+(ns|us|ms|s|m|h)/.test(text)) return String((nowMs - parseDuration(text, flag) / 1e6) / 1000);
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw new InvalidArgumentError(
      `${flag} must be a time such as 2026-01-02T13:23:37Z or a duration such as 42m, got ${JSON.stringify(text)}`,
    );
  return String(ms / 1000);
}

export function logQuery(flags: LogFlags, details: boolean): Record<string, string> {
  const { tail = "all" } = flags;
  if (tail !== "all" && !/^-?\d+$/.test(tail))
    throw new InvalidArgumentError(`--tail must be a number of lines or "all", got ${JSON.stringify(tail)}`);
  const nowMs = Date.now();
  return {
    stdout: "1",
    stderr: "1",
    follow: flags.follow ? "1" : "0",
    timestamps: flags.timestamps ? "1" : "0",
    details: details ? "1" : "0",
    tail,
    ...(flags.since === undefined ? {} : { since: sinceParameter(flags.since, "--since", nowMs) }),
    ...(flags.until === undefined ? {} : { until: sinceParameter(flags.until, "--until", nowMs) }),
  };
}

/** Writes all of a log: as it comes from a terminal, else frame by frame through `format`. */
export async function printLog(
  context: Context,
  path: string,
  query: Record<string, string>,
  options: { readonly tty: boolean; readonly format?: (line: string) => Promise<string> },
): Promise<void> {
  const stream = await context.client().stream("GET", path, { query });
  const reader = new LogFrameReader();
  for await (const chunk of stream) {
    const bytes = chunk as Buffer; // no encoding is set
    if (options.tty) {
      await write(process.stdout, bytes);
      continue;
    }
    for (const { stream: name, data } of reader.push(bytes)) {
      const out = name === "stderr" ? process.stderr : process.stdout;
      await write(out, options.format === undefined ? data : await options.format(data.toString("utf8")));
    }
  }
}

async function write(out: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  if (!out.write(data)) await new Promise<void>((resolve) => out.once("drain", resolve));
}
