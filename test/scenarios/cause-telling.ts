/**
 * What is told about one task of a control lab: for tables of situations. Pure.
 */
import assert from "node:assert/strict";
import { createExplainHandlers } from "../../manager/causes/grpc-explain.js";
import { withShownStatus } from "../../manager/causes/shown-status.js";
import type { ServiceExplanation, TaskExplanation } from "../../proto/gen/skein/v1/explain.js";
import type { ControlLab } from "../support/control-lab.js";

export interface Told {
  readonly cause: string;
  readonly why: string;
  /** ERROR of `docker service ps`. @default "" */
  readonly ps?: string;
  readonly advice?: string;
  /** The sentence about the whole service. */
  readonly headline?: string;
}

type Handler<Res> = (call: never, callback: (error: unknown, reply?: Res | null) => void) => void;

function ask<Res>(handler: Handler<Res>, id: string): Promise<Res> {
  return new Promise((resolve, reject) => {
    // the handlers read the request alone
    handler({ request: { id } } as never, (error, reply) => {
      if (reply === undefined || reply === null) reject(error);
      else resolve(reply);
    });
  });
}

export async function explained(
  lab: ControlLab,
  id: string,
): Promise<{ readonly service: ServiceExplanation }> {
  const { store, clock } = lab.test;
  const handlers = createExplainHandlers({ store, clock });
  return { service: await ask(handlers.getServiceExplanation as Handler<ServiceExplanation>, id) };
}

/** @param at which of the service's tasks, in order of slots and the newest of each first. */
export async function tell(lab: ControlLab, serviceId: string, at: number): Promise<Told> {
  const { store, clock } = lab.test;
  const handlers = createExplainHandlers({ store, clock });
  const task = lab.tasks(serviceId)[at];
  assert.ok(task, `no task ${at}: ${lab.show(serviceId).join("; ")}`);
  const why = await ask(handlers.getTaskExplanation as Handler<TaskExplanation>, task.id);
  const isThere = store.view((tx) => tx.get("service", serviceId)) !== undefined;
  const headline = isThere ? (await explained(lab, serviceId)).service.headline : "";
  const ps = withShownStatus(task, (id) => store.view((tx) => tx.get("node", id))).status?.err ?? "";
  return {
    cause: why.cause,
    why: why.sentence,
    ...(ps === "" ? {} : { ps }),
    ...(why.advice === "" ? {} : { advice: why.advice }),
    ...(headline === "" ? {} : { headline }),
  };
}
