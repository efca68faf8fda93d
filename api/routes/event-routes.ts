/**
 * GET /events: containers of this node and, on a manager, the objects of the cluster, as JSON lines.
 * Edge: to the client's connection.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type JsonObject, parseTime } from "../convert/shape.js";
import type { EngineEvent, EventJournal } from "../event-journal.js";
import { type Filters, parseFilters } from "../filters.js";
import type { ClusterWatch } from "../grpc-cluster-watch.js";
import type { Exchange } from "../http-exchange.js";
import type { Route } from "./route.js";

const FILTER_KEYS = [
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "task",
  "type",
  "volume",
];
/** Filters that name an object: by the beginning of its id or of its name. */
const OBJECT_KEYS = [
  "config",
  "container",
  "network",
  "node",
  "plugin",
  "secret",
  "service",
  "task",
  "volume",
];
/**
 * Events a slow client has not taken yet; past that its stream ends, so that it knows it missed something.
 */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;

export interface EventRoutesOptions {
  readonly journal: EventJournal;
  readonly watch: Pick<ClusterWatch, "live">;
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
export function eventRoutes({ journal, watch, nowMs, daemon }: EventRoutesOptions): Route[] {
  return [{ method: "GET", path: "/events", handle: (exchange) => streamEvents(exchange) }];

  async function streamEvents(exchange: Exchange): Promise<undefined> {
    const { response } = exchange;
    const filters = parseFilters(exchange.query.get("filters"), FILTER_KEYS);
    const [sinceMs, untilMs] = [timeIn(exchange, "since"), timeIn(exchange, "until")];
    if (untilMs > 0 && untilMs < sinceMs)
      throw new InvalidArgumentError("`since` time cannot be after `until` time");
    const client = exchange.gone();
    await watch.live(client);
    if (client.aborted) return undefined;
    const signal = untilMs > 0 ? exchange.gone({ withinMs: untilMs - nowMs() }) : client;
    const send = (event: EngineEvent): void => {
      if (response.destroyed || response.writableEnded || !wanted(event, filters, daemon)) return;
      if (response.writableLength > UNSENT_BYTES_MAX) response.destroy();
      else response.write(`${JSON.stringify(eventOut(event))}\n`);
    };
    // Followed before the headers go out: what happens after the client has them is told.
    const { past, stop } = journal.follow({ onEvent: send, onGap: () => response.end() });
    exchange.startStream("application/json");
    if (sinceMs > 0 || untilMs > 0) {
      const until = untilMs > 0 ? untilMs : Number.POSITIVE_INFINITY;
      for (const event of past) if (event.timeMs >= sinceMs && event.timeMs <= until) send(event);
    }
    if (untilMs === 0 || untilMs > nowMs()) await fired(signal);
    stop();
    response.end();
    return undefined;
  }
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
