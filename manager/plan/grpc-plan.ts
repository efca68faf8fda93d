/**
 * The Planner service. Edge: to @grpc/grpc-js.
 * The gate in front of it asks the leader, behind a read barrier.
 */
import type { PlannerServer } from "../../proto/gen/skein/v1/plan.js";
import { unary } from "../control/grpc-unary.js";
import type { PlanComponents } from "./answer-plan.js";

export function createPlanHandlers(components: PlanComponents): PlannerServer {
  return {
    plan: unary(async (request) => {
      const { answerPlan } = await import("./answer-plan.js"); // seldom needed
      return answerPlan(components, request);
    }),
  };
}
