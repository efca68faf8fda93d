import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { Turns } from "../turns.js";
import { AUDIT_PERIOD_MS, Auditor } from "./auditor.js";
import type { Difference } from "./compare.js";
import type { Change, KernelAudit, PlaceAudit } from "./kernel-audit.js";

const difference = (place: string, name: string): Difference => ({
  place,
  kind: "route",
  name,
  problem: "missing",
  wanted: "",
  found: "",
});

/** A kernel whose differences are gone after they were seen, or after the place was made anew. */
class FakeKernel implements KernelAudit {
  readonly looks: string[] = [];
  readonly wrong = new Map<string, { differences: Difference[]; needsRemake: boolean }>();
  onChange: (place: string, change: Change) => void = () => undefined;
  readonly #remade = new Set<string>();

  places(): readonly string[] {
    return ["the host", "network n1"];
  }

  async audit(place: string, { kinds }: { kinds: "facts" | "all" }): Promise<PlaceAudit> {
    this.looks.push(`${place} ${kinds}`);
    const wrong = this.wrong.get(place);
    const isToBeRemade = wrong?.needsRemake === true && !this.#remade.has(place);
    if (!isToBeRemade) this.wrong.delete(place);
    return { differences: wrong?.differences ?? [], isToBeRemade };
  }

  remake(place: string): void {
    this.looks.push(`remake ${place}`);
    this.#remade.add(place);
    this.wrong.delete(place);
  }

  listen(onChange: (place: string, change: Change) => void): void {
    this.onChange = onChange;
  }
}

function setUp() {
  const clock = new ManualClock();
  const kernel = new FakeKernel();
  const log = new MemoryLogger();
  const turns = new Turns(clock);
  const auditor = new Auditor({
    kernel,
    clock,
    log,
    sandboxes: new Map(),
    turn: (work) => turns.take(work),
    reapply: async (place) => void kernel.looks.push(`apply ${place}`),
  });
  const settled = async (): Promise<string[]> => {
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
    return kernel.looks.splice(0);
  };
  return { clock, kernel, log, auditor, settled };
}

const EVERYTHING = ["the host all", "network n1 all"];

test("everything is looked at when it starts, and every period", async () => {
  const { clock, auditor, settled } = setUp();
  auditor.start();
  auditor.start();
  assert.deepEqual(await settled(), EVERYTHING);
  clock.advance(AUDIT_PERIOD_MS);
  assert.deepEqual(await settled(), EVERYTHING);
  auditor.stop();
  clock.advance(AUDIT_PERIOD_MS);
  assert.deepEqual(await settled(), []);
  assert.equal(clock.pendingCount, 0);
});

test("others' transactions are looked at at once, a storm of changes now and then", async () => {
  const { clock, kernel, auditor, settled } = setUp();
  auditor.start();
  await settled();
  clock.advance(1_000);
  await settled();
  kernel.onChange("the host", "ruleset");
  assert.deepEqual(await settled(), ["the host all"]);
  for (let i = 0; i < 50; i += 1) kernel.onChange("network n1", "routes");
  assert.deepEqual(await settled(), ["network n1 facts"]);
  for (let i = 0; i < 50; i += 1) kernel.onChange("network n1", "routes");
  assert.deepEqual(await settled(), []);
  clock.advance(100);
  assert.deepEqual(await settled(), ["network n1 facts"]);
  auditor.stop();
});

test("differences are counted, told, looked at again; what needs it is made anew", async () => {
  const { clock, kernel, log, auditor, settled } = setUp();
  auditor.start();
  await settled();
  clock.advance(1_000);
  await settled();
  kernel.wrong.set("the host", { differences: [difference("the host", "r1")], needsRemake: true });
  kernel.onChange("the host", "routes");
  assert.deepEqual(await settled(), ["the host facts", "remake the host", "apply the host", "the host all"]);
  const { differencesByKind, recent, standing } = auditor.report;
  assert.deepEqual(differencesByKind, { route: 1 });
  assert.deepEqual(
    recent.map(({ name, foundAtMs }) => [name, foundAtMs]),
    [["r1", clock.nowMs()]],
  );
  assert.deepEqual(standing, []);
  assert.match(log.lines.map(({ message }) => message).join(), /changed by somebody else and is repaired/);
  auditor.stop();
});

test("asked for everything it answers when all was looked at", async () => {
  const { kernel, auditor, settled } = setUp();
  assert.equal((await auditor.auditAll()).audits, 0);
  auditor.start();
  await settled();
  kernel.wrong.set("network n1", { differences: [difference("network n1", "r2")], needsRemake: false });
  const { differencesByKind } = await auditor.auditAll();
  assert.deepEqual(differencesByKind, { route: 1 });
  auditor.stop();
});
