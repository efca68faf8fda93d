/**
 * /containers/{id}/exec and /exec. Edge: to the node's container streams.
 * The connection is taken over before the command starts, as clients expect; what then goes wrong is told in
 * its output.
 * Source: Docker Engine API, Exec.
 */
import { FailedPreconditionError, InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { ContainerManager } from "../../proto/engine/containers.js";
import type { ContainerStreams, ExecRecord, ExecSpecification } from "../../proto/engine/streams.js";
import { joinClient, multiplexed } from "../attached-client.js";
import type { Fields } from "../convert/fields.js";
import type { JsonValue } from "../convert/shape.js";
import { parseDetachKeys } from "../detach-keys.js";
import type { Exchange } from "../http-exchange.js";
import { sizeOf, streamType } from "./attach-routes.js";
import type { Route } from "./route.js";

const HAS_PROCESSES: ReadonlySet<string> = new Set(["running", "paused", "restarting"]);

export interface ExecRoutesOptions {
  readonly containers: Pick<ContainerManager, "get" | "emit">;
  readonly streams: ContainerStreams;
}

function specificationIn(body: Fields): ExecSpecification {
  const detachKeys = body.string("DetachKeys");
  try {
    parseDetachKeys(detachKeys);
  } catch (error) {
    throw new InvalidArgumentError(`Invalid escape keys (${detachKeys}) provided`, { cause: error });
  }
  return {
    args: body.strings("Cmd"),
    env: body.strings("Env"),
    workingDir: body.string("WorkingDir"),
    user: body.string("User"),
    tty: body.bool("Tty"),
    privileged: body.bool("Privileged"),
    attachStdin: body.bool("AttachStdin"),
    attachStdout: body.bool("AttachStdout"),
    attachStderr: body.bool("AttachStderr"),
    detachKeys,
  };
}

/** Docker's ExecInspect. */
export function execOut(record: ExecRecord): JsonValue {
  const { specification } = record;
  return {
    ID: record.id,
    Running: record.running,
    ExitCode: record.exitCode ?? null,
    ProcessConfig: {
      tty: specification.tty,
      entrypoint: specification.args[0] ?? "",
      arguments: specification.args.slice(1),
      privileged: specification.privileged,
      ...(specification.user === "" ? {} : { user: specification.user }),
    },
    OpenStdin: specification.attachStdin,
    OpenStderr: specification.attachStderr,
    OpenStdout: specification.attachStdout,
    CanRemove: false, // what dockerd marks shortly before it forgets one
    ContainerID: record.containerId,
    DetachKeys:
      specification.detachKeys === ""
        ? ""
        : Buffer.from(parseDetachKeys(specification.detachKeys)).toString("base64"),
    Pid: record.pid,
  };
}

function consoleSize(body: Fields): { size?: { rows: number; columns: number } } {
  const given = body.raw("ConsoleSize");
  const [rows = 0, columns = 0] = Array.isArray(given) ? given.map(Number) : [];
  return rows > 0 && columns > 0 ? { size: { rows, columns } } : {};
}

async function start(exchange: Exchange, options: ExecRoutesOptions): Promise<undefined> {
  const { containers, streams } = options;
  const body = await exchange.body();
  const record = streams.getExec(exchange.param("id"));
  const { tty, attachStdin, detachKeys } = record.specification;
  const size = consoleSize(body);
  const container = containers.get(record.containerId);
  if (!HAS_PROCESSES.has(container.state))
    // told while there still is a status to tell it by
    throw new FailedPreconditionError(`Container ${container.id} is not running`);
  if (body.bool("Detach")) {
    await streams.startExec(record.id, { detach: true, tty, ...size });
    exchange.response.writeHead(200, { "content-length": "0" });
    exchange.response.end();
    return undefined;
  }
  const connection = exchange.hijack(streamType(exchange, tty));
  try {
    const stream = await streams.startExec(record.id, { detach: false, tty, ...size });
    if (stream === undefined) return undefined;
    await joinClient(connection, stream, {
      multiplexed: !tty,
      stdin: attachStdin,
      detachKeys: tty ? parseDetachKeys(detachKeys) : undefined,
      onDetach: () => containers.emit(record.containerId, "exec_detach", { execID: record.id }),
    });
  } catch (error) {
    const data = Buffer.from(`${messageOf(error)}\r\n`);
    await connection.write(tty ? data : multiplexed({ stream: 1, data }));
    connection.end();
  }
  return undefined;
}

export function execRoutes(options: ExecRoutesOptions): Route[] {
  const { streams } = options;
  return [
    {
      method: "POST",
      path: "/containers/:id/exec",
      handle: async (exchange) => {
        const specification = specificationIn(await exchange.body({ required: true }));
        const { id } = await streams.createExec(exchange.param("id"), specification);
        return { status: 201, json: { Id: id } };
      },
    },
    { method: "POST", path: "/exec/:id/start", handle: (exchange) => start(exchange, options) },
    {
      method: "POST",
      path: "/exec/:id/resize",
      handle: async (exchange) => {
        await streams.resizeExec(exchange.param("id"), sizeOf(exchange));
        return { status: 200 };
      },
    },
    {
      method: "GET",
      path: "/exec/:id/json",
      handle: (exchange) =>
        Promise.resolve({ status: 200, json: execOut(streams.getExec(exchange.param("id"))) }),
    },
  ];
}
