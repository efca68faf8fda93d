/**
 * The Stacks service: each method is one line that names who answers it. Edge: to @grpc/grpc-js.
 * The gate in front of it asks the leader; what a deployment is checked with is loaded with the first call.
 */
import type { StacksServer } from "../../../proto/gen/skein/v1/stacks.js";
import type { ControlComponents } from "../../control/control-components.js";
import { unary } from "../../control/grpc-unary.js";
import type { WatchParts } from "./grpc-watch-stack.js";

export type StacksParts = Pick<ControlComponents, "store" | "clock" | "random" | "log"> &
  Pick<WatchParts, "readBarrier">;

export function createStacksHandlers(parts: StacksParts): StacksServer {
  const { store } = parts;
  const answers = () => import("./stack-answers.js");
  const lists = () => import("./stack-list.js");
  const control = async () => new (await import("./stack-control.js")).StackControl(parts);
  return {
    deployStack: unary(async (request) => (await control()).deploy(request)),
    rollbackStack: unary(async (request) => (await control()).rollback(request)),
    removeStack: unary(async (request) => {
      await (await control()).remove(request);
      return {};
    }),
    planStack: unary(async (request) => {
      const { planStack } = await import("./plan-stack.js");
      return planStack(parts, request);
    }),
    diffStack: unary(async (request) => {
      const { diffStack } = await import("./diff-stack.js");
      return diffStack(store, request);
    }),
    getStack: unary(async ({ id }) => {
      const { getStack } = await lists();
      return store.view((tx) => getStack(tx, id));
    }),
    listStacks: unary(async () => {
      const { listStacks } = await lists();
      return store.view(listStacks);
    }),
    listRevisions: unary(async ({ id }) => {
      const { listRevisions } = await answers();
      return store.view((tx) => listRevisions(tx, id));
    }),
    getRevision: unary(async (request) => {
      const { getRevision } = await answers();
      return store.view((tx) => getRevision(tx, request));
    }),
    watchStack: (call) => {
      import("./grpc-watch-stack.js").then(
        ({ streamStack }) => streamStack(parts, call),
        (error: unknown) => call.emit("error", error),
      );
    },
  };
}
