/**
 * Files and processes of containers: copying both ways, changes, export, top.
 * Edge: to the node's access to containers' files. Bodies are streams, at the pace of the slower side; a
 * failure in the middle of an answer breaks the connection, so that nobody takes half a tar for a whole one.
 * Source: Docker Engine API, Container: archive, changes, export, top.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerFileAccess, PathStat } from "../../proto/engine/files.js";
import type { Exchange } from "../http-exchange.js";
import type { Route } from "./route.js";

const TAR = "application/x-tar";

function pathOf(exchange: Exchange): string {
  const path = exchange.query.get("path") ?? "";
  if (path === "") throw new InvalidArgumentError("bad parameter: path cannot be empty");
  if (path.includes("\0")) throw new InvalidArgumentError("bad parameter: path holds a NUL byte");
  return path.startsWith("/") ? path : `/${path}`;
}

/** The value of X-Docker-Container-Path-Stat. */
export function statHeader(stat: PathStat): string {
  const { name, sizeBytes, goMode, modifiedMs, linkTarget } = stat;
  const mtime = new Date(modifiedMs).toISOString();
  const json = JSON.stringify({ name, size: sizeBytes, mode: goMode, mtime, linkTarget });
  return Buffer.from(json).toString("base64");
}

async function sendStream(exchange: Exchange, stream: AsyncIterable<Uint8Array>): Promise<void> {
  const { response } = exchange;
  try {
    for await (const chunk of stream) if (!(await exchange.write(chunk))) return;
    response.end();
  } catch (error) {
    if (!response.headersSent) throw error;
    response.destroy();
  }
}

export function containerFileRoutes(files: ContainerFileAccess): Route[] {
  return [
    {
      method: "HEAD",
      path: "/containers/:id/archive",
      handle: async (exchange) => {
        const stat = await files.stat(exchange.param("id"), pathOf(exchange));
        exchange.response.setHeader("x-docker-container-path-stat", statHeader(stat));
        return { status: 200 };
      },
    },
    {
      method: "GET",
      path: "/containers/:id/archive",
      handle: async (exchange) => {
        const signal = exchange.gone();
        const { stat, tar } = await files.read(exchange.param("id"), pathOf(exchange), { signal });
        exchange.response.setHeader("x-docker-container-path-stat", statHeader(stat));
        exchange.startStream(TAR);
        await sendStream(exchange, tar);
        return undefined;
      },
    },
    {
      method: "PUT",
      path: "/containers/:id/archive",
      handle: async (exchange) => {
        const { request } = exchange;
        try {
          await files.write(exchange.param("id"), pathOf(exchange), exchange.bytes(), {
            noOverwriteDirNonDir: exchange.flag("noOverwriteDirNonDir"),
            copyUidGid: exchange.flag("copyUIDGID"),
            signal: exchange.gone(),
          });
        } finally {
          request.resume(); // the rest is read and dropped, so that the client comes to read the answer
        }
        return { status: 200 };
      },
    },
    {
      method: "GET",
      path: "/containers/:id/changes",
      handle: async (exchange) => {
        const changes = await files.changes(exchange.param("id"));
        const json = changes.map(({ path, kind }) => ({ Path: path, Kind: kind }));
        return { status: 200, json: json.length === 0 ? null : json };
      },
    },
    {
      method: "GET",
      path: "/containers/:id/export",
      handle: async (exchange) => {
        const tar = files.exportRootfs(exchange.param("id"), { signal: exchange.gone() });
        const iterator = tar[Symbol.asyncIterator]();
        const first = await iterator.next(); // a refusal has a status of its own
        exchange.startStream("application/octet-stream");
        if (first.done !== true) await exchange.write(first.value);
        await sendStream(exchange, { [Symbol.asyncIterator]: () => iterator });
        return undefined;
      },
    },
    {
      method: "GET",
      path: "/containers/:id/top",
      handle: async (exchange) => {
        const list = await files.top(exchange.param("id"), exchange.query.get("ps_args") ?? "");
        return { status: 200, json: { Titles: list.titles, Processes: list.processes } };
      },
    },
  ];
}
