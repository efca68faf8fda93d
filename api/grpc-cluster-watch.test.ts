/**
 * The watch of the cluster's events against a real gRPC server on a unix socket.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  Channel,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { systemClock } from "../base/clock/system-clock.js";
import { AbortedError } from "../base/errors/errors.js";
import { toGrpcStatus } from "../base/grpc/grpc-errors.js";
import { silentLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { type ClusterEvent, ControlService, type WatchEventsRequest } from "../proto/gen/skein/v1/control.js";
import { ClusterWatch } from "./grpc-cluster-watch.js";
import type { ManagerEndpoint } from "./ports.js";

const dir = mkdtempSync(join(tmpdir(), "skein-watch-"));
after(() => rmSync(dir, { recursive: true }));

type Call = ServerWritableStream<WatchEventsRequest, ClusterEvent>;

/** A manager of which only the watch answers. */
class FakeManager {
  readonly calls: Call[] = [];
  readonly #server = new Server();
  readonly #address: string;

  constructor(name: string) {
    this.#address = `unix:${join(dir, name)}`;
    const { watchEvents } = ControlService;
    const handlers: UntypedServiceImplementation = {
      watchEvents: (call: Call) => {
        this.calls.push(call);
        call.sendMetadata(new Metadata());
      },
    };
    this.#server.addService({ watchEvents }, handlers);
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#server.bindAsync(this.#address, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
  }

  endpoint(): ManagerEndpoint {
    const insecure = credentials.createInsecure();
    const channel = new Channel(this.#address, insecure, { "grpc.initial_reconnect_backoff_ms": 20 });
    return { address: this.#address, credentials: insecure, channel };
  }

  close(): void {
    this.#server.forceShutdown();
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + 5_000;
  while (!holds()) {
    assert.ok(systemClock.monotonicMs() < endMs, what);
    await systemClock.sleep(2);
  }
}

test("the watch waits for the manager, begins anew when it ends, and ends with the manager", async () => {
  const manager = new FakeManager("m");
  const seen: string[] = [];
  let endpoint: ManagerEndpoint | undefined;
  let changed = (): void => undefined;
  const watch = new ClusterWatch({
    isManager: () => endpoint !== undefined,
    manager: () => endpoint,
    onManagerChange: (listener) => {
      changed = listener;
      return () => undefined;
    },
    onEvent: ({ id }) => seen.push(id),
    onGap: () => seen.push("gap"),
    clock: systemClock,
    random: new SeededRandom("watch"),
    log: silentLogger,
  });
  const { signal } = new AbortController();
  await watch.live(signal); // no manager: nothing to wait for
  endpoint = manager.endpoint();
  const { channel } = endpoint;
  changed();
  const live = watch.live(signal);
  await manager.listen();
  await live;
  const tell = (call: Call | undefined, id: string): void => {
    call?.write({ index: 1, ordinal: 0, timeMs: 1, type: "node", action: "update", id, attributes: {} });
  };
  tell(manager.calls[0], "one");
  await until("the first event", () => seen.length === 1);
  manager.calls[0]?.end();
  await until("the second watch", () => manager.calls.length === 2);
  await watch.live(signal);
  tell(manager.calls[1], "two");
  await until("the second event", () => seen.length === 3);

  endpoint = undefined;
  changed();
  await until("the end at the manager", () => manager.calls[1]?.cancelled === true);
  assert.deepEqual(seen, ["one", "gap", "two", "gap"]);
  watch.close();
  channel.close();
  manager.close();
});

test("whoever waits for a manager that does not answer is let go after a while, or with its client", async () => {
  const manager = new FakeManager("silent");
  const endpoint = manager.endpoint();
  const abort = new AbortController();
  const watch = new ClusterWatch({
    isManager: () => endpoint !== undefined,
    manager: () => endpoint,
    onManagerChange: () => () => undefined,
    onEvent: () => assert.fail("an event"),
    onGap: () => assert.fail("a gap"),
    clock: systemClock,
    random: new SeededRandom("watch"),
    log: silentLogger,
  });
  const waiting = watch.live(abort.signal);
  abort.abort();
  await waiting;
  await watch.live(new AbortController().signal);
  watch.close();
  endpoint.channel.close();
});

test("a watch that breaks goes on behind the last number; where that is gone, the gap is told", async () => {
  const manager = new FakeManager("numbers");
  await manager.listen();
  const endpoint = manager.endpoint();
  const seen: string[] = [];
  const watch = new ClusterWatch({
    isManager: () => true,
    manager: () => endpoint,
    onManagerChange: () => () => undefined,
    onEvent: ({ id }) => seen.push(id),
    onGap: () => seen.push("gap"),
    clock: systemClock,
    random: new SeededRandom("watch"),
    log: silentLogger,
  });
  await watch.live(new AbortController().signal);
  const event = { index: 7, timeMs: 1, type: "node", action: "update", attributes: {} };
  manager.calls[0]?.write({ ...event, id: "one", ordinal: 2 });
  await until("the first event", () => seen.length === 1);
  manager.calls[0]?.end();
  await until("the second watch", () => manager.calls.length === 2);
  assert.equal(manager.calls[1]?.request.after, "7.2");
  await watch.live(new AbortController().signal);
  manager.calls[1]?.emit("error", toGrpcStatus(new AbortedError("gap")));
  await until("the third watch", () => manager.calls.length === 3);
  assert.equal(manager.calls[2]?.request.after, "");
  assert.deepEqual(seen, ["one", "gap"]);
  watch.close();
  endpoint.channel.close();
  manager.close();
});
