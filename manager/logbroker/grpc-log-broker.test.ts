import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { LogSubscription } from "../../proto/gen/skein/v1/logs.js";
import type { NodeListener } from "../reach/node-listeners.js";
import { createLogBrokerHandlers } from "./grpc-log-broker.js";

type Handlers = ReturnType<typeof createLogBrokerHandlers>;
type ListenCall = Parameters<Handlers["listenSubscriptions"]>[0];

/** An agent whose stream takes nothing. */
class StuckCall extends EventEmitter {
  writableLength = 0;
  write(): boolean {
    this.writableLength += 1;
    return false;
  }
}

test("a node that does not read what it is told is let go, and holds no more than the bound", () => {
  let listener: NodeListener | undefined;
  const handlers = createLogBrokerHandlers(
    {
      subscribe: () => assert.fail(),
      publish: () => undefined,
      findRemoved: () => [],
      listen: (_nodeId, given) => {
        listener = given;
        return { closed: () => undefined };
      },
    },
    () => "n1",
  );
  const call = new StuckCall();
  const errors: string[] = [];
  call.on("error", (error: { details: string }) => errors.push(error.details));
  handlers.listenSubscriptions(call as unknown as ListenCall); // the parts that are used
  for (let count = 0; count < 5_000; count++) listener?.send(LogSubscription.create({ id: String(count) }));
  assert.equal(call.writableLength, 4_096);
  assert.deepEqual(errors, ["4096 orders wait to be read by node n1"]);
});
