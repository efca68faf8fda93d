/**
 * Counters of a container: one reading, or one per second for as long as the client listens. A reading alone
 * comes with one from shortly before, so that shares can be told.
 * Edge: to the shared feeds (stats-feeds.ts). A slow client misses readings, it does not queue them.
 * Source: Docker Engine API, ContainerStats: stream, one-shot.
 */
import type { Clock } from "../../base/clock/clock.js";
import { NotFoundError } from "../../base/errors/errors.js";
import type { ContainerManager, ContainerRecord } from "../../proto/engine/containers.js";
import type { ContainerFileAccess } from "../../proto/engine/files.js";
import { statsOut } from "../convert/stats-out.js";
import type { Exchange } from "../http-exchange.js";
import { StatsFeeds, type StatsReading } from "../stats-feeds.js";
import type { Route } from "./route.js";

export interface ContainerStatsOptions {
  readonly containers: Pick<ContainerManager, "find">;
  readonly files: Pick<ContainerFileAccess, "sample">;
  readonly clock: Clock;
}

export function containerStatsRoutes(options: ContainerStatsOptions): Route[] {
  const { containers } = options;
  const feeds = new StatsFeeds(options);
  const lines = async (exchange: Exchange, { id }: ContainerRecord): Promise<void> => {
    const signal = exchange.gone();
    const pending: StatsReading[] = [];
    let wake: (() => void) | undefined;
    const stop = feeds.listen(id, (reading) => {
      pending[0] = reading; // the newest counts
      wake?.();
    });
    signal.addEventListener("abort", () => wake?.(), { once: true });
    try {
      while (!signal.aborted) {
        const reading = pending.shift();
        if (reading === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        const record = containers.find(id);
        if (record === undefined) break; // removed
        const out = statsOut({ id, name: record.name, ...reading });
        if (!(await exchange.write(`${JSON.stringify(out)}\n`))) break;
      }
    } finally {
      stop();
    }
    exchange.response.end();
  };
  return [
    {
      method: "GET",
      path: "/containers/:id/stats",
      handle: async (exchange) => {
        const asked = exchange.param("id");
        const record = containers.find(asked);
        if (record === undefined) throw new NotFoundError(`No such container: ${asked}`);
        const stream = exchange.query.get("stream") === null || exchange.flag("stream");
        if (!stream && (exchange.flag("one-shot") || record.pid <= 0)) {
          const { id, name } = record;
          const sample = await feeds.now(id);
          return { status: 200, json: statsOut({ id, name, sample, before: undefined }) };
        }
        if (!stream) {
          const { id, name } = record;
          const reading = await feeds.pair(id, { signal: exchange.gone() });
          return { status: 200, json: statsOut({ id, name, ...reading }) };
        }
        exchange.startStream("application/json");
        await lines(exchange, record);
        return undefined;
      },
    },
  ];
}
