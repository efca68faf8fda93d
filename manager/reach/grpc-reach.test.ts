import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { TunnelFrame } from "../../proto/gen/skein/v1/reach.js";
import { createTestStore } from "../../test/support/test-store.js";
import { createReach } from "./grpc-reach.js";
import { NodeListeners } from "./node-listeners.js";
import { DIAL_BACK_MS } from "./tunnel-broker.js";

type Reach = ReturnType<typeof createReach>;
type TunnelCall = Parameters<Reach["tunnelHandlers"]["serveTunnel"]>[0];

/** A call of which only the events count. */
class FakeCall extends EventEmitter {
  readonly failures: string[] = [];
  readonly written: TunnelFrame[] = [];
  cancelled = false;

  constructor() {
    super();
    this.on("error", (error: { details: string }) => this.failures.push(error.details));
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  write(frame: TunnelFrame, written?: () => void): boolean {
    this.written.push(frame);
    written?.();
    return true;
  }
}

async function setUp() {
  const { store, clock, random } = createTestStore();
  await store.update((tx) => tx.create("node", Node.fromPartial({ id: "n1" })));
  const listeners = new NodeListeners();
  const told: string[] = [];
  listeners.add("n1", { send: ({ tunnelId }) => told.push(tunnelId), end: () => undefined });
  let caller = "n1";
  const reach = createReach({ store, listeners, clock, random }, () => caller);
  const begin = (handler: (call: TunnelCall) => void): FakeCall => {
    const call = new FakeCall();
    handler(call as unknown as TunnelCall); // the parts that are used
    return call;
  };
  const as = (nodeId: string): void => {
    caller = nodeId;
  };
  return {
    ...{ clock, told, as },
    open: () => begin(reach.reachHandlers.openTunnel),
    serve: () => begin(reach.tunnelHandlers.serveTunnel),
  };
}

test("whoever opens a tunnel and says nothing is let go, and is not heard afterwards", async () => {
  const { clock, open, serve } = await setUp();
  const calls = [open(), serve()];
  clock.advance(DIAL_BACK_MS);
  for (const call of calls) {
    call.emit("data", TunnelFrame.create({ target: { nodeId: "n1" }, tunnelId: "x" }));
    assert.deepEqual(call.failures, ["a tunnel begins with a frame, and none came"]);
  }
  open().emit("cancelled");
  assert.equal(clock.pendingCount, 0);
});

test("an order is answered by its node alone; then bytes go through, and an end without fin is a break", async () => {
  const { clock, told, as, open, serve } = await setUp();
  const client = open();
  client.emit("data", TunnelFrame.fromPartial({ target: { nodeId: "n1" } }));
  const [tunnelId = ""] = told;
  as("n2");
  const thief = serve();
  thief.emit("data", TunnelFrame.create({ tunnelId }));
  assert.deepEqual(thief.failures, [`tunnel ${tunnelId} was not ordered from node n2`]);
  assert.equal(client.written.length, 0);
  as("n1");
  const node = serve();
  node.emit("data", TunnelFrame.create({ tunnelId }));
  client.emit("data", TunnelFrame.create({ data: Buffer.from("hi") }));
  assert.equal(Buffer.from(node.written[0]?.data ?? []).toString(), "hi");
  node.emit("end");
  const broken = ["the other end of the tunnel is gone"];
  assert.deepEqual([client.failures, node.failures], [broken, broken]);
  assert.equal(clock.pendingCount, 0);
});
