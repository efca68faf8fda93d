import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { network, service } from "../endpoints/network-fixtures.js";
import type { WatchedSandbox } from "./idle-limits.js";
import { DEFAULT_IDLE_MS } from "./idle-limits.js";
import { IdleWatch } from "./idle-watch.js";
import type { TcpSocket } from "./sock-diag-messages.js";

const CLIENT: WatchedSandbox = {
  taskId: "client",
  serviceId: "",
  overlays: [{ networkId: "net1", address: "10.0.1.50", prefixLength: 24 }],
};
const SERVER: WatchedSandbox = {
  taskId: "server",
  serviceId: "svc1",
  overlays: [],
  gatewayAddress: "100.64.1.2",
};
const VIP = "10.0.1.2";

interface Connection {
  readonly sandbox: WatchedSandbox;
  readonly local: string;
  readonly remote: string;
  readonly port: number;
  /** When data last passed. */
  atMs: number;
  /** When anything last passed; undefined: with the data. */
  probedAtMs?: number;
}

class World {
  readonly clock = new ManualClock(0);
  readonly sandboxes: WatchedSandbox[] = [CLIENT];
  readonly connections: Connection[] = [];
  readonly resets: string[] = [];
  looks = 0;
  readonly failing = new Set<string>();
  readonly log = new MemoryLogger();
  readonly watch = new IdleWatch({
    sandboxes: () => this.sandboxes,
    clock: this.clock,
    log: this.log,
    sockets: {
      list: (sandbox) => {
        if (this.failing.has(sandbox.taskId)) throw new Error("no sockets are told");
        this.looks += 1;
        const own = this.connections.filter((one) => one.sandbox.taskId === sandbox.taskId);
        return own.map((one) => [this.#socketOf(one)]);
      },
      limitMs: (_place, asked) => asked,
      quietMs: (socket) => {
        const one = this.#of(socket);
        return one === undefined ? undefined : this.clock.monotonicMs() - (one.probedAtMs ?? one.atMs);
      },
      reset: (sandbox, socket, place) => {
        this.resets.push(
          `${sandbox.taskId}:${socket.local.port} ${place.kind} at ${this.clock.monotonicMs()}`,
        );
        const gone = this.#of(socket);
        if (gone !== undefined) this.connections.splice(this.connections.indexOf(gone), 1);
      },
    },
  });

  connect(fields: Partial<Connection> = {}): Connection {
    const connection: Connection = {
      ...{ sandbox: CLIENT, local: "10.0.1.50", remote: VIP, port: 40_000 + this.connections.length },
      atMs: this.clock.monotonicMs(),
      ...fields,
    };
    this.connections.push(connection);
    return connection;
  }

  limit(idleTimeoutMs: number | undefined): void {
    const upserts = [
      network(),
      service({
        ports: [{ targetPort: 80, publishedPort: 8_080 }],
        ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      }),
    ];
    this.watch.learn({ complete: true, upserts, removals: [] });
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(Math.min(100, left));
      await this.settle();
    }
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 6; i += 1) {
      this.clock.advance(0);
      await nextTurn();
    }
  }

  #socketOf({ local, remote, port, sandbox, atMs }: Connection): TcpSocket {
    return {
      local: { address: local, port: sandbox === SERVER ? 80 : port },
      remote: { address: remote, port: sandbox === SERVER ? port : 80 },
      idleMs: this.clock.monotonicMs() - atMs,
      handle: { family: 2, id: new Uint8Array(48) },
    };
  }

  #of({ local, remote }: TcpSocket): Connection | undefined {
    return this.connections.find(({ port }) => port === local.port || port === remote.port);
  }
}

test("a limit that becomes shorter while a look goes on holds for who was looked at, too", async () => {
  const world = new World();
  world.limit(10_000);
  world.connect();
  world.connect({ atMs: 0 }); // two portions: between them others have a turn
  world.clock.advance(0);
  await nextTurn(); // the first look has begun, and waits
  world.limit(2_000);
  await world.pass(4_000);
  assert.equal(world.resets.length, 2, world.resets.join());
});

test("a connection to a VIP is reset when its limit is over, not before", async () => {
  const world = new World();
  world.limit(60_000);
  await world.settle();
  world.connect();
  await world.pass(59_900);
  assert.deepEqual(world.resets, []);
  await world.pass(2_000);
  assert.equal(world.resets.length, 1);
  assert.match(world.resets[0] ?? "", /^client:40000 network at 6[01]\d00$/);
  assert.equal(world.watch.resetCount, 1);
});

test("what is used is not reset; neither is what only keepalive probes keep", async () => {
  const world = new World();
  world.limit(10_000);
  await world.settle();
  const used = world.connect();
  const probed = world.connect();
  for (let i = 0; i < 8; i += 1) {
    await world.pass(5_000);
    used.atMs = world.clock.monotonicMs();
    probed.probedAtMs = world.clock.monotonicMs();
  }
  assert.deepEqual(world.resets, []);
  await world.pass(12_000);
  assert.equal(world.resets.length, 2);
});

test("connections elsewhere are nobody's business", async () => {
  const world = new World();
  world.sandboxes.push(SERVER);
  world.limit(5_000);
  world.connect({ remote: "10.0.1.21" });
  world.connect({ remote: "192.0.2.1" });
  world.connect({ sandbox: SERVER, local: "10.0.1.60", remote: "10.0.1.50" });
  await world.pass(30_000);
  assert.deepEqual(world.resets, []);
});

test("what came by a published port is reset where the task is, for both families", async () => {
  const world = new World();
  world.sandboxes.push(SERVER);
  world.limit(5_000);
  await world.settle();
  world.connect({ sandbox: SERVER, local: "100.64.1.2", remote: "192.0.2.9", port: 50_001 });
  world.connect({ sandbox: SERVER, local: "fd53:6b65:696e:1::2", remote: "2001:db8::9", port: 50_002 });
  await world.pass(7_000);
  assert.equal(world.resets.length, 2);
  for (const reset of world.resets) assert.match(reset, /^server:80 host /);
});

test("a limit that becomes shorter counts at once, a longer one too", async () => {
  const world = new World();
  world.limit(600_000);
  await world.settle();
  world.connect();
  await world.pass(20_000);
  world.limit(10_000);
  await world.settle();
  assert.equal(world.resets.length, 1);
  world.connect();
  world.limit(60_000);
  await world.pass(30_000);
  assert.equal(world.resets.length, 1);
});

test("nothing is polled: looks follow the shortest time in which a connection can be due", async () => {
  const world = new World();
  world.limit(undefined);
  await world.settle();
  assert.equal(world.looks, 1, "the daemon's first look");
  world.connect();
  await world.pass(60_000);
  assert.equal(world.looks, 1);
  world.clock.advance(DEFAULT_IDLE_MS);
  await world.settle();
  await world.pass(70_000);
  assert.equal(world.resets.length, 1, "the kernel would forget it ten minutes later");
  assert.ok(world.looks <= 8, `${world.looks} looks`);
});

test("connections that are due one after the other share looks", async () => {
  const world = new World();
  world.limit(100_000);
  await world.settle();
  for (let i = 0; i < 50; i += 1) {
    world.connect();
    await world.pass(100);
  }
  const before = world.looks;
  await world.pass(110_000);
  assert.equal(world.resets.length, 50);
  assert.ok(world.looks - before <= 6, `${world.looks - before} looks`);
});

test("after stop nothing is looked at", async () => {
  const world = new World();
  world.limit(1_000);
  world.watch.stop();
  world.connect();
  await world.pass(5_000);
  assert.deepEqual([world.looks, world.resets.length], [0, 0]);
});

test("a sandbox that cannot be looked at is said and keeps no other from being looked at", async () => {
  const world = new World();
  world.sandboxes.unshift({ ...CLIENT, taskId: "broken" });
  world.failing.add("broken");
  world.limit(5_000);
  await world.settle();
  world.connect();
  await world.pass(30_000);
  assert.equal(world.resets.length, 1);
  const warnings = world.log.lines.filter(({ level }) => level === "warn");
  assert.ok(warnings.length >= 1 && warnings.length <= 7, `${warnings.length} warnings`);
});
