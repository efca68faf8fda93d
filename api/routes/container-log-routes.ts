/**
 * /containers/{id}/logs. Edge: to the node's container streams.
 * Source: Docker Engine API, ContainerLogs.
 */
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { ContainerManager } from "../../proto/engine/containers.js";
import type { ContainerStreams } from "../../proto/engine/streams.js";
import { multiplexed } from "../attached-client.js";
import type { Exchange } from "../http-exchange.js";
import { logTail, logTimeNs } from "../log-query.js";
import { streamType } from "./attach-routes.js";
import type { Route } from "./route.js";

export interface ContainerLogRoutesOptions {
  readonly containers: Pick<ContainerManager, "get">;
  readonly streams: Pick<ContainerStreams, "logs">;
}

async function logs(exchange: Exchange, options: ContainerLogRoutesOptions): Promise<undefined> {
  const { id, specification } = options.containers.get(exchange.param("id"));
  const { tty } = specification;
  const [stdout, stderr] = [exchange.flag("stdout"), exchange.flag("stderr")];
  if (!stdout && !stderr)
    throw new InvalidArgumentError("Bad parameters: you must choose at least one stream");
  const signal = exchange.gone();
  const text = options.streams.logs(id, {
    follow: exchange.flag("follow"),
    tail: logTail(exchange.query.get("tail") ?? ""),
    sinceNs: logTimeNs(exchange.query.get("since") ?? ""),
    untilNs: logTimeNs(exchange.query.get("until") ?? ""),
    stdout,
    stderr,
    timestamps: exchange.flag("timestamps"),
    details: exchange.flag("details"),
    signal,
  });
  exchange.startStream(streamType(exchange, tty));
  try {
    for await (const bytes of text) if (!(await exchange.write(bytes))) break;
  } catch (error) {
    const data = Buffer.from(`Error grabbing logs: ${messageOf(error)}\n`);
    await exchange.write(tty ? data : multiplexed({ stream: 2, data }));
  }
  exchange.response.end();
  return undefined;
}

export function containerLogRoutes(options: ContainerLogRoutesOptions): Route[] {
  return [{ method: "GET", path: "/containers/:id/logs", handle: (exchange) => logs(exchange, options) }];
}
