/**
 * Looking in slices: others are served between, and what is answered is true of the store as it is then.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Config } from "../../../proto/gen/skein/v1/objects.js";
import { createTestStore, type TestStore } from "../../../test/support/test-store.js";
import type { ReadTx } from "../../store/types.js";
import { lookAhead, type Sliced } from "./look-ahead.js";

/** Takes a slice for each of its steps. */
function* countConfigs(tx: ReadTx, { clock, looks }: TestStore & { looks: string[] }): Sliced<number> {
  const { length } = tx.list("config");
  for (let step = 0; step < 3; step++) {
    clock.advance(10);
    looks.push(`${length}`);
    yield;
  }
  return length;
}

const makeConfig = ({ store }: TestStore, id: string): Promise<unknown> =>
  store.update((tx) => tx.create("config", Config.fromPartial({ id, annotations: { name: id } })));

test("a long look lets others be served, and begins anew when they change what it looks at", async () => {
  const world = { ...createTestStore({ seed: "ahead" }), looks: [] as string[] };
  const looking = lookAhead(world, (tx) => countConfigs(tx, world));
  assert.deepEqual(world.looks, ["0"], "one slice in this turn");
  await makeConfig(world, "a");
  const ahead = await looking;
  assert.deepEqual(world.looks, ["0", "1", "1", "1"]);
  assert.equal(
    world.store.view((tx) => ahead.at(tx)),
    1,
  );
  assert.equal(world.looks.length, 4, "it is not looked again at what has not changed");
  await makeConfig(world, "b");
  assert.equal(
    world.store.view((tx) => ahead.at(tx)),
    2,
  );
  assert.equal(world.looks.length, 7);
  ahead.close();
});

test("what the look throws is thrown", async () => {
  const world = createTestStore({ seed: "ahead" });
  await assert.rejects(
    // biome-ignore lint/correctness/useYield: it never gets there
    lookAhead(world, function* (): Sliced<number> {
      throw new Error("no");
    }),
    /^Error: no$/,
  );
});
