import assert from "node:assert/strict";
import { test } from "node:test";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "../../base/clock/system-clock.js";
import { silentLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import { RaftService } from "../../proto/gen/skein/v1/raft.js";
import type { RaftId, RaftMember } from "../core/types.js";
import { RAFT_SERVER_OPTIONS } from "./grpc-options.js";
import { createRaftHandlers, GrpcTransport } from "./grpc-transport.js";

/** A member as a process: its server, its transport, and whom it says it is. */
class Process {
  readonly raftId: RaftId;
  readonly address: string;
  readonly announced: string[] = [];
  readonly #server: Server;
  readonly #transport: GrpcTransport;

  private constructor(raftId: RaftId, address: string, server: Server, transport: GrpcTransport) {
    this.raftId = raftId;
    this.address = address;
    this.#server = server;
    this.#transport = transport;
    transport.start(
      { raftId, clusterId: "c", address },
      {
        receive: () => undefined,
        connectionLost: () => undefined,
        unreachable: () => undefined,
        refused: (_peer, reason) => assert.fail(reason),
        receiveSnapshot: () => Promise.resolve(),
        announced: (peer, at) => this.announced.push(`${peer} at ${at}`),
      },
    );
  }

  static async open(raftId: RaftId): Promise<Process> {
    const transport = new GrpcTransport({
      dial: () => ({ credentials: credentials.createInsecure(), options: {} }),
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    });
    const server = new Server(RAFT_SERVER_OPTIONS);
    server.addService(RaftService, createRaftHandlers(transport));
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    return new Process(raftId, `127.0.0.1:${port}`, server, transport);
  }

  /** What its log says of the membership. */
  believe(members: readonly RaftMember[]): void {
    this.#transport.setPeers(members, []);
  }

  reaches(other: Process): boolean {
    return this.#transport.isReachable(other.raftId);
  }

  async close(): Promise<void> {
    await this.#transport.close();
    this.#server.forceShutdown();
  }
}

const member = (raftId: RaftId, address: string): RaftMember => ({
  raftId,
  nodeId: `n${raftId}`,
  address,
  learner: false,
});

async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + 10_000;
  while (!holds()) {
    assert.ok(systemClock.monotonicMs() < endMs, what);
    await systemClock.sleep(5);
  }
}

/** Nobody listens there. */
const LEFT = ["127.0.0.1:1", "127.0.0.1:2"] as const;

test("two members that have moved, unknown to each other, meet through a third, and no longer need it", async () => {
  const [stayed, two, three] = await Promise.all([1, 2, 3].map((raftId) => Process.open(raftId)));
  assert.ok(stayed && two && three);
  const agreed = [member(1, stayed.address), member(2, LEFT[0]), member(3, LEFT[1])];
  for (const each of [stayed, two, three]) each.believe(agreed);
  await until("they meet", () => two.reaches(three) && three.reaches(two) && stayed.reaches(two));
  assert.deepEqual(
    [two.announced.includes(`3 at ${three.address}`), three.announced.includes(`2 at ${two.address}`)],
    [true, true],
  );
  await stayed.close();
  await until("the third is missed", () => !two.reaches(stayed) && !three.reaches(stayed));
  assert.deepEqual([two.reaches(three), three.reaches(two)], [true, true]);

  // One moves again while the other knows a newer membership than the third: what it says itself counts.
  await three.close();
  const moved = await Process.open(3);
  moved.believe([member(1, stayed.address), member(2, two.address), member(3, moved.address)]);
  await until("they meet again", () => two.reaches(moved) && moved.reaches(two));
  await Promise.all([two.close(), moved.close()]);
});
