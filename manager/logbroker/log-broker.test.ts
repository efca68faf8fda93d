import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { LogSubscription, PublishedLogs } from "../../proto/gen/skein/v1/logs.js";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, NodeStatus, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { ManagerLogBroker, type Publication } from "./log-broker.js";
import { AGAIN_MS, ANSWER_WAIT_MS, LISTENER_WAIT_MS } from "./log-feed.js";

async function setUp() {
  const { store, clock, random, log } = createTestStore();
  await store.update((tx) => {
    tx.create("service", Service.fromPartial({ id: "s1" }));
    for (const [id, state] of [
      ["n1", NodeState.READY],
      ["n2", NodeState.READY],
      ["n3", NodeState.DOWN],
    ] as const) {
      tx.create("node", Node.fromPartial({ id, status: { state } }));
    }
  });
  const broker = new ManagerLogBroker({ store, clock, random, log });
  const run = (id: string, nodeId: string, slot: number): Promise<void> =>
    store.update((tx) =>
      tx.create(
        "task",
        Task.fromPartial({
          id,
          nodeId,
          slot,
          serviceId: "s1",
          serviceAnnotations: { name: "web" },
          status: { state: TaskState.RUNNING },
        }),
      ),
    );
  const subscribe = (follow = false) => {
    const heard: string[] = [];
    const state = { ended: false, full: false };
    const subscription = broker.subscribe(
      {
        selector: { serviceIds: ["s1"], taskIds: [] },
        options: { follow, tail: -1, sinceMs: 0, untilMs: 0, stdout: true, stderr: true, details: false },
      },
      {
        write: ({ messages, warning }) => {
          heard.push(
            ...messages.map((message) => `${message.nodeId}: ${Buffer.from(message.data).toString()}`),
          );
          if (warning !== "") heard.push(`! ${warning}`);
          return !state.full;
        },
        end: () => {
          state.ended = true;
        },
      },
    );
    return { heard, state, subscription };
  };
  const listen = (nodeId: string) => {
    const got: LogSubscription[] = [];
    const handle = broker.listen(nodeId, { send: (one) => got.push(one), end: () => undefined });
    const publish = (): Publication => {
      const publication = broker.publish(nodeId, got.at(-1)?.id ?? "");
      assert.ok(publication !== undefined);
      return publication;
    };
    return { got, publish, ...handle };
  };
  return { broker, store, clock, run, subscribe, listen };
}

function lines(text: string, done = false): PublishedLogs {
  const message = {
    taskId: "t",
    serviceId: "s1",
    nodeId: "lie",
    stream: "stdout",
    timestamp: "",
    data: Buffer.from(text),
    attributes: {},
  };
  return { subscriptionId: "x", messages: text === "" ? [] : [message], done, error: "" };
}

test("a one-off subscription ends when every node has answered; nodes cannot speak for others", async () => {
  const { run, subscribe, listen } = await setUp();
  await run("t1", "n1", 1);
  await run("t2", "n2", 2);
  const [one, two] = [listen("n1"), listen("n2")];
  const { heard, state } = subscribe();
  one.publish().receive(lines("a", true));
  assert.equal(state.ended, false);
  two.publish().receive(lines("b", true));
  assert.deepEqual(heard, ["n1: a", "n2: b"]);
  assert.equal(state.ended, true);
});

test("a node that does not listen, or is silent, or is down, is waited for no longer than the bound", async () => {
  const { run, subscribe, listen, clock } = await setUp();
  await run("t1", "n1", 1);
  await run("t2", "n2", 2);
  await run("t3", "n3", 3);
  listen("n1"); // hears the question and says nothing
  const { heard, state } = subscribe();
  assert.deepEqual(heard, ["! logs of web.3 are missing: node n3 is down"]);
  clock.advance(LISTENER_WAIT_MS);
  assert.equal(heard[1], "! logs of web.2 are missing: node n2 does not answer");
  assert.equal(state.ended, false);
  clock.advance(ANSWER_WAIT_MS - LISTENER_WAIT_MS);
  assert.equal(heard[2], "! logs of web.1 are missing: node n1 does not answer");
  assert.equal(state.ended, true);
  assert.equal(clock.pendingCount, 0);
});

test("a node that comes to listen late is asked then; one that breaks off is reported", async () => {
  const { run, subscribe, listen, clock } = await setUp();
  await run("t1", "n1", 1);
  const { heard, state } = subscribe();
  clock.advance(LISTENER_WAIT_MS - 1);
  const one = listen("n1");
  assert.equal(one.got.length, 1);
  const publication = one.publish();
  publication.receive(lines("a"));
  publication.closed();
  assert.deepEqual(heard, ["n1: a", "! logs of web.1 are incomplete: node n1 broke off"]);
  assert.equal(state.ended, true);
});

test("a slow reader holds its publishers back without losing them", async () => {
  const { run, subscribe, listen, clock } = await setUp();
  await run("t1", "n1", 1);
  const one = listen("n1");
  const { heard, state, subscription } = subscribe();
  const publication = one.publish();
  state.full = true;
  assert.equal(publication.receive(lines("a")), false);
  let resumed = 0;
  publication.onResume(() => {
    resumed += 1;
  });
  clock.advance(2 * ANSWER_WAIT_MS);
  assert.deepEqual([state.ended, resumed], [false, 0]);
  state.full = false;
  subscription.drained();
  assert.equal(resumed, 1);
  assert.equal(publication.receive(lines("b", true)), true);
  assert.deepEqual(heard, ["n1: a", "n1: b"]);
  assert.equal(state.ended, true);
});

test("a reader that follows hears of new tasks of its service, and its nodes of nothing else", async () => {
  const { run, store, subscribe, listen } = await setUp();
  await run("t1", "n1", 1);
  const [one, two] = [listen("n1"), listen("n2")];
  const { heard } = subscribe(true);
  const other = Task.fromPartial({ id: "u1", nodeId: "n2", serviceId: "s2", slot: 1 });
  await store.update((tx) => tx.create("task", other));
  await turn();
  assert.deepEqual([one.got.length, two.got.length], [1, 0]);
  await store.update((tx) => tx.create("task", Task.fromPartial({ id: "t2", nodeId: "", serviceId: "s1" })));
  await turn();
  assert.equal(two.got.length, 0);
  await run("t3", "n2", 3);
  await turn();
  assert.equal(two.got.length, 1);
  two.publish().receive(lines("b"));
  await store.update((tx) => {
    const node = tx.get("node", "n2");
    assert.ok(node !== undefined);
    tx.update("node", { ...node, status: NodeStatus.create({ state: NodeState.DOWN }) });
  });
  await turn();
  assert.deepEqual(heard, ["n2: b", "! logs of web.3 are missing: node n2 is down"]);
});

test("a reader that goes away takes its subscription with it", async () => {
  const { broker, run, subscribe, listen } = await setUp();
  await run("t1", "n1", 1);
  const one = listen("n1");
  const { subscription } = subscribe(true);
  subscription.closed();
  assert.deepEqual(
    one.got.map((got) => got.close),
    [false, true],
  );
  assert.equal(broker.publish("n1", one.got[0]?.id ?? ""), undefined);
});

test("nothing selected, or what does not exist, is refused", async () => {
  const { broker } = await setUp();
  const output = { write: () => true, end: () => undefined };
  const subscribe = (serviceIds: string[], taskIds: string[]) => () =>
    broker.subscribe({ selector: { serviceIds, taskIds }, options: undefined }, output);
  assert.throws(subscribe([], []), InvalidArgumentError);
  assert.throws(subscribe(["nope"], []), NotFoundError);
  assert.throws(subscribe([], ["nope"]), NotFoundError);
});

test("a node cannot write into the logs of a task that runs elsewhere", async () => {
  const { run, subscribe, listen } = await setUp();
  await run("t1", "n1", 1);
  await run("t2", "n2", 2);
  const one = listen("n1");
  const { heard } = subscribe();
  const [message] = lines("forged").messages;
  assert.ok(message);
  one.publish().receive({
    ...lines(""),
    messages: [
      { ...message, taskId: "t2" },
      { ...message, taskId: "t1", data: Buffer.from("own") },
    ],
  });
  assert.deepEqual(heard, ["n1: own"]);
});

test("a followed node that comes back is asked from behind its last lines, and old answers count no more", async () => {
  const { run, subscribe, listen } = await setUp();
  await run("t1", "n1", 1);
  const first = listen("n1");
  const { heard } = subscribe(true);
  const [message] = lines("a").messages;
  assert.ok(message);
  const said = (text: string, timestamp: string) => ({
    ...{ ...message, taskId: "t1", timestamp, data: Buffer.from(text) },
  });
  const publication = first.publish();
  const stamped = [said("a", "T1"), said("b", "T2"), said("c", "T2")];
  publication.receive({ ...lines(""), messages: stamped });
  first.closed();
  publication.closed();
  const second = listen("n1");
  assert.deepEqual(second.got[0]?.taken, { t1: { timestamp: "T2", lines: 2 } });
  assert.equal(second.got[0]?.options?.tail, -1);
  publication.receive({ ...lines(""), messages: [said("late", "T3")] });
  second.publish().receive({ ...lines(""), messages: [said("d", "T3")] });
  assert.deepEqual(heard, [
    ...["n1: a", "n1: b", "n1: c"],
    "! logs of web.1 are incomplete: node n1 broke off",
    "! logs of web.1 go on: node n1 is back",
    "n1: d",
  ]);
});

test("a followed node that broke off and still listens is asked again after a moment", async () => {
  const { run, subscribe, listen, clock, broker } = await setUp();
  await run("t1", "n1", 1);
  const one = listen("n1");
  const { subscription } = subscribe(true);
  const old = one.got[0]?.id ?? "";
  one.publish().closed();
  clock.advance(AGAIN_MS);
  assert.equal(one.got.length, 2);
  assert.equal(broker.publish("n1", old), undefined);
  subscription.closed();
  assert.equal(clock.pendingCount, 0);
});

test("tasks that were removed are asked for where they were, by task, service and the service's name", async () => {
  const { broker, store, run, subscribe, listen } = await setUp();
  await run("t1", "n1", 1);
  await run("t2", "n2", 2);
  await store.update((tx) => tx.remove("task", "t1"));
  await new Promise((resolve) => setImmediate(resolve));
  const [one, two] = [listen("n1"), listen("n2")];
  subscribe();
  assert.deepEqual([one.got.length, two.got.length], [1, 1]);
  await store.update((tx) => tx.remove("service", "s1"));
  const ids = (reference: string): string[] => broker.findRemoved(reference).map(({ id }) => id);
  assert.deepEqual([ids("t1"), ids("s1"), ids("web")], [["t1"], ["t1", "t2"], ["t1", "t2"]]);
  assert.throws(() => broker.findRemoved("nope"), NotFoundError);
});
