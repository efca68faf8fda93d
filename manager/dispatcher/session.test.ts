import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { UnavailableError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { DispatcherMessage, ManagerWord, NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";
import { Cluster, Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeDescription, TaskState, TaskStatus } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { createDispatcher } from "./dispatcher.js";
import type { ReportSink } from "./report-sink.js";

/** A sink that commits when told to. */
class HeldSink implements ReportSink {
  /** Undefined: the leader answers. */
  refusal: Error | undefined;
  readonly words: ManagerWord[] = [];
  wantsFull = false;
  readonly reports: NodeReport[] = [];
  readonly commit: (() => void)[] = [];

  send(reports: readonly NodeReport[]): Promise<void> {
    this.reports.push(...reports);
    return new Promise((resolve) => this.commit.push(resolve));
  }

  /** Reports of what agents said. */
  get told(): number {
    return this.reports.filter(({ lost }) => !lost).length;
  }

  vouch(word: ManagerWord): Promise<{ full: boolean }> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    this.words.push(word);
    const full = this.wantsFull;
    this.wantsFull = false;
    return Promise.resolve({ full });
  }

  readonly drains: { readonly revision: number; readonly answer: (drained: boolean) => void }[] = [];

  drained(revision: number): Promise<boolean> {
    return new Promise((answer) => this.drains.push({ revision, answer }));
  }

  onLeaderChange(): () => void {
    return () => undefined;
  }
}

interface Line {
  readonly sent: string[];
  error: Error | undefined;
  open: boolean;
  full: boolean;
}

function textOf({ message }: DispatcherMessage): string {
  switch (message?.$case) {
    case "assignments": {
      const { complete, baseRevision, revision, upserts, removals, more } = message.value;
      const kind = complete ? "complete" : `changes on ${baseRevision}`;
      return `${kind} to ${revision}: +${upserts.length} -${removals.length}${more ? " more" : ""}`;
    }
    case "statusAck":
      return `ack ${message.value.sequence}`;
    default:
      return message?.$case ?? "";
  }
}

async function setUp(tasks = 0) {
  const { store } = createTestStore();
  const clock = new ManualClock();
  await store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c" }));
    tx.create("node", Node.fromPartial({ id: "n1", number: 1 }));
    for (let at = 0; at < tasks; at++) {
      tx.create(
        "task",
        Task.fromPartial({ id: `t${at}`, nodeId: "n1", status: { state: TaskState.ASSIGNED } }),
      );
    }
  });
  const sink = new HeldSink();
  const barriers: (() => void)[] = [];
  const dispatcher = createDispatcher({
    store,
    reports: sink,
    managers: { list: () => [], onChange: () => () => undefined },
    trust: () => ({ rootCaPem: "", issuerPublicKeySha256: "" }),
    readBarrier: () => new Promise<void>((resolve) => barriers.push(resolve)),
    clock,
    random: new SeededRandom(1),
    log: silentLogger,
    identify: () => "n1",
  });
  return { store, clock, sink, barriers, dispatcher };
}

/** Drives the handler as grpc-js would, without a socket. */
function connect(session: (call: FakeCall) => void): { call: FakeCall; line: Line } {
  const line: Line = { sent: [], error: undefined, open: true, full: false };
  const listeners = new Map<string, ((value?: unknown) => void)[]>();
  const call: FakeCall = {
    metadata: undefined,
    getPeer: () => "10.0.0.7:4000",
    write: (message) => {
      line.sent.push(textOf(message));
      return !line.full;
    },
    end: () => {
      line.open = false;
    },
    on: (name, listener) => {
      listeners.set(name, [...(listeners.get(name) ?? []), listener]);
      return call;
    },
    emit: (name, value) => {
      if (name === "error") {
        line.open = false;
        line.error = value instanceof Error ? value : Object.assign(new Error(), value);
      }
      for (const listener of listeners.get(name) ?? []) listener(value);
      return true;
    },
  };
  session(call);
  return { call, line };
}

interface FakeCall {
  metadata: unknown;
  getPeer(): string;
  write(message: DispatcherMessage): boolean;
  end(): void;
  on(name: string, listener: (value?: unknown) => void): FakeCall;
  emit(name: string, value?: unknown): boolean;
}

function begin(dispatcher: { handlers: unknown }, appliedRevision = 0) {
  // the part of a call that it uses
  const handlers = dispatcher.handlers as { session(call: FakeCall): void };
  const { call, line } = connect((fake) => handlers.session(fake));
  const say = (message: unknown): boolean => call.emit("data", { message });
  say({ $case: "hello", value: { description: undefined, appliedRevision, protocolVersion: 1 } });
  return { call, line, say };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("a session begins with welcome and the complete set, then tells changes", async () => {
  const { dispatcher, store } = await setUp(2);
  const { line } = begin(dispatcher);
  assert.deepEqual(line.sent, ["welcome", "complete to 1: +2 -0"]);
  await store.update((tx) => tx.remove("task", "t0"));
  await turn();
  assert.deepEqual(line.sent.slice(2), ["changes on 1 to 2: +0 -1"]);
  await dispatcher.close();
  assert.equal(line.open, false);
});

test("a manager that is behind the agent waits instead of going back", async () => {
  const { dispatcher, store } = await setUp(1);
  const { line } = begin(dispatcher, 3);
  assert.deepEqual(line.sent, ["welcome"]);
  await store.update((tx) => tx.remove("task", "t0"));
  await turn();
  assert.deepEqual(line.sent, ["welcome"]);
  await store.update((tx) => tx.create("task", Task.fromPartial({ id: "x" })));
  await turn();
  assert.deepEqual(line.sent, ["welcome", "complete to 3: +0 -0"]);
  await dispatcher.close();
});

test("a large set is cut, and only its last part is final", async () => {
  const { dispatcher } = await setUp(2_500);
  const { line } = begin(dispatcher);
  assert.deepEqual(line.sent.slice(1), [
    "complete to 1: +1000 -0 more",
    "complete to 1: +1000 -0 more",
    "complete to 1: +500 -0",
  ]);
  await dispatcher.close();
});

test("a slow stream gets what happened meanwhile in one piece", async () => {
  const { dispatcher, store } = await setUp(3);
  const { line, call } = begin(dispatcher);
  line.full = true;
  await store.update((tx) => tx.remove("task", "t0"));
  await turn();
  await store.update((tx) => tx.remove("task", "t1"));
  await turn();
  await store.update((tx) => tx.remove("task", "t2"));
  await turn();
  assert.equal(line.sent.length, 3); // welcome, complete, and the change that found the stream full
  line.full = false;
  call.emit("drain");
  assert.deepEqual(line.sent.slice(3), ["changes on 2 to 4: +0 -2"]);
  await dispatcher.close();
});

test("batches are acknowledged in order, once the leader has committed them", async () => {
  const { dispatcher, sink } = await setUp();
  const { line, say } = begin(dispatcher);
  sink.commit.length = 0; // the hello's own report
  for (const sequence of [1, 2, 3]) say({ $case: "statuses", value: { sequence, updates: [] } });
  assert.equal(sink.reports.at(-1)?.address, "10.0.0.7");
  sink.commit[1]?.();
  await turn();
  assert.deepEqual(line.sent.slice(2), []);
  sink.commit[0]?.();
  await turn();
  assert.deepEqual(line.sent.slice(2), ["ack 2"]);
  say({ $case: "heartbeat", value: { appliedRevision: 0, sentAtMs: 0 } });
  assert.deepEqual(line.sent.slice(2), ["ack 2", "ack 2"]);
  await dispatcher.close();
});

test("an agent that has seen more than there is gets everything anew from a caught-up replica", async () => {
  const { dispatcher, barriers } = await setUp(1);
  const { line, say } = begin(dispatcher, 99);
  say({ $case: "heartbeat", value: { appliedRevision: 99, sentAtMs: 0 } });
  await turn();
  assert.deepEqual(line.sent, ["welcome", "ack 0"]);
  assert.equal(barriers.length, 1, "asked once");
  barriers[0]?.();
  await turn();
  assert.deepEqual(line.sent, ["welcome", "ack 0", "complete to 1: +1 -0"]);
  await dispatcher.close();
});

test("a silent agent loses its session; a manager without a leader ends all of them", async () => {
  const { dispatcher, clock, sink } = await setUp();
  const silent = begin(dispatcher);
  clock.advance(2_999);
  assert.equal(silent.line.open, true);
  clock.advance(1);
  assert.equal(silent.line.open, false);
  assert.equal(dispatcher.sessionCount, 0);
  const { lost, silentMs } = sink.reports.at(-1) ?? {};
  assert.deepEqual({ lost, silentMs }, { lost: true, silentMs: 3_000 });

  const cut = begin(dispatcher);
  sink.refusal = new UnavailableError("no leader");
  for (let second = 0; second < 5; second++) {
    await turn();
    cut.say({ $case: "heartbeat", value: { appliedRevision: 0, sentAtMs: 0 } });
    clock.advance(1_000);
  }
  assert.match(String(Reflect.get(cut.line.error ?? {}, "details")), /has lost the leader/);
  assert.match(String(Reflect.get(begin(dispatcher).line.error ?? {}, "details")), /has lost the leader/);
  await dispatcher.close();
});

test("one word a period counts the sessions the leader knows of; asked, it tells all of them", async () => {
  const { dispatcher, clock, sink } = await setUp();
  const { say } = begin(dispatcher);
  const period = async (): Promise<ManagerWord | undefined> => {
    say({ $case: "heartbeat", value: { appliedRevision: 0, sentAtMs: clock.nowMs() } });
    clock.advance(1_000);
    await turn();
    return sink.words.at(-1);
  };
  assert.equal((await period())?.sessions, 0); // its beginning is on its way
  sink.commit[0]?.();
  await turn();
  const word = await period();
  assert.equal(word?.sessions, 1);
  assert.deepEqual([word?.full, word?.digest], [false, (await period())?.digest]);
  const { length } = sink.reports;
  sink.wantsFull = true;
  assert.deepEqual({ ...(await period()), epoch: "" }, { ...word, epoch: "", full: true });
  assert.deepEqual([sink.words.length, sink.reports.length], [5, length]);
  say({ $case: "goodbye", value: { leaving: false } });
  assert.deepEqual([(await period())?.sessions, (await period())?.digest], [0, 0]);
  await dispatcher.close();
});

test("a newer session of the node ends the older; a removed node ends its session", async () => {
  const { dispatcher, store } = await setUp();
  const older = begin(dispatcher);
  const newer = begin(dispatcher);
  assert.equal(older.line.open, false);
  assert.equal(dispatcher.sessionCount, 1);
  await store.update((tx) => tx.remove("node", "n1"));
  await turn();
  assert.match(String(Reflect.get(newer.line.error ?? {}, "details")), /removed from the cluster/);
  await dispatcher.close();
});

test("a node that is not known is told so, not that it was silent", async () => {
  const { dispatcher, store, clock } = await setUp();
  await store.update((tx) => tx.remove("node", "n1"));
  await turn();
  const { line } = begin(dispatcher);
  clock.advance(4_500); // it was never told how often to speak
  assert.equal(line.open, true);
  clock.advance(500);
  assert.match(String(Reflect.get(line.error ?? {}, "details")), /n1 is not in the cluster: it was removed/);
  await dispatcher.close();
});

test("a first message that is no hello, and another protocol, are refused", async () => {
  const { dispatcher } = await setUp();
  const handlers = dispatcher.handlers as unknown as { session(call: FakeCall): void };
  for (const message of [
    { $case: "heartbeat", value: { appliedRevision: 0, sentAtMs: 0 } },
    { $case: "hello", value: { description: undefined, appliedRevision: 0, protocolVersion: 2 } },
  ]) {
    const { call, line } = connect((fake) => handlers.session(fake));
    call.emit("data", { message });
    assert.equal(line.open, false);
    assert.match(String(Reflect.get(line.error ?? {}, "details")), /must be (hello|1)/);
  }
  await dispatcher.close();
});

test("words without end are cut; what else is too large ends the agent's own session unheard", async () => {
  const { dispatcher, sink } = await setUp();
  const update = (status: Parameters<typeof TaskStatus.fromPartial>[0]) => ({
    taskId: "t0",
    status: TaskStatus.fromPartial({ state: TaskState.FAILED, ...status }),
    gatewayAddress: "",
  });
  const told = begin(dispatcher);
  const statuses = (updates: unknown) => ({ $case: "statuses", value: { sequence: 1, updates } });
  told.say(statuses([update({ err: "ä".repeat(100_000), message: "x".repeat(100_000) })]));
  const status = sink.reports.at(-1)?.updates[0]?.status;
  assert.match(status?.err ?? "", /^ä+ … \(cut, 100000 characters\)$/);
  assert.ok(Buffer.byteLength(`${status?.err}${status?.message}`) < 3_000);
  assert.equal(told.line.open, true);

  const count = sink.told;
  told.say(statuses([update({ health: "x".repeat(100_000) })]));
  assert.match(String(Reflect.get(told.line.error ?? {}, "details")), /a task status may have/);
  const many = begin(dispatcher);
  many.say(statuses(Array.from({ length: 1_001 }, () => update({}))));
  assert.match(String(Reflect.get(many.line.error ?? {}, "details")), /a status batch may have 1000/);
  const boastful = begin(dispatcher);
  const description = NodeDescription.fromPartial({ hostname: "h".repeat(100_000) });
  boastful.say({ $case: "description", value: description });
  assert.match(String(Reflect.get(boastful.line.error ?? {}, "details")), /a node description may have/);
  assert.equal(sink.told, count + 2); // two hellos
  await dispatcher.close();
});

test("an address that is none ends the agent's own session unheard", async () => {
  const { dispatcher, sink } = await setUp();
  const foul = "10.0.0.4 }; flush ruleset";
  const says = [
    { $case: "description", value: NodeDescription.fromPartial({ dataPathAddress: foul }) },
    {
      $case: "statuses",
      value: { sequence: 1, updates: [{ taskId: "t0", status: undefined, gatewayAddress: foul }] },
    },
  ];
  for (const message of says) {
    const agent = begin(dispatcher);
    const count = sink.told;
    agent.say(message);
    assert.match(
      String(Reflect.get(agent.line.error ?? {}, "details")),
      /must be an IPv4( or IPv6)? address, got "10/,
    );
    assert.equal(sink.told, count);
  }
  await dispatcher.close();
});
