/**
 * /skein/v1/services/{name}/why and /skein/v1/tasks/{id}/why: why a service, or a task, is as it is.
 * Edge: to the manager's Explain service. Instants are RFC 3339 and belong to the leader's clock; lengths are
 * milliseconds; cause words are those of docs/vocabulary.md.
 */
import { codeOf, UnavailableError } from "../../base/errors/errors.js";
import type { ServiceExplanation, TaskExplanation } from "../../proto/gen/skein/v1/explain.js";
import type { TaskWait } from "../../proto/gen/skein/v1/types.js";
import { isQuorumLost, managerWarnings } from "../convert/manager-warnings.js";
import { taskStateWord } from "../convert/service-out.js";
import { type JsonObject, omitEmpty, timeText } from "../convert/shape.js";
import type { ManagerClients } from "../manager-clients.js";
import type { Route } from "./route.js";

export function whyRoutes(clients: ManagerClients): Route[] {
  return [
    {
      method: "GET",
      path: "/skein/v1/services/:id/why",
      handle: async (exchange) => {
        const request = { id: exchange.param("id") };
        const why = await orQuorum(clients, () =>
          clients.explain((explain) => explain.getServiceExplanation, request),
        );
        return { status: 200, json: serviceWhyOut(why) };
      },
    },
    {
      method: "GET",
      path: "/skein/v1/tasks/:id/why",
      handle: async (exchange) => {
        const request = { id: exchange.param("id") };
        const why = await orQuorum(clients, () =>
          clients.explain((explain) => explain.getTaskExplanation, request),
        );
        return { status: 200, json: taskWhyOut(why) };
      },
    },
  ];
}

/** A swarm that cannot decide anything says why, and what to do. @throws {UnavailableError} */
async function orQuorum<T>(clients: ManagerClients, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (codeOf(error) !== "unavailable") throw error;
    const inspection = await clients.inspectRaft();
    const [warning] = isQuorumLost(inspection) ? managerWarnings(inspection) : [];
    throw warning === undefined ? error : new UnavailableError(`no-quorum: ${warning}`, { cause: error });
  }
}

const instant = (ms: number): string | undefined => (ms === 0 ? undefined : timeText(ms));

export function serviceWhyOut(why: ServiceExplanation): JsonObject {
  return {
    ID: why.serviceId,
    Name: why.name,
    Mode: why.mode,
    Desired: why.desired,
    Running: why.running,
    Completed: why.completed,
    Missing: why.missing,
    Headline: why.headline,
    Cause: why.cause,
    Advice: [...why.advice],
    ...omitEmpty({
      LastChange: why.lastChange,
      Update:
        why.updateState === ""
          ? undefined
          : {
              State: why.updateState,
              Message: why.updateMessage,
              ...omitEmpty({
                StartedAt: instant(why.updateStartedAtMs),
                CompletedAt: instant(why.updateCompletedAtMs),
              }),
            },
    }),
    Slots: why.slots.map((slot) => ({
      Name: slot.name,
      Missing: slot.missing,
      Tasks: slot.tasks.map(taskWhyOut),
    })),
    SlotsLeftOut: why.slotsLeftOut,
    Now: timeText(why.nowMs),
  };
}

export function taskWhyOut(why: TaskExplanation): JsonObject {
  return {
    ID: why.taskId,
    Name: why.name,
    ...omitEmpty({ NodeID: why.nodeId, NodeName: why.nodeName }),
    Image: why.image,
    State: taskStateWord(why.state),
    DesiredState: taskStateWord(why.desiredState),
    Cause: why.cause,
    Sentence: why.sentence,
    ...omitEmpty({
      Advice: why.advice,
      Detail: why.detail,
      CreatedBecause: why.createdBecause,
      StoppedBecause: why.stoppedBecause,
      Replaces: why.replacesTaskId,
      ReplacedBy: why.replacedByTaskId,
      EndedAt: instant(why.endedAtMs),
    }),
    CreatedAt: timeText(why.createdAtMs),
    Phases: why.phases.map(({ phase, fromMs, durationMs, open }) => ({
      Phase: phase,
      From: timeText(fromMs),
      DurationMs: durationMs,
      ...(open ? { Open: true } : {}),
    })),
    Waits: why.waits.map(waitOut),
  };
}

function waitOut(wait: TaskWait): JsonObject {
  return {
    Cause: wait.cause,
    Message: wait.message,
    Since: timeText(wait.sinceMs),
    ...omitEmpty({ Until: instant(wait.untilMs) }),
    Refusals: wait.refusals.map(({ filter, nodes, detail }) => ({
      Filter: filter,
      Nodes: nodes,
      Detail: detail,
    })),
  };
}
