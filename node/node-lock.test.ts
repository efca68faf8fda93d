import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemRandom } from "../base/random/system-random.js";
import { createUnlockKey } from "../manager/ca/unlock-key.js";
import { dataKeyLockOf } from "../manager/keys/unlock-lock.js";
import { openDataKeyRing } from "../raft/storage/data-key-ring.js";
import { openFileDisk } from "../raft/storage/file-disk.js";
import { openUnlocked, unlockWith } from "./locked-member.js";
import { NodeLock } from "./node-lock.js";
import { type FileLock, openIdentity } from "./sealed-identity.js";
import { type SavedMember, SwarmFiles, type SwarmState } from "./swarm-files.js";

const identity = { keyPem: "PRIVATE", certificatePem: "certificate", rootCaPem: "root" };
const state: SwarmState = {
  nodeId: "n",
  clusterId: "c",
  role: "manager",
  listenAddress: "0.0.0.0:2377",
  advertiseAddress: "10.0.0.1:2377",
  dataPathAddress: "10.0.0.1",
  managers: ["10.0.0.2:2377"],
  advertiseInterface: "",
};
const [one, two] = [createUnlockKey(systemRandom), createUnlockKey(systemRandom)];

class Node implements Disposable {
  readonly dataDir = mkdtempSync(join(tmpdir(), "skein-lock-"));
  readonly managerDir = join(this.dataDir, "manager");
  readonly files = new SwarmFiles(this.dataDir);
  readonly lock = new NodeLock();
  stoodOpen = 0;
  failing = false;

  constructor(lock?: FileLock) {
    this.lock.reset(lock);
    this.files.saveState(state);
    this.#save();
    this.lock.bind({ save: () => this.#save(), stoodOpen: () => this.stoodOpen++ });
  }

  get saved(): SavedMember {
    const saved = this.files.load();
    assert.ok(saved !== undefined);
    return saved;
  }

  get text(): string {
    return readFileSync(join(this.dataDir, "swarm", "identity.json"), "utf8");
  }

  /** As the manager process does it. */
  async lockDataKeys(unlockKey: string, former: string): Promise<void> {
    const lock = dataKeyLockOf(unlockKey, systemRandom);
    const before = dataKeyLockOf(former, systemRandom);
    const formerLocks = before === undefined ? [] : [before];
    await openDataKeyRing({
      disk: await openFileDisk(this.managerDir),
      random: systemRandom,
      lock,
      formerLocks,
    });
  }

  opens(unlockKey: string): Promise<boolean> {
    return unlockWith(unlockKey, this.saved, this.managerDir, systemRandom).then(
      () => true,
      () => false,
    );
  }

  async needsKey(): Promise<boolean> {
    return (await openUnlocked(this.saved, this.managerDir, systemRandom)) === undefined;
  }

  #save(): void {
    if (this.failing) throw new Error("disk full");
    this.files.saveIdentity(identity, this.lock.current);
  }

  [Symbol.dispose](): void {
    rmSync(this.dataDir, { recursive: true });
  }
}

test("a locked identity shows neither its private key nor an unlock key, and opens with the key alone", async () => {
  using node = new Node({ unlockKey: two, former: [one] });
  for (const secret of ["PRIVATE", one, two, one.slice(12), two.slice(12)])
    assert.equal(node.text.includes(secret), false);
  const { identity: sealed } = node.saved;
  assert.ok("locked" in sealed);
  const opened = openIdentity(sealed, two, systemRandom);
  assert.deepEqual(opened, { identity, lock: { unlockKey: two, former: [one] } });
  assert.throws(() => openIdentity(sealed, one, systemRandom), { code: "permission-denied" });
  await assert.rejects(unlockWith(one, node.saved, node.managerDir, systemRandom), {
    code: "unauthenticated",
    message: "swarm could not be unlocked: invalid key provided",
  });
  await assert.rejects(unlockWith("password", node.saved, node.managerDir, systemRandom), {
    code: "invalid-argument",
  });
});

test("whatever step of a change of locks is the last, one key opens everything", async () => {
  const changes = [
    ["", one],
    [one, two],
    [two, ""],
  ] as const;
  for (const [before, after] of changes) {
    for (let steps = 0; steps <= 3; steps++) {
      using node = new Node({ unlockKey: before, former: [] });
      await node.lockDataKeys(before, "");
      if (steps > 0) node.lock.changing(after);
      if (steps > 1) await node.lockDataKeys(after, before);
      if (steps > 2) node.lock.changed(after);
      const opener = steps === 0 ? before : after;
      const what = `${before === "" ? "open" : "locked"} to ${after === "" ? "open" : "locked"}, ${steps} steps`;
      assert.equal(await node.needsKey(), opener !== "", what);
      if (opener !== "") {
        assert.equal(await node.opens(opener), true, what);
        for (const other of [one, two]) assert.equal(await node.opens(other), other === opener, what);
      }
      if (steps === 3) assert.deepEqual(node.lock.current, { unlockKey: after, former: [] }, what);
      assert.equal(node.stoodOpen, steps === 3 && before === "" ? 1 : 0, what);
    }
  }
});

test("a key that cannot be saved changes nothing; two changes at once keep both old keys", () => {
  using node = new Node({ unlockKey: one, former: [] });
  node.failing = true;
  assert.throws(() => node.lock.changing(two), /disk full/);
  assert.deepEqual(node.lock.current, { unlockKey: one, former: [] });
  node.failing = false;
  node.lock.changing(two);
  const three = createUnlockKey(systemRandom);
  node.lock.changing(three);
  node.lock.changed(two);
  assert.deepEqual(node.lock.current, { unlockKey: three, former: [two, one] });
  node.lock.changed(three);
  assert.deepEqual(node.lock.current, { unlockKey: three, former: [] });
});

test("a key of before that cannot be forgotten stays sealed; the certificate is renewed all the same", async () => {
  using node = new Node();
  node.lock.changing(one);
  node.lock.changing(two);
  await node.lockDataKeys(one, ""); // it was not that far
  node.failing = true;
  assert.throws(() => node.lock.changed(two), /disk full/);
  assert.equal(node.stoodOpen, 1);
  assert.equal(await node.opens(two), true);
});

test("data keys that were locked by somebody else's folder make the node wait for a key", async () => {
  using node = new Node();
  await node.lockDataKeys(one, "");
  assert.equal(await node.needsKey(), true);
  assert.equal(await node.opens(two), false);
  assert.equal(await node.opens(one), true);
});

test("before its identity is saved a node follows no unlock key", () => {
  assert.throws(() => new NodeLock().changing(one), { code: "unavailable" });
});
