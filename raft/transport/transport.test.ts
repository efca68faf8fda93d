import assert from "node:assert/strict";
import { test } from "node:test";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "../../base/clock/system-clock.js";
import { FailedPreconditionError, UnavailableError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import { RaftService } from "../../proto/gen/skein/v1/raft.js";
import { MessageKind, makeMessage } from "../core/message.js";
import type { RaftId, RaftMember, RaftMessage, SnapshotMeta } from "../core/types.js";
import type { KeyValuePair } from "../host/raft-node.js";
import { EntryKind, makeEntry } from "../log/make-entry.js";
import { RAFT_SERVER_OPTIONS } from "./grpc-options.js";
import { createRaftHandlers, GrpcTransport } from "./grpc-transport.js";
import { MemoryNetwork } from "./memory-transport.js";
import type { RaftTransport, SnapshotTransfer } from "./transport.js";

/** One end of a transport, with all it was told and a way to wait for it. */
class Endpoint {
  readonly raftId: RaftId;
  readonly address: string;
  readonly transport: RaftTransport;
  readonly kill: () => void;
  readonly messages: RaftMessage[] = [];
  readonly lost: RaftId[] = [];
  readonly unreachable: RaftId[] = [];
  readonly refused: string[] = [];
  readonly pairs: KeyValuePair[] = [];
  snapshotMeta: SnapshotMeta | undefined;
  snapshotFailure: Error | undefined;
  snapshotHeld: string | undefined;
  snapshotId = 0;
  snapshotEnd: unknown;

  constructor(
    raftId: RaftId,
    made: { address: string; transport: RaftTransport; kill: () => void },
    clusterId = "c",
  ) {
    this.raftId = raftId;
    this.address = made.address;
    this.transport = made.transport;
    this.kill = made.kill;
    made.transport.start(
      { raftId, clusterId, address: made.address },
      {
        receive: (messages) => this.messages.push(...messages),
        connectionLost: (peer) => this.lost.push(peer),
        unreachable: (peer) => this.unreachable.push(peer),
        refused: (_peer, reason) => this.refused.push(reason),
        receiveSnapshot: (_from, snapshot) => this.#take(snapshot),
      },
    );
  }

  get member(): RaftMember {
    return { raftId: this.raftId, nodeId: `n${this.raftId}`, address: this.address, learner: false };
  }

  async #take(snapshot: SnapshotTransfer): Promise<void> {
    if (this.snapshotFailure !== undefined) throw this.snapshotFailure;
    this.snapshotMeta = snapshot.meta;
    this.snapshotId = snapshot.id;
    try {
      for await (const portion of snapshot.portions(this.snapshotHeld)) this.pairs.push(...portion);
    } catch (error) {
      this.snapshotEnd = error;
      throw error;
    }
  }
}

interface World {
  make(raftId: RaftId, clusterId?: string): Promise<Endpoint>;
  close(): Promise<void>;
}

function memoryWorld(): World {
  const network = new MemoryNetwork();
  const made: Endpoint[] = [];
  return {
    make: async (raftId, clusterId) => {
      const transport = network.createTransport();
      const kill = (): void => network.detach(raftId);
      const endpoint = new Endpoint(raftId, { address: `m${raftId}`, transport, kill }, clusterId);
      made.push(endpoint);
      return endpoint;
    },
    close: async () => {
      for (const { transport } of made) await transport.close();
    },
  };
}

function grpcWorld(): World {
  const made: Endpoint[] = [];
  return {
    make: async (raftId, clusterId) => {
      const transport = new GrpcTransport({
        dial: () => ({ credentials: credentials.createInsecure(), options: {} }),
        clock: systemClock,
        random: systemRandom,
        log: silentLogger,
      });
      const server = new Server(RAFT_SERVER_OPTIONS);
      server.addService(RaftService, createRaftHandlers(transport));
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
          error ? reject(error) : resolve(bound),
        );
      });
      const kill = (): void => server.forceShutdown();
      const endpoint = new Endpoint(raftId, { address: `127.0.0.1:${port}`, transport, kill }, clusterId);
      made.push(endpoint);
      return endpoint;
    },
    close: async () => {
      for (const { transport, kill } of made) {
        await transport.close();
        kill();
      }
    },
  };
}

function append(from: RaftId, to: RaftId, index: number, data = "x"): RaftMessage {
  const entries = [makeEntry({ term: 1, index: index + 1 }, Buffer.from(data), EntryKind.NORMAL)];
  return makeMessage(MessageKind.APPEND, { from, to, term: 1 }, { index, logTerm: 1, entries });
}

/** Polls a condition that the sockets of this process will make true; fails after 5 s. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + 5_000;
  while (!condition()) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`${what}: not within 5 s`);
    await systemClock.sleep(2);
  }
}

function connect(...endpoints: Endpoint[]): void {
  const members = endpoints.map(({ member }) => member);
  for (const { transport } of endpoints) transport.setPeers(members, []);
}

async function* portions(count: number, bytes: number): AsyncGenerator<readonly KeyValuePair[]> {
  for (let i = 0; i < count; i++) yield [{ key: `k${i}`, value: Buffer.alloc(bytes, i) }];
}

const META: SnapshotMeta = { index: 9, term: 2, membership: { members: [], removed: [] } };
const signal = new AbortController().signal;

for (const [name, makeWorld] of Object.entries({ memory: memoryWorld, grpc: grpcWorld })) {
  const contract = (what: string, run: (world: World) => Promise<void>): void => {
    test(`${name} transport ${what}`, async () => {
      const world = makeWorld();
      try {
        await run(world);
      } finally {
        await world.close();
      }
    });
  };

  contract("delivers in order, both ways, once the streams are up", async (world) => {
    const [a, b] = [await world.make(1), await world.make(2)];
    connect(a, b);
    await until("up", () => a.transport.isReachable(2) && b.transport.isReachable(1));
    for (let i = 0; i < 500; i++) a.transport.send([append(1, 2, i), append(1, 2, i, "y".repeat(2_000))]);
    b.transport.send([
      makeMessage(MessageKind.HEARTBEAT_RESPONSE, { from: 2, to: 1, term: 1 }, { context: 7 }),
    ]);
    await until("all there", () => b.messages.length === 1_000 && a.messages.length === 1);
    assert.deepEqual(
      b.messages.map(({ index }) => index),
      Array.from({ length: 1_000 }, (_, i) => Math.floor(i / 2)),
    );
    assert.equal(Buffer.from(b.messages[0]?.entries[0]?.data ?? []).toString(), "x");
    assert.equal(a.messages[0]?.context, 7);
  });

  contract("tells of a broken connection, and of messages it dropped", async (world) => {
    const [a, b] = [await world.make(1), await world.make(2)];
    connect(a, b);
    await until("up", () => a.transport.isReachable(2) && b.transport.isReachable(1));
    b.kill();
    await until("noticed", () => a.lost.includes(2) && !a.transport.isReachable(2));
    a.transport.send([append(1, 2, 1)]);
    await until("reported", () => a.unreachable.includes(2));
  });

  contract("carries a snapshot in portions and resolves when it is in use", async (world) => {
    const [a, b] = [await world.make(1), await world.make(2)];
    connect(a, b);
    await until("up", () => a.transport.isReachable(2));
    await a.transport.sendSnapshot(
      2,
      { meta: META, term: 3, id: 1, portions: () => portions(12, 400_000) },
      { signal },
    );
    assert.deepEqual(b.snapshotMeta, META);
    assert.equal(b.pairs.length, 12);
    assert.equal(b.pairs[11]?.value.length, 400_000);
  });

  contract("asks for the rest of a snapshot alone, after the key that the receiver holds", async (world) => {
    const [a, b] = [await world.make(1), await world.make(2)];
    connect(a, b);
    await until("up", () => a.transport.isReachable(2));
    b.snapshotHeld = "k4";
    const asked: (string | undefined)[] = [];
    const rest = (after: string | undefined): AsyncIterable<readonly KeyValuePair[]> => {
      asked.push(after);
      return portions(3, 10);
    };
    await a.transport.sendSnapshot(2, { meta: META, term: 3, id: 2 ** 32, portions: rest }, { signal });
    assert.deepEqual(asked, ["k4"]);
    assert.equal(b.snapshotId, 2 ** 32);
    assert.equal(b.pairs.length, 3);
  });

  contract("tells both sides of a snapshot whose stream breaks in the middle", async (world) => {
    const [a, b] = [await world.make(1), await world.make(2)];
    connect(a, b);
    await until("up", () => a.transport.isReachable(2));
    const endless = async function* (): AsyncGenerator<readonly KeyValuePair[]> {
      for (let i = 0; ; i++) {
        if (i === 20) b.kill();
        yield [{ key: `k${i}`, value: Buffer.alloc(1_000) }];
      }
    };
    const sent = a.transport.sendSnapshot(2, { meta: META, term: 3, id: 1, portions: endless }, { signal });
    await assert.rejects(sent);
    await until("the receiver noticed", () => b.snapshotEnd !== undefined);
    assert.ok(b.pairs.length >= 12, `what came before is there, got ${b.pairs.length}`);
  });

  contract("passes on why a snapshot was not taken", async (world) => {
    const [a, b] = [await world.make(1), await world.make(2)];
    connect(a, b);
    await until("up", () => a.transport.isReachable(2));
    b.snapshotFailure = new UnavailableError("no room for it");
    const sent = a.transport.sendSnapshot(
      2,
      { meta: META, term: 3, id: 1, portions: () => portions(2, 10) },
      { signal },
    );
    await assert.rejects(sent, /no room for it/);
  });

  contract("fails a snapshot to a peer that is gone", async (world) => {
    const [a, b] = [await world.make(1), await world.make(2)];
    connect(a, b);
    await until("up", () => a.transport.isReachable(2));
    b.kill();
    const sent = a.transport.sendSnapshot(
      2,
      { meta: META, term: 3, id: 1, portions: () => portions(2, 10) },
      { signal },
    );
    await assert.rejects(sent, UnavailableError);
  });
}

for (const [name, makeWorld] of Object.entries({ memory: memoryWorld, grpc: grpcWorld })) {
  test(`${name} transport answers a leader that joined while we were away, but not who was removed`, async () => {
    const world = makeWorld();
    const [away, leader] = [await world.make(1), await world.make(2)];
    away.transport.setPeers([], []); // it does not know of member 2 yet
    leader.transport.setPeers([away.member], []);
    await until("up", () => leader.transport.isReachable(1));
    leader.transport.send([append(2, 1, 0)]);
    await until("heard", () => away.messages.length === 1);
    away.transport.send([append(1, 2, 5)]);
    await until("answered", () => leader.messages.length === 1);
    away.transport.setPeers([], [2]);
    away.transport.send([append(1, 2, 6)]);
    away.transport.setPeers([leader.member], []);
    await until("up again", () => away.transport.isReachable(2));
    away.transport.send([append(1, 2, 7)]);
    await until("heard as a member", () => leader.messages.length > 1);
    assert.deepEqual(
      leader.messages.map(({ index }) => index),
      [5, 7],
    );
    await world.close();
  });
}

test("grpc transport hears a peer's stream end even when its own stream to it never was up", async () => {
  const world = grpcWorld();
  const [a, b] = [await world.make(1), await world.make(2)];
  b.transport.setPeers([a.member], []);
  await until("up", () => b.transport.isReachable(1));
  b.transport.send([append(2, 1, 0)]);
  await until("heard", () => a.messages.length === 1);
  await b.transport.close();
  await until("lost", () => a.lost.includes(2));
  await world.close();
});

test("grpc transport refuses streams of another cluster and of removed members, and says so", async () => {
  const world = grpcWorld();
  const a = await world.make(1);
  const foreign = await world.make(2, "another");
  const removed = await world.make(3);
  a.transport.setPeers([], [3]);
  foreign.transport.setPeers([a.member], []);
  removed.transport.setPeers([a.member], []);
  await until("both refused", () => foreign.refused.length > 0 && removed.refused.length > 0);
  assert.match(foreign.refused[0] ?? "", /another cluster/);
  assert.match(removed.refused[0] ?? "", /was removed/);
  const sent = removed.transport.sendSnapshot(
    1,
    { meta: META, term: 3, id: 1, portions: () => portions(1, 10) },
    { signal },
  );
  await assert.rejects(sent, FailedPreconditionError);
  await world.close();
});

test("grpc transport drops the stream of a member when it is removed", async () => {
  const world = grpcWorld();
  const [a, b] = [await world.make(1), await world.make(2)];
  connect(a, b);
  await until("up", () => b.transport.isReachable(1));
  a.transport.setPeers([a.member], [2]);
  await until("refused", () => b.refused.length > 0 && !b.transport.isReachable(1));
  await world.close();
});

test("grpc transport goes over to new connections without a moment of being lost", async () => {
  const world = grpcWorld();
  const [a, b] = [await world.make(1), await world.make(2)];
  connect(a, b);
  await until("up", () => a.transport.isReachable(2) && b.transport.isReachable(1));
  const { transport } = a;
  assert.ok(transport instanceof GrpcTransport);
  for (let round = 1; round <= 5; round++) {
    transport.renewConnections();
    transport.renewConnections(); // the newer one overtakes
    await until(`messages of round ${round}`, () => {
      assert.equal(transport.isReachable(2), true);
      transport.send([append(1, 2, round)]);
      return b.messages.some((message) => message.index === round);
    });
    await new Promise((wake) => setTimeout(wake, 20));
  }
  assert.deepEqual([a.lost, b.lost, a.unreachable], [[], [], []]);
  await world.close();
});

test("grpc transport comes back quickly when the peer does", async () => {
  const world = grpcWorld();
  const a = await world.make(1);
  const b = await world.make(2);
  connect(a, b);
  await until("up", () => a.transport.isReachable(2));
  await b.transport.close();
  b.kill();
  await until("down", () => !a.transport.isReachable(2));
  const server = new Server(RAFT_SERVER_OPTIONS);
  const transport = new GrpcTransport({
    dial: () => ({ credentials: credentials.createInsecure(), options: {} }),
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  server.addService(RaftService, createRaftHandlers(transport));
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(b.address, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  const again = new Endpoint(2, { address: b.address, transport, kill: () => server.forceShutdown() });
  await until("up again", () => a.transport.isReachable(2));
  a.transport.send([append(1, 2, 5)]);
  await until("delivered", () => again.messages.length === 1);
  await transport.close();
  again.kill();
  await world.close();
});
