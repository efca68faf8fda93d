import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { UnavailableError } from "../../base/errors/errors.js";
import { systemRandom } from "../../base/random/system-random.js";
import { Cluster } from "../../proto/gen/skein/v1/objects.js";
import { createTestStore } from "../../test/support/test-store.js";
import type { Store } from "../store/types.js";
import { startRootRotation } from "./root-rotation-loop.js";
import { createRootCertificate } from "./x509-certificates.js";

async function setUp() {
  let isCutOff = false;
  const { store, clock, random, log } = createTestStore();
  const update: Store["update"] = (change) =>
    isCutOff ? Promise.reject(new UnavailableError("no quorum")) : store.update(change);
  const view: Store["view"] = (read) => store.view(read);
  const watch: Store["watch"] = (options) => store.watch(options);
  const [before, after] = await Promise.all(
    [1, 2].map(() => createRootCertificate({ nowMs: clock.nowMs(), random: systemRandom })),
  );
  assert.ok(before !== undefined && after !== undefined);
  const rotation = { caCertPem: after.certPem, caKeyPem: after.keyPem };
  const rootCa = { caCertPem: before.certPem, caKeyPem: before.keyPem, rotation };
  await store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c1", rootCa })));
  const root = (): string | undefined => store.view((tx) => tx.get("cluster", "c1"))?.rootCa?.caCertPem;
  const cutOff = (is: boolean): void => {
    isCutOff = is;
  };
  return {
    components: { store: { update, view, watch }, clock, random, log },
    clock,
    root,
    before,
    after,
    cutOff,
  };
}

/** Until the loop has nothing to do but to wait. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await turn();
}

test("the end of a rotation that could not be stored is tried again", async () => {
  const { components, clock, root, before, after, cutOff } = await setUp();
  cutOff(true);
  const rotation = startRootRotation(components);
  await settled();
  assert.equal(root(), before.certPem);
  cutOff(false);
  clock.advance(1_000);
  await settled();
  assert.equal(root(), after.certPem);
  await rotation.close();
});

test("nothing is waited for once the rotation is closed", async () => {
  const { components, clock, cutOff } = await setUp();
  cutOff(true);
  const rotation = startRootRotation(components);
  await settled();
  assert.equal(clock.pendingCount, 1);
  await rotation.close();
  assert.equal(clock.pendingCount, 0);
});
