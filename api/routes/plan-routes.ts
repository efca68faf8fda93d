/**
 * POST /skein/v1/plan: what the cluster would do if something were so; nothing is changed.
 * Edge: to the manager's Planner service. One question in each body:
 *   {"Create": SPEC}                          {"Update": {"Service": NAME, "Spec": SPEC, "Rollback": false}}
 *   {"Remove": NAME}                          {"Scale": {NAME: REPLICAS}}
 *   {"Drain": NODE}      {"Lose": NODE}       {"LoseAny": true}
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Plan, PlannedTask, PlanReply, PlanRequest } from "../../proto/gen/skein/v1/plan.js";
import type { Fields } from "../convert/fields.js";
import { serviceSpecIn } from "../convert/service-spec-in.js";
import { type JsonObject, omitEmpty } from "../convert/shape.js";
import type { ManagerClients } from "../manager-clients.js";
import type { Route } from "./route.js";

const QUESTIONS = ["Create", "Update", "Remove", "Scale", "Drain", "Lose", "LoseAny"];

export function planRoutes(clients: ManagerClients): Route[] {
  return [
    {
      method: "POST",
      path: "/skein/v1/plan",
      handle: async (exchange) => {
        const question = questionIn(await exchange.body());
        return { status: 200, json: planReplyOut(await clients.plan({ question })) };
      },
    },
  ];
}

/** @throws {InvalidArgumentError} no question, more than one, or one that is not understood. */
export function questionIn(body: Fields): NonNullable<PlanRequest["question"]> {
  const asked = QUESTIONS.filter((key) => body.has(key));
  if (asked.length !== 1) {
    throw new InvalidArgumentError(`a plan needs one of ${QUESTIONS.join(", ")}; got ${asked.length}`);
  }
  switch (asked[0]) {
    case "Create":
      return { $case: "create", value: { spec: serviceSpecIn(inner(body, "Create")), registryAuth: "" } };
    case "Update": {
      const update = inner(body, "Update");
      const rollback = update.bool("Rollback");
      const spec = rollback ? undefined : serviceSpecIn(inner(update, "Spec"));
      const id = update.string("Service");
      return {
        $case: "update",
        value: { id, version: 0, spec, registryAuth: "", registryAuthFrom: "", rollback },
      };
    }
    case "Scale": {
      const scale = inner(body, "Scale");
      const replicas = Object.fromEntries(scale.keys().map((name) => [name, scale.integer(name)]));
      return { $case: "scale", value: { replicas } };
    }
    case "Remove":
      return { $case: "removeService", value: body.string("Remove") };
    case "Drain":
      return { $case: "drainNode", value: body.string("Drain") };
    case "Lose":
      return { $case: "loseNode", value: body.string("Lose") };
    default:
      if (!body.bool("LoseAny")) throw new InvalidArgumentError("LoseAny must be true");
      return { $case: "loseAnyNode", value: true };
  }
}

function inner(fields: Fields, key: string): Fields {
  const found = fields.object(key);
  if (found === undefined) throw new InvalidArgumentError(`${key} must be a JSON object`);
  return found;
}

export function planReplyOut({ plan, losses, nodesLeftOut }: PlanReply): JsonObject {
  return {
    ...(plan === undefined ? {} : planOut(plan)),
    ...(losses.length === 0
      ? {}
      : {
          Losses: losses.map((loss) => ({
            NodeID: loss.nodeId,
            NodeName: loss.nodeName,
            Fits: loss.fits,
            Tasks: loss.tasks,
            Unplaced: loss.unplaced,
            Services: [...loss.services],
          })),
          NodesLeftOut: nodesLeftOut,
        }),
  };
}

function planOut(plan: Plan): JsonObject {
  return {
    Title: plan.title,
    Fits: plan.fits,
    Services: plan.services.map((service) => ({
      ID: service.serviceId,
      Name: service.name,
      Replicas: service.replicas,
      Begin: service.begin,
      Replaced: service.replaced,
      End: service.end,
      Unplaced: service.unplaced,
      UnavailableMax: service.unavailableMax,
      Sentence: service.sentence,
    })),
    Tasks: plan.tasks.map(taskOut),
    TasksLeftOut: plan.tasksLeftOut,
    Warnings: [...plan.warnings],
  };
}

function taskOut(task: PlannedTask): JsonObject {
  return {
    ServiceID: task.serviceId,
    Name: task.name,
    Kind: task.kind,
    ...omitEmpty({ Detail: task.detail }),
    ...(task.beforeTaskId === ""
      ? {}
      : { Before: { TaskID: task.beforeTaskId, NodeID: task.beforeNodeId, NodeName: task.beforeNodeName } }),
    ...(task.begins ? { After: { NodeID: task.afterNodeId, NodeName: task.afterNodeName } } : {}),
    ...(task.startFirst ? { StartFirst: true } : {}),
    ...(task.reason === ""
      ? {}
      : {
          Reason: task.reason,
          Refusals: task.refusals.map(({ filter, nodes, detail }) => ({
            Filter: filter,
            Nodes: nodes,
            Detail: detail,
          })),
        }),
  };
}
