import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel, connectivityState, credentials } from "@grpc/grpc-js";
import { NotFoundError, UnavailableError } from "../base/errors/errors.js";
import { ManagerClients } from "./manager-clients.js";
import type { LocalNodeState, ManagerEndpoint, SwarmBackend } from "./ports.js";

interface Node {
  readonly state: LocalNodeState;
  readonly error?: string;
  readonly isManager?: boolean;
  /** Of the channel there is. */
  readonly connection?: connectivityState;
}

function clientsOf({ state, error = "", isManager = false, connection }: Node, waits: unknown[] = []) {
  const info = { nodeId: "", nodeAddr: "", state, controlAvailable: false, error, remoteManagers: [] };
  const endpoint: ManagerEndpoint = {
    address: "unix:/nowhere",
    credentials: credentials.createInsecure(),
    channel: { getConnectivityState: () => connection } as unknown as Channel, // all that is asked of it
  };
  return new ManagerClients({
    isManager: () => isManager,
    manager: () => (connection === undefined ? undefined : endpoint),
    managerReached: async (waitMs) => {
      waits.push(waitMs);
      return undefined;
    },
    swarm: { info: () => info } as unknown as SwarmBackend, // all that is asked
  });
}

const asked = (node: Node, waits: unknown[] = []): Promise<unknown> =>
  clientsOf(node, waits).call((control) => control.getCluster, {}, { startWaitMs: 7 });

test("a node that is no manager says so at once, in Docker's words", async () => {
  const waits: unknown[] = [];
  const inactive = /^This node is not a swarm manager\. Use "docker swarm init"/;
  await assert.rejects(asked({ state: "inactive" }, waits), { code: "unavailable", message: inactive });
  const worker = /^This node is not a swarm manager\. Worker nodes can't be used/;
  await assert.rejects(asked({ state: "active" }, waits), { code: "unavailable", message: worker });
  await assert.rejects(asked({ state: "locked", error: "it is locked" }, waits), { message: "it is locked" });
  assert.deepEqual(waits, []);
});

test("a manager that does not come up is waited for; then the answer says that nothing was done, and why", async () => {
  const waits: unknown[] = [];
  await assert.rejects(asked({ state: "active", isManager: true }, waits), {
    code: "unavailable",
    message: "nothing was done: this node's manager is still starting (a call waits for it, 10 s at most)",
  });
  await assert.rejects(asked({ state: "active", isManager: true, error: "no space left" }, waits), {
    code: "unavailable",
    message: "nothing was done: this node's manager does not run, and is started again: no space left",
  });
  assert.deepEqual(waits, [7, 7]);
});

test("a manager that goes over a call is named; what a manager answers stays as it is", () => {
  const dropped = new UnavailableError("Connection dropped");
  const words = (node: Omit<Node, "state">, error: unknown): unknown =>
    (clientsOf({ state: "active", isManager: true, ...node }).explained(error) as Error).message;
  const { READY, IDLE } = connectivityState;
  assert.match(String(words({ connection: IDLE }, dropped)), /manager ended before it answered: .* or not$/);
  assert.match(String(words({ error: "SIGKILL" }, dropped)), /does not run, and is started again: SIGKILL$/);
  const leaderless = new UnavailableError("the swarm has no leader");
  assert.equal(words({ connection: READY, error: "a manager refuses it" }, leaderless), leaderless.message);
  assert.equal(words({ connection: IDLE }, new NotFoundError("no such node")), "no such node");
});

test("what only reads is asked again when the manager goes over it; a write is not", async () => {
  const address = "unix:/nowhere/m.sock";
  const insecure = credentials.createInsecure();
  const endpoint: ManagerEndpoint = {
    address,
    credentials: insecure,
    channel: new Channel(address, insecure, {}),
  };
  let asks = 0;
  const demotedOverIt = new ManagerClients({
    isManager: () => asks === 0,
    manager: () => undefined,
    managerReached: async () => {
      asks += 1;
      return endpoint;
    },
    swarm: { info: () => ({ state: "active", error: "" }) } as unknown as SwarmBackend, // all that is asked
  });
  await assert.rejects(
    demotedOverIt.call((control) => control.getCluster, {}),
    {
      message: /^This node is not a swarm manager/,
    },
  );
  asks = 0;
  await assert.rejects(
    demotedOverIt.call((control) => control.leaveCluster, { nodeId: "n", force: false }),
    {
      message: /^this node's manager ended before it answered/,
    },
  );
  endpoint.channel.close();
});
