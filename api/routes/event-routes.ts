/**
 * GET /events: containers of this node and, on a manager, the objects of the cluster, as JSON lines.
 * Edge: to both sources.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type JsonObject, parseTime } from "../convert/shape.js";
import type { ContainerBackend } from "../engine-ports.js";
import { type Filters, parseFilters } from "../filters.js";
import type { Exchange } from "../http-exchange.js";
import type { ManagerClients } from "../manager-clients.js";
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
const OBJECT_KEYS = [
  "config",
  "container",
  "image",
  "network",
  "node",
  "secret",
  "service",
  "task",
  "volume",
];
/**
 * Events a slow client has not taken yet; past that its stream ends, so that it knows it missed something.
 */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;

interface EngineEvent {
  readonly type: string;
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly scope: "local" | "swarm";
  readonly timeMs: number;
}

function eventOut(event: EngineEvent): JsonObject {
  const legacy =
    event.type === "container"
      ? { status: event.action, id: event.id, from: event.attributes["image"] ?? "" }
      : {};
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

function wanted(event: EngineEvent, filters: Filters): boolean {
  const any = (key: string, test: (value: string) => boolean): boolean =>
    filters.get(key)?.some(test) ?? true;
  const objects = OBJECT_KEYS.filter((key) => filters.has(key));
  const named = objects.some(
    (key) =>
      key === event.type &&
      any(key, (value) => event.id.startsWith(value) || event.attributes["name"] === value),
  );
  return (
    any("type", (value) => value === event.type) &&
    any("event", (value) => value === event.action) &&
    any("scope", (value) => value === event.scope) &&
    any("label", (value) => {
      const at = value.indexOf("=");
      const key = at < 0 ? value : value.slice(0, at);
      return at < 0 ? Object.hasOwn(event.attributes, key) : event.attributes[key] === value.slice(at + 1);
    }) &&
    (objects.length === 0 || named)
  );
}

export function eventRoutes(options: {
  clients: ManagerClients;
  containers: ContainerBackend;
  isManager: () => boolean;
}): Route[] {
  const { clients, containers, isManager } = options;
  return [{ method: "GET", path: "/events", handle: (exchange) => streamEvents(exchange) }];

  async function streamEvents(exchange: Exchange): Promise<undefined> {
    const filters = parseFilters(exchange.query.get("filters"), FILTER_KEYS);
    const untilMs = parseTime(exchange.query.get("until") ?? "");
    if (untilMs === undefined)
      throw new InvalidArgumentError("until must be a time as RFC 3339 or seconds since 1970");
    const signal = exchange.gone(untilMs > 0 ? { withinMs: untilMs - Date.now() } : {});
    exchange.startStream("application/json");
    const send = (event: EngineEvent): void => {
      if (signal.aborted || !wanted(event, filters)) return;
      if (exchange.response.writableLength > UNSENT_BYTES_MAX) exchange.response.destroy();
      else exchange.response.write(`${JSON.stringify(eventOut(event))}\n`);
    };
    const unsubscribe = containers.onEvent(({ kind, container, timeMs }) =>
      send({
        type: "container",
        action: kind === "health" ? `health_status: ${container.health}` : kind,
        id: container.id,
        attributes: {
          ...container.specification.labels,
          image: container.specification.image,
          name: container.name,
          ...(kind === "die" ? { exitCode: String(container.exitCode) } : {}),
        },
        scope: "local",
        timeMs,
      }),
    );
    const call = isManager() ? clients.control().watchEvents({ sinceIndex: 0 }) : undefined;
    call?.on(
      "data",
      (event: {
        type: string;
        action: string;
        id: string;
        attributes: Record<string, string>;
        timeMs: number;
      }) => send({ ...event, scope: "swarm" }),
    );
    call?.on("end", () => exchange.response.end()); // a client whose stream ends asks again
    call?.on("error", () => {
      // Cancelled by us, or the manager went away: then the client's stream ends and it asks again.
      if (!signal.aborted) exchange.response.end();
    });
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    unsubscribe();
    call?.cancel();
    exchange.response.end();
    return undefined;
  }
}
