/**
 * Tasks that were removed not long ago, for whoever still wants their logs.
 * Edge: to the manager's Logs service.
 * `docker service logs NAME` asks for a task when there is no service of that name: so the name of a removed
 * service stands for its newest task.
 */
import { NotFoundError } from "../../base/errors/errors.js";
import { callUnary } from "../../base/grpc/grpc-call.js";
import type { RemovedReply } from "../../proto/gen/skein/v1/logs.js";
import type { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import type { ManagerClients } from "../manager-clients.js";

const TIMEOUT_MS = 5_000;

/** @throws {NotFoundError} none is meant. */
export async function findRemoved(clients: ManagerClients, reference: string): Promise<RemovedReply> {
  const logs = await clients.logs();
  return callUnary(logs.findRemoved.bind(logs), { reference }, { timeoutMs: TIMEOUT_MS });
}

/** The service; or the newest task of one that was removed not long ago. @throws {NotFoundError} */
export async function serviceOrRemoved(
  clients: ManagerClients,
  id: string,
): Promise<{ service?: Service | undefined; removed?: Task | undefined }> {
  try {
    return { service: (await clients.call((control) => control.getService, { id })).service };
  } catch (error) {
    return { removed: await newestRemoved(clients, id, error) };
  }
}

/** The task, also when it was removed not long ago. @throws {NotFoundError} */
export async function taskOrRemoved(clients: ManagerClients, id: string): Promise<Task | undefined> {
  try {
    return (await clients.call((control) => control.getTask, { id })).task;
  } catch (error) {
    return newestRemoved(clients, id, error);
  }
}

/** @throws what it was not found with, when it was not removed either. */
async function newestRemoved(
  clients: ManagerClients,
  id: string,
  notFound: unknown,
): Promise<Task | undefined> {
  if (!(notFound instanceof NotFoundError)) throw notFound;
  try {
    return (await findRemoved(clients, id)).newest;
  } catch (error) {
    throw error instanceof NotFoundError ? notFound : error;
  }
}
