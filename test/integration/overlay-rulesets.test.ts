/**
 * An overlay's tables on a real kernel: changed step by step, or filled in slices over whatever is there,
 * they equal those that text makes at once.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { NftContext } from "../../base/linux/linux-ports.js";
import type { Random } from "../../base/random/random.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { renderOverlayRuleset, tableName } from "../../net-overlay/balance/overlay-ruleset.js";
import type { AddressFamily } from "../../net-overlay/balance/overlay-table.js";
import { OverlayTables } from "../../net-overlay/dataplane/linux-overlay-tables.js";
import type { BalancedService, OverlayPlan } from "../../net-overlay/endpoints/overlay-plan.js";
import type { OverlayChanges } from "../../net-overlay/endpoints/overlay-planner.js";
import { atOnce } from "../../net-overlay/slices.js";
import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";

const STEPS = 60;
const FAMILIES: readonly AddressFamily[] = ["ip", "ip6"];
const POLICIES = [BalancePolicy.ROUND_ROBIN, BalancePolicy.SOURCE_HASH, BalancePolicy.LOCAL_FIRST];
const linux = await openKoffiLinux();
const dir = mkdtempSync(join(tmpdir(), "skein-nft-"));
const paths: string[] = [];

after(async () => {
  for (const path of paths) await linux.deleteNetns(path);
  rmSync(dir, { recursive: true });
});

interface Place {
  readonly nft: NftContext;
  readonly tables: OverlayTables;
}

function freshPlace(): Place {
  const path = join(dir, `n${paths.length}`);
  linux.createNetns(path);
  paths.push(path);
  return { nft: linux.nft(path), tables: new OverlayTables(linux, path) };
}

function close(...places: readonly Place[]): void {
  for (const { nft, tables } of places) {
    nft.close();
    tables.close();
  }
}

/** The tables as text in which neither the order of elements nor of chains matters. */
function listed({ nft }: Place): string[] {
  return FAMILIES.flatMap((family) =>
    nft
      .list(`list table ${tableName(family)}`)
      .replaceAll(/\s+/g, " ")
      .replaceAll(
        /elements = \{([^}]*)\}/g,
        (_all, list: string) =>
          `elements = {${list
            .split(",")
            .map((item) => item.trim())
            .sort()
            .join()}}`,
      )
      .split(/ (?=chain |map |set )/)
      .map((block) => block.trim().replace(/[ }]+$/, ""))
      .sort(),
  );
}

function some<T>(random: Random, from: readonly T[]): T[] {
  return from.filter(() => random.float() < 0.5);
}

function randomPlan(random: Random, gateway6 = "fd00::1"): OverlayPlan {
  const addresses = Array.from({ length: 6 }, (_, i) => [`10.0.1.${i + 10}`, `fd00::1${i}`]).flat();
  const services = some(random, ["a", "b", "c", "d"]).map((id, i): [string, BalancedService] => {
    const number = random.float() < 0.8 ? id.charCodeAt(0) : 200 + i;
    const backends = random.float() < 0.3 ? [] : some(random, addresses);
    return [
      id,
      {
        id,
        vips: [`10.0.1.${number}`, `fd00::${number}`],
        backends,
        balance: POLICIES[random.int(0, 2)] ?? BalancePolicy.ROUND_ROBIN,
        local: some(random, backends),
      },
    ];
  });
  return {
    networkId: "n1",
    encrypted: false,
    vni: 4097,
    mtuBytes: 0,
    pathMtuBytes: 0,
    vxlanUdpPort: 4789,
    nodeNumber: 1,
    localAddress: "10.99.0.1",
    gateway: "10.0.1.1",
    gateway6,
    gateways: [],
    subnets: ["10.0.1.0/24", "fd00::/64"],
    services: new Map(services),
    remoteNodes: new Map(),
    remoteTasks: new Map(),
    localTasks: some(random, addresses),
    locals: [],
    unreachable: [],
  };
}

function changesBetween(before: OverlayPlan, next: OverlayPlan): OverlayChanges {
  const ids = new Set([...before.services.keys(), ...next.services.keys()]);
  return {
    services: new Map([...ids].map((id) => [id, before.services.get(id)])),
    remoteNodes: new Map(),
    remoteTasks: new Map(),
    localTasks: before.localTasks,
  };
}

function fill({ tables }: Place, plan: OverlayPlan, isClamped = false): void {
  atOnce(tables.fill(plan, { families: FAMILIES, isClamped }));
}

function makeAtOnce({ nft }: Place, plan: OverlayPlan, isClamped = false): void {
  for (const family of FAMILIES) nft.run(renderOverlayRuleset(undefined, { ...plan, isClamped }, family));
}

test("tables changed step by step equal tables made at once", () => {
  const random = new SeededRandom(7);
  const [stepwise, reference] = [freshPlace(), freshPlace()];
  let previous: OverlayPlan | undefined;
  for (let step = 0; step < STEPS; step += 1) {
    const next = randomPlan(random);
    if (previous === undefined) fill(stepwise, next);
    else atOnce(stepwise.tables.step(next, changesBetween(previous, next), FAMILIES));
    makeAtOnce(reference, next);
    assert.deepEqual(listed(stepwise), listed(reference), `step ${step}`);
    previous = next;
  }
  close(stepwise, reference);
});

test("tables filled in slices, over whatever is there, equal tables made at once", () => {
  const random = new SeededRandom(9);
  const [sliced, reference] = [freshPlace(), freshPlace()];
  for (let step = 0; step < STEPS; step += 1) {
    const next = randomPlan(random, step % 3 === 0 ? "" : "fd00::1");
    if (step % 5 === 4) sliced.nft.run("flush ruleset");
    else if (step % 7 === 6) sliced.nft.run("flush map ip skein vips; flush set ip6 skein hairpins");
    fill(sliced, next, step % 2 === 0);
    makeAtOnce(reference, next, step % 2 === 0);
    assert.deepEqual(listed(sliced), listed(reference), `step ${step}`);
  }
  close(sliced, reference);
});

test("a table of another shape is made anew", () => {
  const place = freshPlace();
  place.nft.run("table ip skein { map vips { type inet_service : verdict; }; chain old { }; }");
  const plan = randomPlan(new SeededRandom(3));
  fill(place, plan);
  const reference = freshPlace();
  makeAtOnce(reference, plan);
  assert.deepEqual(listed(place), listed(reference));
  close(place, reference);
});

test("what a former version refused by goes, and no VIP of the table with it", () => {
  const [place, reference] = [freshPlace(), freshPlace()];
  const plan = randomPlan(new SeededRandom(5));
  fill(place, plan);
  place.nft.run(`add set ip skein idle_vips { type ipv4_addr; }
add element ip skein idle_vips { 10.0.1.99 }
add chain ip skein refuse { type filter hook prerouting priority filter; }
add rule ip skein refuse ip daddr @idle_vips drop
add set ip skein witness { type ipv4_addr; }`);
  fill(place, plan);
  assert.match(place.nft.list("list table ip skein"), /set witness/, "not made anew");
  place.nft.run("delete set ip skein witness");
  makeAtOnce(reference, plan);
  assert.deepEqual(listed(place), listed(reference));
  close(place, reference);
});

test("a service of thousands of tasks, more than fits into one message, is carried out like any other", () => {
  const [place, reference] = [freshPlace(), freshPlace()];
  const base = randomPlan(new SeededRandom(4));
  const backends = Array.from({ length: 5_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  const many = { id: "many", vips: ["10.0.1.250"], backends };
  const plan = { ...base, services: new Map<string, BalancedService>([...base.services, ["many", many]]) };
  fill(place, base);
  atOnce(place.tables.step(plan, changesBetween(base, plan), FAMILIES));
  makeAtOnce(reference, plan);
  assert.deepEqual(listed(place), listed(reference));
  fill(place, plan);
  assert.deepEqual(listed(place), listed(reference));
  close(place, reference);
});
