/**
 * Logs of services and tasks, merged by the managers. Edge: to the manager's Logs service.
 */
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import { logDetailsText } from "../../proto/engine/log-details.js";
import { type LogBatch, LogMessage, type LogSelector } from "../../proto/gen/skein/v1/logs.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { parseTime } from "../convert/shape.js";
import type { Exchange } from "../http-exchange.js";
import { frame, MULTIPLEXED, RAW } from "../log-frames.js";
import type { ManagerClients } from "../manager-clients.js";
import { findRemoved, serviceOrRemoved, taskOrRemoved } from "../reach/removed-tasks.js";
import type { Route } from "./route.js";

function prefixOf(message: LogMessage, options: { timestamps: boolean; details: boolean }): string {
  const time = options.timestamps ? `${message.timestamp} ` : "";
  if (!options.details) return time;
  const details = logDetailsText({
    ...message.attributes,
    "com.docker.swarm.node.id": message.nodeId,
    "com.docker.swarm.service.id": message.serviceId,
    "com.docker.swarm.task.id": message.taskId,
  });
  return `${time}${details} `;
}

async function streamLogs(
  exchange: Exchange,
  clients: ManagerClients,
  selector: LogSelector,
  tty: boolean,
): Promise<undefined> {
  const tail = exchange.query.get("tail") ?? "all";
  const sinceMs = parseTime(exchange.query.get("since") ?? "");
  const untilMs = parseTime(exchange.query.get("until") ?? "");
  const stdout = exchange.flag("stdout");
  const stderr = exchange.flag("stderr");
  if (!stdout && !stderr)
    throw new InvalidArgumentError("Bad parameters: you must choose at least one stream");
  if (sinceMs === undefined)
    throw new InvalidArgumentError("since must be a time as RFC 3339 or seconds since 1970");
  if (untilMs === undefined)
    throw new InvalidArgumentError("until must be a time as RFC 3339 or seconds since 1970");
  const options = { tty, timestamps: exchange.flag("timestamps"), details: exchange.flag("details") };
  const call = (await clients.logs()).subscribeLogs({
    selector,
    options: {
      follow: exchange.flag("follow"),
      tail: /^\d+$/.test(tail) ? Number(tail) : -1,
      sinceMs,
      untilMs,
      stdout,
      stderr,
      details: options.details,
    },
  });
  const signal = exchange.gone();
  signal.addEventListener("abort", () => call.cancel(), { once: true });
  exchange.startStream(tty ? RAW : MULTIPLEXED);
  try {
    for await (const batch of call as AsyncIterable<LogBatch>) {
      for (const message of batch.messages) {
        const prefix = prefixOf(message, options);
        const data = tty
          ? Buffer.concat([Buffer.from(prefix), message.data])
          : frame(message.stream, prefix, message.data);
        if (!(await exchange.write(data))) return undefined;
      }
      if (batch.warning !== "") await writeWarning(exchange, batch, options);
    }
  } catch (error) {
    if (!signal.aborted && error instanceof Error) {
      await exchange.write(
        frame("stderr", "", Buffer.from(`error from daemon in stream: ${messageOf(fromGrpcError(error))}\n`)),
      );
    }
  } finally {
    call.cancel(); // harmless once it is over
  }
  exchange.response.end();
  return undefined;
}

async function serviceMeant(
  clients: ManagerClients,
  id: string,
): Promise<{ serviceId: string; tty: boolean }> {
  const { service, removed } = await serviceOrRemoved(clients, id);
  const container = service?.spec?.task?.container ?? removed?.spec?.container;
  return { serviceId: service?.id ?? removed?.serviceId ?? "", tty: container?.tty ?? false };
}

/** One task; or those of a removed service, which goes by its newest task. */
async function tasksMeant(
  clients: ManagerClients,
  id: string,
): Promise<{ taskIds: readonly string[]; task: Task | undefined }> {
  const task = await taskOrRemoved(clients, id);
  if (task === undefined || task.id.startsWith(id)) return { taskIds: [task?.id ?? ""], task };
  return { taskIds: (await findRemoved(clients, id)).taskIds, task };
}

/** A line about what is missing, told from a task of it: with details the stock command wants one. */
async function writeWarning(
  exchange: Exchange,
  { warning, about }: LogBatch,
  options: { tty: boolean; timestamps: boolean; details: boolean },
): Promise<void> {
  if (options.details && about === undefined) return;
  const now = new Date().toISOString().replace("Z", "000000Z");
  const prefix = prefixOf({ ...LogMessage.create(about), timestamp: now }, options);
  const data = Buffer.from(`${warning}\n`);
  await exchange.write(
    options.tty ? Buffer.concat([Buffer.from(prefix), data]) : frame("stderr", prefix, data),
  );
}

export function logRoutes(clients: ManagerClients): Route[] {
  return [
    {
      method: "GET",
      path: "/services/:id/logs",
      handle: async (exchange) => {
        const { serviceId, tty } = await serviceMeant(clients, exchange.param("id"));
        return streamLogs(exchange, clients, { serviceIds: [serviceId], taskIds: [] }, tty);
      },
    },
    {
      method: "GET",
      path: "/tasks/:id/logs",
      handle: async (exchange) => {
        const id = exchange.param("id");
        const { taskIds, task } = await tasksMeant(clients, id);
        const tty = task?.spec?.container?.tty ?? false;
        return streamLogs(exchange, clients, { serviceIds: [], taskIds: [...taskIds] }, tty);
      },
    },
  ];
}
