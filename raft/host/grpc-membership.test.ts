import assert from "node:assert/strict";
import { test } from "node:test";
import { credentials, Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import { InvalidArgumentError, NotLeaderError } from "../../base/errors/errors.js";
import { callUnary } from "../../base/grpc/grpc-call.js";
import { RaftMembershipClient, RaftMembershipService } from "../../proto/gen/skein/v1/raft.js";
import { Cluster, type Member } from "../../test/support/raft-hosts.js";
import { createMembershipHandlers } from "./grpc-membership.js";

/** The member's membership service behind a real server and client, for the time of the test. */
async function serving(member: Member, run: (client: RaftMembershipClient) => Promise<void>): Promise<void> {
  const server = new Server();
  server.addService(RaftMembershipService, createMembershipHandlers(member.node));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new RaftMembershipClient(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    await run(client);
  } finally {
    client.close();
    server.forceShutdown();
  }
}

test("joining twice gives the same member, with the newest address; leaving twice is harmless", async () => {
  const cluster = await Cluster.ofThree();
  const { leader } = cluster;
  await serving(leader, async (client) => {
    const join = (address: string) =>
      cluster.during(callUnary(client.join.bind(client), { nodeId: "d", address }, { timeoutMs: 5_000 }));
    const leave = () =>
      cluster.during(callUnary(client.leave.bind(client), { nodeId: "d" }, { timeoutMs: 5_000 }));
    const first = await join("d:1");
    const second = await join("d:2");
    assert.equal(second.raftId, first.raftId);
    assert.deepEqual(second.members.find((member) => member.raftId === first.raftId)?.address, "d:2");
    await leave();
    await leave();
    assert.deepEqual(leader.node.status().membership.removed, [first.raftId]);
    const third = await join("d:3");
    assert.notEqual(third.raftId, first.raftId);
    assert.deepEqual(third.removed, [first.raftId]);
    await assert.rejects(
      cluster.during(callUnary(client.join.bind(client), { nodeId: "", address: "" })),
      InvalidArgumentError,
    );
  });
  await cluster.close();
});

test("a follower sends those who join or leave to the leader", async () => {
  const cluster = await Cluster.ofThree();
  const { leader } = cluster;
  const [follower] = cluster.others(leader);
  assert.ok(follower);
  const namesLeader = (error: unknown): boolean =>
    error instanceof NotLeaderError && error.leaderAddress === `${leader.name}:2377`;
  await serving(follower, async (client) => {
    const request = { nodeId: "d", address: "d:1" };
    await assert.rejects(cluster.during(callUnary(client.join.bind(client), request)), namesLeader);
    await assert.rejects(
      cluster.during(callUnary(client.leave.bind(client), { nodeId: "unknown" })),
      namesLeader,
    );
  });
  await cluster.close();
});

test("a node joins and leaves for itself only: a join replaces the member that the node had", async () => {
  const cluster = await Cluster.ofThree();
  const handlers = createMembershipHandlers(cluster.leader.node);
  const subject = { CN: "intruder", OU: "swarm-manager", O: "c1" };
  const ask = (nodeId: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const call = {
        request: { nodeId, address: "x:1" },
        metadata: new Metadata(),
        getAuthContext: () => ({ sslPeerCertificate: { subject } }),
        getPeer: () => "10.0.0.9:1",
      };
      // what of a call the handlers look at
      const asked = call as unknown as Parameters<typeof handlers.join>[0];
      handlers.join(asked, (error, reply) => (error ? reject(error) : resolve(reply)));
    });
  await assert.rejects(ask("a"), { code: 7, details: /node intruder may not ask for node a/ });
  await cluster.during(ask("intruder"));
  await cluster.close();
});
