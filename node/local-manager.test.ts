import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connectivityState, Server, ServerCredentials } from "@grpc/grpc-js";
import { ManualClock } from "../base/clock/manual-clock.js";
import { systemClock } from "../base/clock/system-clock.js";
import { LocalManager } from "./local-manager.js";

const folder = mkdtempSync(join(tmpdir(), "skein-local-manager-"));
test.after(() => rmSync(folder, { recursive: true }));

/** What a manager process is to its daemon: something that listens on the socket. */
async function listening(path: string): Promise<Server> {
  const server = new Server();
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  return server;
}

test("who asks while the manager starts, or is started again, gets through once it serves", async () => {
  const manager = new LocalManager(join(folder, "starts.sock"), systemClock);
  let changes = 0;
  manager.onChange(() => {
    changes += 1;
  });
  assert.equal(await manager.reached(), undefined); // none is expected: at once
  manager.expect();
  assert.deepEqual([manager.isExpected, manager.endpoint()], [true, undefined]);
  const waiting = manager.reached();
  const server = await listening(manager.socketPath);
  manager.open();
  const first = await waiting;
  assert.equal(first?.channel.getConnectivityState(false), connectivityState.READY);
  assert.equal(await manager.reached(0), first);

  server.forceShutdown();
  manager.lost();
  assert.equal(manager.endpoint(), undefined);
  const again = manager.reached();
  const successor = await listening(manager.socketPath);
  manager.open();
  const second = await again;
  assert.ok(second !== undefined && second !== first);

  manager.close();
  assert.deepEqual([manager.isExpected, manager.endpoint()], [false, undefined]);
  manager.open(); // of a process that was given up
  manager.lost();
  assert.equal(await manager.reached(), undefined);
  assert.equal(changes, 5);
  successor.forceShutdown();
});

test("a connection that broke is waited for before anybody says that the process ended", async () => {
  const manager = new LocalManager(join(folder, "breaks.sock"), systemClock);
  const server = await listening(manager.socketPath);
  manager.expect();
  manager.open();
  const first = await manager.reached();
  server.forceShutdown();
  while (first?.channel.getConnectivityState(false) === connectivityState.READY) await systemClock.sleep(1);
  const waiting = manager.reached();
  await systemClock.sleep(20);
  manager.lost();
  const successor = await listening(manager.socketPath);
  manager.open();
  assert.equal(await waiting, manager.endpoint());
  manager.close();
  successor.forceShutdown();
});

test("the wait is bounded, and is shared by all who ask while the manager is in trouble", async () => {
  const clock = new ManualClock();
  const manager = new LocalManager(join(folder, "never.sock"), clock);
  manager.expect();
  let given = 0;
  const ask = (waitMs?: number): Promise<void> =>
    manager.reached(waitMs).then((endpoint) => {
      assert.equal(endpoint, undefined);
      given += 1;
    });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  void ask();
  void ask(2_000);
  clock.advance(2_000);
  await turn();
  assert.equal(given, 1);
  clock.advance(7_999);
  await turn();
  assert.equal(given, 1);
  clock.advance(1);
  await turn();
  assert.equal(given, 2);

  manager.lost();
  clock.advance(6_000);
  manager.lost(); // it could not be started
  void ask();
  clock.advance(3_999);
  await turn();
  assert.equal(given, 2);
  clock.advance(1);
  await turn();
  assert.equal(given, 3);
  await ask(); // at once
  manager.close();
});
