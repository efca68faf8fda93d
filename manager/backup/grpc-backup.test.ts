import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { UnavailableError } from "../../base/errors/errors.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import { BackupClient, type BackupPart, BackupService } from "../../proto/gen/skein/v1/backup.js";
import { Cluster, Config, StoreObject } from "../../proto/gen/skein/v1/objects.js";
import type { SnapshotPair } from "../../proto/gen/skein/v1/raft.js";
import { createTestStore } from "../../test/support/test-store.js";
import { parseSecret } from "./backup-key.js";
import { createBackupHandlers } from "./grpc-backup.js";
import { openBackup } from "./read-backup.js";

const CONFIGS = 300;
const t = createTestStore({ seed: "grpc-backup" });
const server = new Server();
let client: BackupClient;
/** What the fake Raft does. */
let leaderless = false;
let hold: Promise<void> | undefined;
let opened = 0;
let closed = 0;

function pairs(): SnapshotPair[] {
  const objects = t.store.view((tx) => [
    ...tx.list("cluster").map((value) => ({ $case: "cluster", value }) as const),
    ...tx.list("config").map((value) => ({ $case: "config", value }) as const),
  ]);
  return objects.map((object) => ({
    key: `${object.$case}/${object.value.id}`,
    value: StoreObject.encode({ object }).finish(),
  }));
}

async function* portionsOf(all: readonly SnapshotPair[]): AsyncGenerator<readonly SnapshotPair[]> {
  await hold;
  for (let at = 0; at < all.length; at += 2) yield all.slice(at, at + 2);
}

before(async () => {
  await t.store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c1" }));
    for (let i = 0; i < CONFIGS; i++) {
      const annotations = { name: `n${i}` };
      tx.create("config", Config.fromPartial({ id: `k${i}`, annotations, data: t.random.bytes(10_000) }));
    }
  });
  const handlers = createBackupHandlers({
    store: t.store,
    raft: {
      readBarrier: () =>
        leaderless ? Promise.reject(new UnavailableError("no leader")) : Promise.resolve(1),
      exportState: async () => {
        opened += 1;
        return {
          meta: { index: 40, term: 2, membership: undefined },
          portions: () => portionsOf(pairs()),
          close: async () => {
            closed += 1;
          },
        };
      },
    },
    nodeId: "n1",
    skeinVersion: "9.9.9",
    clock: t.clock,
    random: t.random,
    log: t.log,
  });
  server.addService(BackupService, handlers);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  client = new BackupClient(`127.0.0.1:${port}`, credentials.createInsecure());
});

after(() => {
  client.close();
  server.forceShutdown();
});

async function all(request: { passphrase: string; stale: boolean }): Promise<BackupPart[]> {
  const parts: BackupPart[] = [];
  for await (const part of client.create(request) as AsyncIterable<BackupPart>) parts.push(part);
  return parts;
}

async function failure(request: { passphrase: string; stale: boolean }): Promise<string> {
  try {
    await all(request);
  } catch (error) {
    assert.ok(error instanceof Error);
    const { code, message } = fromGrpcError(error);
    return `${code}: ${message}`;
  }
  return "it succeeded";
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function turnsUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((wake) => setImmediate(wake));
}

test("the stream is a backup that the told recovery key opens, about as large as was said", async () => {
  const parts = await all({ passphrase: "", stale: false });
  const started = parts[0]?.started;
  assert.ok(started);
  assert.match(started.recoveryKey, /^SKBAK-1-.{43}$/);
  const bytes = Buffer.concat(parts.map(({ data }) => data));
  assert.ok(Math.abs(bytes.length - started.bytesEstimate) < bytes.length / 20, `${started.bytesEstimate}`);
  assert.deepEqual([started.objectsEstimate, parts.at(-1)?.objects], [CONFIGS + 1, CONFIGS + 1]);
  assert.equal(parts.at(-1)?.complete, true);
  const { head, portions } = await openBackup(one(bytes), parseSecret(started.recoveryKey));
  assert.deepEqual([head.clusterId, head.index, head.nodeId, head.skeinVersion], ["c1", 40, "n1", "9.9.9"]);
  const found: SnapshotPair[] = [];
  for await (const portion of portions) found.push(...portion);
  assert.deepEqual(
    found.map(({ key }) => key),
    pairs().map(({ key }) => key),
  );
  await turnsUntil(() => closed === opened);
});

test("with a passphrase no recovery key is made; a short one is refused before the state is opened", async () => {
  const before = opened;
  assert.match(await failure({ passphrase: "short", stale: false }), /^invalid-argument: .*8 to 1024/);
  assert.equal(opened, before);
  const parts = await all({ passphrase: "long enough", stale: false });
  assert.equal(parts[0]?.started?.recoveryKey, "");
});

test("without a leader only a stale backup is made", async () => {
  leaderless = true;
  assert.match(await failure({ passphrase: "", stale: false }), /^unavailable: no leader confirms .*--stale/);
  assert.equal((await all({ passphrase: "", stale: true })).at(-1)?.complete, true);
  leaderless = false;
});

test("a third backup at a time is refused, and one whose reader left lets the state go", async () => {
  let release: () => void = () => undefined;
  hold = new Promise((resolve) => {
    release = resolve;
  });
  const before = opened;
  const calls = [1, 2].map(() => client.create({ passphrase: "", stale: false }));
  const ends = calls.map(
    (call) =>
      new Promise<void>((resolve) => {
        call.on("error", () => resolve());
        call.resume();
      }),
  );
  await turnsUntil(() => opened === before + 2);
  assert.match(await failure({ passphrase: "", stale: false }), /^resource-exhausted: 2 backups/);
  for (const call of calls) call.cancel();
  await Promise.all(ends);
  release();
  hold = undefined;
  await turnsUntil(() => closed === opened);
  assert.equal((await all({ passphrase: "", stale: false })).at(-1)?.complete, true);
});

test("a slow reader holds the reading back", async () => {
  const call = client.create({ passphrase: "", stale: false });
  await new Promise((resolve) => call.once("readable", resolve));
  for (let turn = 0; turn < 200; turn++) await new Promise((wake) => setImmediate(wake));
  assert.equal(closed, opened - 1, "3 MB wait for their reader");
  let bytes = 0;
  for await (const part of call as AsyncIterable<BackupPart>) bytes += part.data.length;
  assert.ok(bytes > CONFIGS * 10_000);
});
