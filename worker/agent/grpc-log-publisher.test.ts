import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { LogPublisher } from "./grpc-log-publisher.js";
import { ConnectionPool, type ManagerConnection } from "./manager-connection.js";
import type { TaskSet } from "./task-set.js";

test("a subscription over a channel closed meanwhile begins the listening anew", async () => {
  const calls: EventEmitter[] = [];
  const dialled = new EventEmitter();
  const listenSubscriptions = (): EventEmitter => {
    const call = Object.assign(new EventEmitter(), {
      cancel: () => queueMicrotask(() => call.emit("error", new Error("cancelled"))),
    });
    calls.push(call);
    dialled.emit("listening");
    return call;
  };
  const publishLogs = (): never => {
    throw new Error("Channel has been shut down");
  };
  const logBroker = { listenSubscriptions, publishLogs } as unknown as ManagerConnection["logBroker"];
  const dispatcher = {} as ManagerConnection["dispatcher"]; // not used here
  const tunnels = (): never => assert.fail("no tunnel was ordered");
  const clock = new ManualClock();
  const publisher = new LogPublisher({
    nodeId: "node1",
    pool: new ConnectionPool(() => ({ dispatcher, logBroker, tunnels, close: () => undefined })),
    tasks: {} as TaskSet, // nothing is read
    tunnels: { dial: () => assert.fail("no tunnel was ordered") },
    clock,
    random: new SeededRandom("logs"),
    log: silentLogger,
  });
  publisher.listenTo(["m1"]);
  calls[0]?.emit("data", { id: "s1", close: false, tunnelId: "" });
  const again = once(dialled, "listening");
  while (clock.pendingCount === 0) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(200);
  await again;
  assert.equal(calls.length, 2);
  await publisher.close();
});
