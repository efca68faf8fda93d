/**
 * The Dockerfile lines that `import --change` and `commit --change` take, applied to a run config.
 * Pure. Source: Dockerfile reference: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER,
 * VOLUME, WORKDIR.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ImageConfig } from "./image-store.js";

type Apply = (config: ImageConfig, rest: string) => ImageConfig;

/** @throws {InvalidArgumentError} naming the line and what is wrong with it. */
export function applyChanges(config: ImageConfig, changes: readonly string[]): ImageConfig {
  return changes
    .flatMap((text) => text.split("\n"))
    .reduce((current, line) => {
      const match = /^\s*([A-Za-z]+)(?:\s+([\s\S]*?))?\s*$/.exec(line);
      if (line.trim() === "" || line.trim().startsWith("#")) return current;
      const apply = INSTRUCTIONS[match?.[1]?.toUpperCase() ?? ""];
      if (match === null || apply === undefined) {
        throw new InvalidArgumentError(
          `${JSON.stringify(line)} is not a valid change command: ` +
            `use ${Object.keys(INSTRUCTIONS).join(", ")}`,
        );
      }
      const rest = match[2] ?? "";
      if (rest === "")
        throw new InvalidArgumentError(`${match[1]?.toUpperCase()} requires at least one argument`);
      return apply(current, rest);
    }, config);
}

const INSTRUCTIONS: Readonly<Record<string, Apply>> = {
  CMD: (config, rest) => ({ ...config, cmd: commandOf(rest, config) }),
  ENTRYPOINT: (config, rest) => ({ ...config, entrypoint: commandOf(rest, config) }),
  ENV: (config, rest) => {
    const added = pairsOf(rest, "ENV");
    const names = new Set(added.map(([name]) => name));
    const kept = config.env.filter((entry) => !names.has(entry.split("=", 1)[0] ?? ""));
    return { ...config, env: [...kept, ...added.map(([name, value]) => `${name}=${value}`)] };
  },
  EXPOSE: (config, rest) => {
    const ports = wordsOf(rest).map((word) => {
      if (!/^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/.test(word))
        throw new InvalidArgumentError(`EXPOSE: invalid port ${word}`);
      return word.includes("/") ? word : `${word}/tcp`;
    });
    return { ...config, exposedPorts: [...new Set([...config.exposedPorts, ...ports])].sort() };
  },
  HEALTHCHECK: (config, rest) => ({ ...config, healthcheck: healthcheckOf(rest) }),
  LABEL: (config, rest) => ({
    ...config,
    labels: { ...config.labels, ...Object.fromEntries(pairsOf(rest, "LABEL")) },
  }),
  STOPSIGNAL: (config, rest) => ({ ...config, stopSignal: rest }),
  USER: (config, rest) => ({ ...config, user: rest }),
  VOLUME: (config, rest) => {
    const paths = jsonArrayOf(rest) ?? wordsOf(rest);
    return { ...config, volumes: [...new Set([...config.volumes, ...paths])].sort() };
  },
  WORKDIR: (config, rest) => {
    if (rest.startsWith("/")) return { ...config, workingDir: rest };
    const base = config.workingDir === "" || config.workingDir === "/" ? "" : config.workingDir;
    return { ...config, workingDir: `${base}/${rest}` };
  },
};

function commandOf(rest: string, config: ImageConfig): readonly string[] {
  const shell = config.shell.length > 0 ? config.shell : ["/bin/sh", "-c"];
  return jsonArrayOf(rest) ?? [...shell, rest];
}

/** @returns the strings of a JSON array; undefined when the text is not one (then it is the shell form). */
function jsonArrayOf(text: string): readonly string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // as in a Dockerfile: not JSON, so the shell form
    throw error;
  }
  return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
}

/** Words separated by blanks, with quotes and backslashes taken away. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  const pattern = /(?:[^\s"'\\]|\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|'[^']*')+/g;
  for (const match of text.matchAll(pattern)) {
    words.push(
      match[0].replace(
        /"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'|\\([\s\S])/g,
        (_all, double?: string, single?: string, escaped?: string) =>
          double !== undefined ? double.replace(/\\(["\\$])/g, "$1") : (single ?? escaped ?? ""),
      ),
    );
  }
  return words;
}

function pairsOf(rest: string, instruction: string): [string, string][] {
  const old = /^([^\s=]+)\s+(.+)$/s.exec(rest); // the old form: ENV name the whole rest
  if (old !== null) return [[old[1] ?? "", wordsOf(old[2] ?? "").join(" ")]];
  return wordsOf(rest).map((word) => {
    const equals = word.indexOf("=");
    if (equals <= 0)
      throw new InvalidArgumentError(`${instruction}: ${JSON.stringify(word)} must have the form name=value`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

function healthcheckOf(rest: string): ImageConfig["healthcheck"] {
  const none = { intervalMs: 0, timeoutMs: 0, startPeriodMs: 0, startIntervalMs: 0, retries: 0 };
  if (/^none$/i.test(rest)) return { test: ["NONE"], ...none };
  const match = /^((?:--\S+\s+)*)CMD\s+([\s\S]+)$/i.exec(rest);
  if (match === null)
    throw new InvalidArgumentError("HEALTHCHECK takes NONE, or [--option=value …] CMD command");
  const numbers = { ...none };
  for (const flag of wordsOf(match[1] ?? "")) {
    const [name = "", value = ""] = flag.slice(2).split("=", 2);
    if (name === "retries") numbers.retries = Number.parseInt(value, 10) || 0;
    else if (name === "interval") numbers.intervalMs = durationMsOf(value);
    else if (name === "timeout") numbers.timeoutMs = durationMsOf(value);
    else if (name === "start-period") numbers.startPeriodMs = durationMsOf(value);
    else if (name === "start-interval") numbers.startIntervalMs = durationMsOf(value);
    else throw new InvalidArgumentError(`HEALTHCHECK: unknown flag --${name}`);
  }
  const exec = jsonArrayOf(match[2] ?? "");
  return { test: exec === undefined ? ["CMD-SHELL", match[2] ?? ""] : ["CMD", ...exec], ...numbers };
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function durationMsOf(text: string): number {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text))
    throw new InvalidArgumentError(`HEALTHCHECK: invalid duration ${JSON.stringify(text)}`);
  let totalMs = 0;
  for (const part of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    totalMs += Number(part[1]) * (DURATION_UNITS[part[2] ?? ""] ?? 0);
  }
  return totalMs;
}
