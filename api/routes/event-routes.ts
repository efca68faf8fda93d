/**
 * GET /events: containers of this node and, on a manager, the objects of the cluster, as JSON lines.
 * Edge: to the client's connection.
 */
import { AbortedError, InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { type JsonObject, parseTime } from "../convert/shape.js";
import { clusterEvent } from "../engine-events.js";
import type { EngineEvent, EventJournal } from "../event-journal.js";
import { type Filters, parseFilters } from "../filters.js";
import type { ClusterWatch } from "../grpc-cluster-watch.js";
import type { Exchange, Reply } from "../http-exchange.js";
import type { Route } from "./route.js";

/** Filters that name an object: by the beginning of its id or of its name. */
const OBJECT_KEYS = [
  "config",
  "container",
  "network",
  "node",
  "plugin",
  "secret",
  "stack",
  "service",
  "task",
  "volume",
];
/**
 * Events a slow client has not taken yet; past that its stream ends, so that it knows it missed something.
 */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;

/** What follows the number asked for is not kept any more. */
const GONE = 410;

export interface EventRoutesOptions {
  readonly journal: EventJournal;
  readonly watch: Pick<ClusterWatch, "live" | "past" | "after">;
  readonly nowMs: () => number;
  readonly daemon: Daemon;
}

/** Fields from before there were types: of containers and images alone. */
function legacyOf({ type, action, id, attributes }: EngineEvent): JsonObject {
  if (type === "container") return { status: action, id, from: attributes["image"] ?? "" };
  return type === "image" ? { status: action, id } : {};
}

export interface Daemon {
  readonly id: string;
  readonly name: string;
}

function eventOut(event: EngineEvent): JsonObject {
  const legacy = legacyOf(event);
  return {
    ...legacy,
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.id, Attributes: event.attributes },
    scope: event.scope,
    time: Math.floor(event.timeMs / 1000),
    timeNano: Math.round(event.timeMs * 1e6),
  };
}

/** All filters must hold; of the values of one, any. As Docker matches them, an object's name is not exact. */
export function wanted(event: EngineEvent, filters: Filters, daemon: Daemon): boolean {
  const { attributes, id, action, type } = event;
  const any = (key: string, test: (value: string) => boolean): boolean =>
    filters.get(key)?.some(test) ?? true;
  const name = attributes["name"] ?? "";
  return (
    any("type", (value) => value === type) &&
    any("event", (value) => value === action || value === action.split(":")[0]) &&
    any("scope", (value) => value === event.scope) &&
    any("daemon", (value) => type === "daemon" && (daemon.id === value || daemon.name === value)) &&
    any("label", (value) => {
      const at = value.indexOf("=");
      const key = at < 0 ? value : value.slice(0, at);
      return Object.hasOwn(attributes, key) && (at < 0 || attributes[key] === value.slice(at + 1));
    }) &&
    any("image", (value) => isOfImage(event, value)) &&
    OBJECT_KEYS.every((key) => any(key, (value) => id.startsWith(value) || name.startsWith(value)))
  );
}

/** Events of the image, and of containers made of it; the name with its tag or without. */
function isOfImage({ type, id, attributes }: EngineEvent, value: string): boolean {
  const name = attributes[type === "image" ? "name" : "image"] ?? "";
  return id === value || name === value || name.replace(/:[^:/]*$/, "") === value;
}

function timeIn(exchange: Exchange, name: string): number {
  const ms = parseTime(exchange.query.get(name) ?? "");
  if (ms === undefined)
    throw new InvalidArgumentError(`${name} must be a time as RFC 3339 or seconds since 1970`);
  return ms;
}

/**
 * `since` and `until` as Docker takes them: with either, what is kept from then on or up to then comes first;
 * an `until` that is past ends the stream with that.
 */
export function eventRoutes(options: EventRoutesOptions): Route[] {
  const { journal, watch, nowMs, daemon } = options;
  return [
    { method: "GET", path: "/events", handle: (exchange) => streamEvents(exchange) },
    { method: "GET", path: "/skein/v1/events", handle: (exchange) => numberedEvents(exchange, options) },
  ];

  /** The cluster's part is the manager's: it keeps more, and the same whoever asks. */
  async function withCluster(
    past: readonly EngineEvent[],
    sinceMs: number,
  ): Promise<{ events: readonly EngineEvent[]; numbers: ReadonlySet<string> }> {
    const ofCluster = (await watch.past(sinceMs)).map(clusterEvent);
    const numbers = new Set(ofCluster.map(({ attributes }) => attributes["index"] ?? "-"));
    const others = past.filter(({ attributes }) => !numbers.has(attributes["index"] ?? ""));
    return { events: [...others, ...ofCluster].sort((a, b) => a.timeMs - b.timeMs), numbers };
  }

  async function streamEvents(exchange: Exchange): Promise<undefined> {
    const { response } = exchange;
    const filters = parseFilters(exchange.query.get("filters"), "any");
    const [sinceMs, untilMs] = [timeIn(exchange, "since"), timeIn(exchange, "until")];
    if (untilMs > 0 && untilMs < sinceMs)
      throw new InvalidArgumentError(
        `\`since\` time (${exchange.query.get("since")}) cannot be after \`until\` time ` +
          `(${exchange.query.get("until")})`,
      );
    const client = exchange.gone();
    await watch.live(client);
    if (client.aborted) return undefined;
    const signal = untilMs > 0 ? exchange.gone({ withinMs: untilMs - nowMs() }) : client;
    const pastIsAsked = sinceMs > 0 || untilMs > 0;
    let waiting: EngineEvent[] | undefined = pastIsAsked ? [] : undefined;
    const send = (event: EngineEvent): void => {
      if (response.destroyed || response.writableEnded || !wanted(event, filters, daemon)) return;
      if (response.writableLength > UNSENT_BYTES_MAX) response.destroy();
      else response.write(`${JSON.stringify(eventOut(event))}\n`);
    };
    // Followed before the headers go out: what happens after the client has them is told.
    const onEvent = (event: EngineEvent): void => {
      if (waiting === undefined) send(event);
      else waiting.push(event); // for the time of one answer of the manager
    };
    const { past, stop } = journal.follow({ onEvent, onGap: () => response.end() });
    exchange.startStream("application/json");
    if (pastIsAsked) {
      const until = untilMs > 0 ? untilMs : Number.POSITIVE_INFINITY;
      const told = await withCluster(past, sinceMs);
      for (const event of told.events) if (event.timeMs >= sinceMs && event.timeMs <= until) send(event);
      for (const event of waiting ?? []) if (!told.numbers.has(event.attributes["index"] ?? "")) send(event);
      waiting = undefined;
    }
    if (untilMs === 0 || untilMs > nowMs()) await fired(signal);
    stop();
    response.end();
    return undefined;
  }
}

/** What the client asks for by number comes from the manager alone: what happens to containers has none. */
async function numberedEvents(exchange: Exchange, options: EventRoutesOptions): Promise<Reply | undefined> {
  const { daemon, watch } = options;
  const filters = parseFilters(exchange.query.get("filters"), "any");
  const signal = exchange.gone();
  await watch.live(signal);
  const { response } = exchange;
  try {
    for await (const event of watch.after(exchange.query.get("after") ?? "", signal)) {
      if (event === "begun") {
        exchange.startStream("application/json");
        continue;
      }
      const told = clusterEvent(event);
      if (wanted(told, filters, daemon) && !(await exchange.write(`${JSON.stringify(eventOut(told))}\n`)))
        break;
    }
  } catch (error) {
    const gap = error instanceof AbortedError ? { message: error.message, gap: true } : undefined;
    if (!response.headersSent && gap !== undefined) return { status: GONE, json: gap };
    if (!response.headersSent) throw error;
    await exchange.write(`${JSON.stringify(gap ?? { message: messageOf(error), gap: false })}\n`);
  }
  response.end();
  return undefined;
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
