/**
 * A line of a service's log as people read it: `web.2.k3f…@host1    | text`. Pure.
 * With details asked for, the daemon puts `com.docker.swarm.node.id=…,…service.id=…,…task.id=…` before the
 * text, behind the timestamp.
 */
import { textOf } from "../context.js";
import type { Row } from "../output/table.js";
import { shortId } from "../output/words.js";

export interface LogNames {
  /** Tasks by id, as far as known. */
  readonly tasks: ReadonlyMap<string, Row>;
  readonly serviceNames: ReadonlyMap<string, string>;
  readonly nodeNames: ReadonlyMap<string, string>;
}

export interface LogLineOptions {
  readonly timestamps: boolean;
  /** Also the rest of the details, before the text. */
  readonly details: boolean;
  readonly noResolve: boolean;
  readonly noTaskIds: boolean;
  readonly noTrunc: boolean;
  /** Width of the widest slot number, for a straight edge. */
  readonly slotWidth: number;
}

const OWN = ["com.docker.swarm.node.id", "com.docker.swarm.service.id", "com.docker.swarm.task.id"];

/** Ids of a line's details; undefined when the line carries none, as a warning of the daemon. */
export function detailsOf(word: string): ReadonlyMap<string, string> | undefined {
  if (!word.startsWith("com.docker.swarm.")) return undefined;
  return new Map(
    word.split(",").map((pair): [string, string] => {
      const at = pair.indexOf("=");
      return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

export function formatLogLine(line: string, names: LogNames, options: LogLineOptions): string {
  const words = line.split(" ");
  const timestamp = options.timestamps ? (words.shift() ?? "") : undefined;
  const details = detailsOf(words[0] ?? "");
  if (details === undefined) return line;
  words.shift();
  const others = [...details].filter(([key]) => !OWN.includes(key)).map(([key, value]) => `${key}=${value}`);
  const lead = timestamp === undefined ? "" : `${timestamp} `;
  const extra = options.details && others.length > 0 ? `${others.join(",")} ` : "";
  return `${lead}${origin(details, names, options)}    | ${extra}${words.join(" ")}`;
}

function origin(details: ReadonlyMap<string, string>, names: LogNames, options: LogLineOptions): string {
  const [nodeId = "", serviceId = "", taskId = ""] = OWN.map((key) => details.get(key));
  const service = options.noResolve ? serviceId : (names.serviceNames.get(serviceId) ?? serviceId);
  const node = options.noResolve ? nodeId : (names.nodeNames.get(nodeId) ?? nodeId);
  const slot = names.tasks.get(taskId)?.["Slot"];
  const place = slot === undefined ? (options.noTrunc ? nodeId : shortId(nodeId)) : textOf(slot);
  const task = options.noTaskIds ? "" : `.${options.noTrunc ? taskId : shortId(taskId)}`;
  const padding = slot === undefined ? "" : " ".repeat(Math.max(0, options.slotWidth - place.length));
  return `${service}.${place}${task}@${node}${padding}`;
}
