import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { type Answer, FakeDaemon, type SeenRequest } from "../daemon-fixtures.js";
import { waitForServices } from "./http-service-watch.js";

const SERVICE = { id: "svc1", name: "web" };

/** A daemon with one service of two tasks whose states the test sets. */
class World {
  states = ["starting", "starting"];
  update: object = {};
  looks = 0;
  #events: ServerResponse | undefined;
  readonly #onLook: (world: World) => void;

  constructor(onLook: (world: World) => void) {
    this.#onLook = onLook;
  }

  readonly answer = ({ path }: SeenRequest, response: ServerResponse): Answer => {
    if (path === "/events") {
      this.#events = response;
      response.writeHead(200).flushHeaders();
      return undefined;
    }
    if (path === "/services")
      return { json: [{ ID: "svc1", Spec: { Mode: { Replicated: { Replicas: 2 } } }, ...this.update }] };
    const tasks = this.states.map((State, i) => ({
      Slot: i + 1,
      DesiredState: "running",
      Status: { State },
    }));
    this.looks += 1;
    setImmediate(() => this.#onLook(this)); // after this answer
    return { json: tasks };
  };

  happen(event: object): void {
    this.#events?.write(`${JSON.stringify(event)}\n`);
  }
}

const TASK_EVENT = {
  Type: "task",
  Action: "update",
  Actor: { ID: "t1", Attributes: { "service.id": "svc1" } },
};
const OTHER_EVENT = {
  Type: "task",
  Action: "update",
  Actor: { ID: "t9", Attributes: { "service.id": "other" } },
};

test("the wait ends on the event that completes it, without the clock moving", async () => {
  const world = new World((self) => {
    if (self.looks === 1) {
      self.happen(OTHER_EVENT);
      self.states = ["running", "starting"];
      self.happen(TASK_EVENT);
    }
    if (self.looks === 2) {
      self.states = ["running", "running"];
      self.happen(TASK_EVENT);
    }
  });
  await using daemon = await FakeDaemon.open(world.answer);
  await waitForServices(daemon.context, [SERVICE], { quiet: true, clock: new ManualClock() });
  assert.equal(world.looks, 3);
});

test("a look each second covers events that are lost", async () => {
  const clock = new ManualClock();
  const world = new World((self) => {
    self.states = ["running", "running"];
    const advance = (): void => {
      if (self.looks > 1) return;
      clock.advance(100);
      setImmediate(advance);
    };
    advance();
  });
  await using daemon = await FakeDaemon.open(world.answer);
  await waitForServices(daemon.context, [SERVICE], { quiet: true, clock });
  assert.equal(world.looks, 2);
});

test("an update that paused fails the wait with its message", async () => {
  const world = new World((self) => {
    self.update = { UpdateStatus: { State: "paused", Message: "update paused due to failure of task x" } };
    self.happen({ Type: "service", Action: "update", Actor: { ID: "svc1" } });
  });
  await using daemon = await FakeDaemon.open(world.answer);
  await assert.rejects(
    waitForServices(daemon.context, [SERVICE], { quiet: true, clock: new ManualClock() }),
    /service update paused: update paused due to failure of task x/,
  );
});

test("an interrupted wait says that the operation goes on", async () => {
  const stop = new AbortController();
  const world = new World(() => stop.abort());
  await using daemon = await FakeDaemon.open(world.answer);
  await assert.rejects(
    waitForServices(daemon.context, [SERVICE], {
      quiet: true,
      clock: new ManualClock(),
      signal: stop.signal,
    }),
    /interrupted: the operation continues in the background; 'skein service ps web' shows how it goes/,
  );
});
