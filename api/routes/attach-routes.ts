/**
 * /containers/{id}/attach and resize. Edge: to the node's container streams.
 * Source: Docker Engine API, ContainerAttach; versions before 1.42 know one content type for both framings.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerManager } from "../../proto/engine/containers.js";
import type { ContainerStreams } from "../../proto/engine/streams.js";
import { joinClient } from "../attached-client.js";
import { parseDetachKeys } from "../detach-keys.js";
import type { Exchange } from "../http-exchange.js";
import { MULTIPLEXED, RAW } from "../log-frames.js";
import { acceptWebSocket } from "../ws-attach.js";
import type { Route } from "./route.js";

export interface AttachRoutesOptions {
  readonly containers: Pick<ContainerManager, "get" | "emit">;
  readonly streams: Pick<ContainerStreams, "attach" | "resize">;
}

const MULTIPLEXED_MINOR_MIN = 42;

export function streamType(exchange: Exchange, tty: boolean): string {
  return tty || exchange.apiMinor() < MULTIPLEXED_MINOR_MIN ? RAW : MULTIPLEXED;
}

/** A terminal's size from the query. @throws {InvalidArgumentError} in the words clients know. */
export function sizeOf(exchange: Exchange): { rows: number; columns: number } {
  return { rows: dimension(exchange.query.get("h")), columns: dimension(exchange.query.get("w")) };
}

const DIMENSION_MAX = 65_535;

function dimension(text: string | null): number {
  const given = text ?? "";
  const size = Number(given);
  if (!/^\d+$/.test(given))
    throw new InvalidArgumentError(`strconv.Atoi: parsing ${JSON.stringify(given)}: invalid syntax`);
  if (size > DIMENSION_MAX)
    throw new InvalidArgumentError(`strconv.Atoi: parsing ${JSON.stringify(given)}: value out of range`);
  return size;
}

export function attachRoutes(options: AttachRoutesOptions): Route[] {
  const { containers, streams } = options;
  return [
    {
      method: "POST",
      path: "/containers/:id/attach",
      handle: async (exchange) => {
        const container = containers.get(exchange.param("id"));
        const { tty } = container.specification;
        const keys = parseDetachKeys(exchange.query.get("detachKeys") ?? "");
        const stdin = exchange.flag("stdin");
        await exchange.dropUpgradeBody();
        const stream = await streams.attach(container.id, {
          stdin,
          stdout: exchange.flag("stdout"),
          stderr: exchange.flag("stderr"),
          logs: exchange.flag("logs"),
          stream: exchange.flag("stream"),
        });
        await joinClient(exchange.hijack(streamType(exchange, tty)), stream, {
          multiplexed: !tty,
          stdin,
          detachKeys: tty ? keys : undefined,
          onDetach: () => containers.emit(container.id, "detach"),
        });
        return undefined;
      },
    },
    {
      method: "GET",
      path: "/containers/:id/attach/ws",
      handle: async (exchange) => {
        const container = containers.get(exchange.param("id"));
        const keys = parseDetachKeys(exchange.query.get("detachKeys") ?? "");
        const wanted = ["stdin", "stdout", "stderr"].map((name) => exchange.flag(name));
        const [stdin = true, stdout = true, stderr = true] = wanted.includes(true) ? wanted : [];
        const logs = exchange.flag("logs");
        // The refusals come first: a connection that speaks websocket cannot give a status any more.
        const stream = await streams.attach(container.id, { stdin, stdout, stderr, logs, stream: true });
        const connection = await acceptWebSocket(exchange);
        if (connection === undefined) {
          stream.close();
          throw new InvalidArgumentError("this path speaks websocket only: an upgrade is needed");
        }
        await joinClient(connection, stream, {
          multiplexed: false,
          stdin,
          detachKeys: container.specification.tty ? keys : undefined,
          onDetach: () => containers.emit(container.id, "detach"),
        });
        return undefined;
      },
    },
    {
      method: "POST",
      path: "/containers/:id/resize",
      handle: async (exchange) => {
        const size = sizeOf(exchange);
        await streams.resize(containers.get(exchange.param("id")).id, size);
        return { status: 200 };
      },
    },
  ];
}
