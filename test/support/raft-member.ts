/**
 * One Raft member as a process of its own: real folder, real gRPC on loopback,
 * a list of words as its state machine.
 * Edge: to the parent process, which forks it, talks to it over IPC and may kill it at any moment.
 */
import { mkdirSync } from "node:fs";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "../../base/clock/system-clock.js";
import { messageOf } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import { RaftService } from "../../proto/gen/skein/v1/raft.js";
import { openRaftNode, type RaftStart } from "../../raft/host/host.js";
import type { RaftNode, StateMachine } from "../../raft/host/raft-node.js";
import { RAFT_SERVER_OPTIONS } from "../../raft/transport/grpc-options.js";
import { createRaftHandlers, GrpcTransport } from "../../raft/transport/grpc-transport.js";

export interface MemberConfig {
  readonly dir: string;
  readonly name: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly start: RaftStart;
}

export type MemberRequest = { readonly id: number } & (
  | { readonly kind: "propose"; readonly words: readonly string[] }
  | { readonly kind: "burst"; readonly words: readonly string[] }
  | { readonly kind: "add"; readonly name: string; readonly address: string }
  | { readonly kind: "words" }
  | { readonly kind: "close" }
);

export type MemberReport =
  | { readonly kind: "ready"; readonly port: number; readonly raftId: number }
  | {
      readonly kind: "leadership";
      readonly isLeader: boolean;
      readonly term: number;
      readonly leader: number;
    }
  | { readonly kind: "role"; readonly voters: number }
  | { readonly kind: "reply"; readonly id: number; readonly value?: unknown; readonly error?: string };

class Words implements StateMachine {
  readonly words: string[] = [];

  apply(entry: { index: number; data: Uint8Array }) {
    const word = Buffer.from(entry.data).toString();
    this.words.push(word);
    return [{ key: String(entry.index).padStart(12, "0"), value: entry.data }];
  }

  async restore(_index: number, pairs: AsyncIterable<{ value: Uint8Array }>): Promise<void> {
    this.words.length = 0;
    for await (const { value } of pairs) this.words.push(Buffer.from(value).toString());
  }
}

function report(message: MemberReport): void {
  process.send?.(message);
}

async function answer(node: RaftNode, machine: Words, request: MemberRequest): Promise<unknown> {
  switch (request.kind) {
    case "propose": {
      const latenciesMs: number[] = [];
      for (const word of request.words) {
        const startMs = performance.now();
        await node.propose(Buffer.from(word));
        latenciesMs.push(performance.now() - startMs);
      }
      return latenciesMs;
    }
    case "burst":
      await Promise.all(request.words.map((word) => node.propose(Buffer.from(word))));
      return undefined;
    case "add":
      return node.addMember({ nodeId: request.name, address: request.address });
    case "words":
      await node.readBarrier();
      return machine.words;
    case "close":
      return node.close();
  }
}

async function main(config: MemberConfig): Promise<void> {
  mkdirSync(config.dir, { recursive: true });
  const machine = new Words();
  const transport = new GrpcTransport({
    dial: () => ({ credentials: credentials.createInsecure(), options: {} }),
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  const server = new Server(RAFT_SERVER_OPTIONS);
  server.addService(RaftService, createRaftHandlers(transport));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${config.port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  const node = await openRaftNode({
    ...config,
    clusterId: "test",
    nodeId: config.name,
    address: `127.0.0.1:${port}`,
    transport,
    stateMachine: machine,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    segmentBytes: 16 * 1024,
    snapshotInterval: 600,
  });
  node.onLeadership(({ isLeader, term, leader }) => {
    report({ kind: "leadership", isLeader, term, leader: leader?.raftId ?? 0 });
  });
  node.onMembership((members) => report({ kind: "role", voters: members.filter((m) => !m.learner).length }));
  process.on("message", (request: MemberRequest) => {
    answer(node, machine, request).then(
      (value) => {
        report({ kind: "reply", id: request.id, value });
        if (request.kind === "close") process.disconnect();
      },
      (error: unknown) => report({ kind: "reply", id: request.id, error: messageOf(error) }),
    );
  });
  process.on("disconnect", () => process.exit(0));
  report({ kind: "ready", port, raftId: node.raftId });
}

const argument = process.argv[2];
if (argument !== undefined && process.send !== undefined) await main(JSON.parse(argument) as MemberConfig);
