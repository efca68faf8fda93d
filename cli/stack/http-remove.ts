/**
 * Removes stacks: services, then secrets, configs and networks, and waits until their tasks have ended.
 * Edge: to the API and the clock.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import { type Context, inner, textOf } from "../context.js";
import { ApiError } from "../http-client.js";
import type { Row } from "../output/table.js";
import { fetchStack, idOf, nameOf } from "./http-stack.js";

export interface RemoveOptions {
  /** Wait until the tasks have ended. */
  readonly wait: boolean;
  readonly clock: Clock;
  /** Milliseconds. @default 120_000 */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 120_000;
/** A network may be in use until its last service is gone. */
const NETWORK_WAIT_MS = 15_000;
const LOOK_PAUSE_MS = 150;
const ENDED = ["complete", "failed", "rejected", "shutdown", "orphaned", "remove"];

/**
 * Nothing of that name is no failure, as with Docker.
 * @throws {Error} naming everything that could not be removed.
 */
export async function removeStack(context: Context, stack: string, options: RemoveOptions): Promise<void> {
  const [services = [], secrets = [], configs = [], networks = []] = await Promise.all(
    (["services", "secrets", "configs", "networks"] as const).map((kind) => fetchStack(context, kind, stack)),
  );
  if (services.length + secrets.length + configs.length + networks.length === 0) {
    context.note(`Nothing found in stack: ${stack}`);
    return;
  }
  const failures: string[] = [];
  const remove = async (
    kind: "service" | "secret" | "config" | "network",
    objects: readonly Row[],
  ): Promise<void> => {
    for (const object of objects) {
      context.print(`Removing ${kind} ${nameOf(object)}`);
      try {
        await removeObject(context, `/${kind}s/${encodeURIComponent(idOf(object))}`, {
          clock: options.clock,
          patient: kind === "network",
        });
      } catch (error) {
        failures.push(`failed to remove ${kind} ${nameOf(object)}: ${messageOf(error)}`);
      }
    }
  };
  await remove("service", services);
  await remove("secret", secrets);
  await remove("config", configs);
  await remove("network", networks);
  if (failures.length > 0) throw new Error(failures.join("\n"));
  if (options.wait) await waitForEnd(context, stack, options);
}

async function removeObject(
  context: Context,
  path: string,
  options: { readonly clock: Clock; readonly patient: boolean },
): Promise<void> {
  const deadlineMs = options.clock.monotonicMs() + (options.patient ? NETWORK_WAIT_MS : 0);
  for (;;) {
    try {
      await context.client().call("DELETE", path);
      return;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return; // somebody else was faster
      const isInUse = error instanceof ApiError && [400, 403, 409, 412].includes(error.status);
      if (!isInUse || options.clock.monotonicMs() >= deadlineMs) throw error;
      await options.clock.sleep(LOOK_PAUSE_MS);
    }
  }
}

/** @throws {Error} after the timeout, with the number of tasks that still run. */
async function waitForEnd(
  context: Context,
  stack: string,
  { clock, timeoutMs = TIMEOUT_MS }: RemoveOptions,
): Promise<void> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const tasks = await fetchStack(context, "tasks", stack);
    const left = tasks.filter((task) => !ENDED.includes(textOf(inner(task, "Status")["State"])));
    if (left.length === 0) return;
    if (clock.monotonicMs() >= deadlineMs)
      throw new Error(
        `${left.length} tasks of stack ${stack} still run after ${timeoutMs / 1000} s: ` +
          `'skein stack ps ${stack}' shows them`,
      );
    await clock.sleep(LOOK_PAUSE_MS);
  }
}
