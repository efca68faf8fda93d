/**
 * /containers: listing, details and logs of what runs on this node. Edge: to the node's container manager.
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import {
  type ContainerDetailParts,
  containerOut,
  containerSummaryOut,
  TASK_LABEL,
} from "../convert/container-out.js";
import { parseTime } from "../convert/shape.js";
import type { ContainerBackend, EngineContainer } from "../engine-ports.js";
import { labelFilters, parseFilters, refuseFilters } from "../filters.js";
import type { Exchange } from "../http-exchange.js";
import { frame, MULTIPLEXED, RAW } from "../log-frames.js";
import type { Route } from "./route.js";

const FILTER_KEYS = [
  "ancestor",
  "before",
  "expose",
  "exited",
  "health",
  "id",
  "isolation",
  "is-task",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
];
/** Known to Docker; ignoring them would show what was not asked for. */
const UNSUPPORTED_FILTERS = ["expose", "isolation", "network", "publish", "volume"];

function timeIn(exchange: Exchange, name: string): number {
  const ms = parseTime(exchange.query.get(name) ?? "");
  if (ms === undefined)
    throw new InvalidArgumentError(`${name} must be a time as RFC 3339 or seconds since 1970`);
  return ms;
}

/** Names are matched as Docker matches them: as a pattern, with or without the slash before them. */
function matchesName(name: string, wanted: string): boolean {
  try {
    const pattern = new RegExp(wanted);
    return pattern.test(name) || pattern.test(`/${name}`);
  } catch (error) {
    if (error instanceof SyntaxError) return name.includes(wanted);
    throw error;
  }
}

export interface ContainerRoutesOptions extends ContainerDetailParts {
  readonly containers: ContainerBackend;
  readonly nowMs: () => number;
}

export function containerRoutes(options: ContainerRoutesOptions): Route[] {
  const { containers, images, nowMs } = options;
  const find = (id: string): EngineContainer => {
    const container = containers.find(id);
    if (container === undefined) throw new NotFoundError(`No such container: ${id}`);
    return container;
  };
  return [
    {
      method: "GET",
      path: "/containers/json",
      handle: async (exchange) => {
        const filters = parseFilters(exchange.query.get("filters"), FILTER_KEYS);
        refuseFilters(filters, UNSUPPORTED_FILTERS);
        const { labels, keys } = labelFilters(filters.get("label"));
        const any = (key: string, test: (value: string) => boolean): boolean =>
          filters.get(key)?.some(test) ?? true;
        const limit = Number(exchange.query.get("limit") ?? 0);
        const all = exchange.flag("all") || limit > 0 || filters.has("status") || filters.has("exited");
        const list = containers
          .list()
          .filter((container) => all || container.state === "running")
          .filter((container) => {
            const own = container.specification.labels;
            return (
              Object.entries(labels).every(([key, value]) => own[key] === value) &&
              keys.every((key) => Object.hasOwn(own, key)) &&
              any("id", (value) => container.id.startsWith(value)) &&
              any("name", (value) => matchesName(container.name, value)) &&
              any("status", (value) => container.state === value) &&
              any(
                "exited",
                (value) => container.state === "exited" && container.exitCode === Number(value),
              ) &&
              any("health", (value) => (container.health || "none") === value) &&
              any("is-task", (value) => (value === "true") === TASK_LABEL in own) &&
              any("ancestor", (value) => container.imageId === images.find(value)?.id) &&
              any("before", (value) => container.createdMs < find(value).createdMs) &&
              any("since", (value) => container.createdMs > find(value).createdMs)
            );
          })
          .sort((a, b) => b.createdMs - a.createdMs);
        const shown = limit > 0 ? list.slice(0, limit) : list;
        return {
          status: 200,
          json: shown.map((container) => containerSummaryOut(container, images, nowMs())),
        };
      },
    },
    {
      method: "GET",
      path: "/containers/:id/json",
      handle: async (exchange) => ({ status: 200, json: containerOut(find(exchange.param("id")), options) }),
    },
    {
      method: "GET",
      path: "/containers/:id/logs",
      handle: async (exchange) => {
        const container = find(exchange.param("id"));
        const tail = exchange.query.get("tail") ?? "all";
        const [stdout, stderr] = [exchange.flag("stdout"), exchange.flag("stderr")];
        if (!stdout && !stderr)
          throw new InvalidArgumentError("Bad parameters: you must choose at least one stream");
        const signal = exchange.gone();
        const records = containers.logs(container.id, {
          follow: exchange.flag("follow"),
          tail: /^\d+$/.test(tail) ? Number(tail) : -1,
          sinceMs: timeIn(exchange, "since"),
          untilMs: timeIn(exchange, "until"),
          stdout,
          stderr,
          signal,
        });
        const { tty } = container.specification;
        exchange.startStream(tty ? RAW : MULTIPLEXED);
        const timestamps = exchange.flag("timestamps");
        for await (const record of records) {
          const prefix = timestamps ? `${record.timestamp} ` : "";
          const data = tty
            ? Buffer.concat([Buffer.from(prefix), record.data])
            : frame(record.stream, prefix, record.data);
          if (!(await exchange.write(data))) break;
        }
        exchange.response.end();
        return undefined;
      },
    },
  ];
}
