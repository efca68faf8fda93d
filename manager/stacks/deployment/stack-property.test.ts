/**
 * Random stacks, random outcomes of their tasks, leaders that come and go: a deployment ends on what was
 * wanted or on what was good before; nothing begins before its turn; what is the same is not touched.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Service } from "../../../proto/gen/skein/v1/objects.js";
import { StackPhase } from "../../../proto/gen/skein/v1/stack_types.js";
import { TaskState } from "../../../proto/gen/skein/v1/types.js";
import { type ServiceSketch, StackLab, type StackSketch } from "../../../test/support/stack-lab.js";

type Fate = "runs" | "fails" | "late";

interface Drawn {
  readonly isJob: boolean;
  readonly replicas: number;
  /** Of each of two versions. */
  readonly fates: readonly [Fate, Fate];
  /** The second revision has it, and how. */
  readonly second: "same" | "image" | "replicas" | "gone" | "new";
  /** Indexes of services before this one, and whether it is restarted with them. */
  readonly needs: readonly { readonly at: number; readonly restart: boolean }[];
}

const drawn = (at: number): fc.Arbitrary<Drawn> =>
  fc.record({
    isJob: fc.boolean(),
    replicas: fc.integer({ min: 0, max: 3 }),
    fates: fc.tuple(
      fc.constantFrom<Fate>("runs", "late"),
      fc.constantFrom<Fate>("runs", "runs", "late", "fails"),
    ),
    second: fc.constantFrom("same", "same", "image", "replicas", "gone", "new"),
    needs:
      at === 0
        ? fc.constant([])
        : fc.uniqueArray(fc.record({ at: fc.nat(at - 1), restart: fc.boolean() }), {
            maxLength: 2,
            selector: ({ at: index }) => index,
          }),
  });

const drawnStack: fc.Arbitrary<readonly Drawn[]> = fc
  .integer({ min: 1, max: 5 })
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, at) => drawn(at))));

/** The image says what becomes of its tasks. */
function sketchOf(all: readonly Drawn[], revision: 1 | 2): StackSketch {
  const isIn = ({ second }: Drawn): boolean => second !== (revision === 1 ? "new" : "gone");
  const services: Record<string, ServiceSketch> = {};
  for (const [at, one] of all.entries()) {
    if (!isIn(one)) continue;
    const version = revision === 2 && one.second === "image" ? 1 : 0;
    const fate = one.second === "new" ? one.fates[1] : one.fates[version];
    const more = revision === 2 && one.second === "replicas" && !one.isJob ? 1 : 0;
    const needed = one.needs.filter((need) => isIn(all[need.at] ?? one));
    services[`s${at}`] = {
      image: `${fate}:${version + 1}`,
      ...(one.isJob ? { job: 1 } : { replicas: one.replicas + more }),
      needs: Object.fromEntries(
        needed.map((need) => [
          `s${need.at}`,
          { restart: need.restart, ...conditionFor(all[need.at]?.isJob === true) },
        ]),
      ),
      spec: { task: { restart: { delayMs: 100 } }, update: { parallelism: 0, monitorMs: 500 } },
    };
  }
  return { services };
}

function conditionFor(isJob: boolean) {
  return isJob ? ({ condition: "STACK_CONDITION_COMPLETED" } as const) : {};
}

/** "s0 runs:1 x2" for each service, which is all that these stacks differ in. */
function shape(lab: StackLab, sketch: StackSketch): { readonly wanted: string[]; readonly there: string[] } {
  const wanted = Object.entries(sketch.services).map(
    ([key, { image, replicas, job }]) => `stack_${key} ${image} x${job ?? replicas}`,
  );
  const there = lab.test.store
    .view((tx) => tx.list("service", { by: "stackName", stackName: "stack" }))
    .map(({ spec }) => `${spec?.annotations?.name} ${spec?.task?.container?.image} x${countOf(spec?.mode)}`);
  return { wanted: wanted.sort(), there: there.sort() };
}

function countOf(mode: NonNullable<Service["spec"]>["mode"]): number {
  if (mode?.$case === "replicated") return mode.value.replicas;
  return mode?.$case === "replicatedJob" ? mode.value.totalCompletions : 0;
}

/** Notes each service that is written before what it depends on is there. */
function watchOrder(lab: StackLab): string[] {
  const faults: string[] = [];
  const { store } = lab.test;
  const watch = store.watch({
    tables: ["service"],
    wake: () => {
      for (const { changes } of watch.take())
        for (const change of changes)
          if (
            change.table === "service" &&
            change.after !== undefined &&
            change.before?.spec !== change.after.spec
          )
            faults.push(...early(lab, change.after));
    },
  });
  return faults;
}

function early(lab: StackLab, service: Service): readonly string[] {
  const stack = lab.stack("stack");
  if (stack?.deployment?.phase !== StackPhase.APPLYING) return [];
  const revision = lab.revisions("stack").find(({ number }) => number === stack.newestRevision);
  const services = revision?.definition?.services ?? [];
  const own = services.find(({ spec }) => spec?.annotations?.name === service.spec?.annotations?.name);
  return (own?.dependsOn ?? []).flatMap((dependency) => {
    const wanted = services.find(({ key }) => key === dependency.service)?.spec;
    const there = lab.named(wanted?.annotations?.name ?? "");
    const tasks = there === undefined ? [] : lab.tasks(there.id);
    const isJob = wanted?.mode?.$case === "replicatedJob";
    const good = tasks.filter(
      (task) =>
        task.spec?.container?.image === wanted?.task?.container?.image &&
        task.status?.state === (isJob ? TaskState.COMPLETE : TaskState.RUNNING),
    );
    const isThere = there !== undefined && good.length >= countOf(wanted?.mode);
    return isThere ? [] : [`${own?.key} was written before ${dependency.service} was there`];
  });
}

function liveBy(lab: StackLab): void {
  lab.run = (task) => {
    const [fate] = (task.spec?.container?.image ?? "").split(":");
    const isJob = task.desiredState === TaskState.COMPLETE;
    if (fate === "fails") return { state: TaskState.FAILED, err: "exit code 1" };
    const sinceMs = lab.test.clock.nowMs() - (task.meta?.createdAtMs ?? 0);
    if (fate === "late" && sinceMs < 1_500) return { state: TaskState.STARTING };
    return { state: isJob ? TaskState.COMPLETE : TaskState.RUNNING };
  };
}

/** Nothing about it differs, nor is anything it is restarted with made anew. */
function untouched(all: readonly Drawn[]): readonly string[] {
  const anew = new Set<number>();
  const same: string[] = [];
  for (const [at, one] of all.entries()) {
    const restarted = one.needs.some((need) => need.restart && anew.has(need.at));
    if (one.second === "image" || one.second === "new" || restarted) anew.add(at);
    else if (one.second === "same") same.push(`stack_s${at}`);
  }
  return same;
}

for (const leaderEachRound of [false, true]) {
  const leaders = leaderEachRound ? "a new leader at every step" : "one leader";
  test(`random deployments end as wanted or as they were, with ${leaders}`, async () => {
    await fc.assert(
      fc.asyncProperty(drawnStack, async (all) => {
        const [first, second] = [sketchOf(all, 1), sketchOf(all, 2)];
        if (Object.keys(first.services).length === 0 || Object.keys(second.services).length === 0) return;
        const lab = new StackLab();
        lab.leaderEachRound = leaderEachRound;
        await lab.addNodes("n1", "n2");
        liveBy(lab);
        const faults = watchOrder(lab);
        await lab.deploy("stack", first);
        await lab.toTheEnd("stack");
        assert.match(lab.tell("stack"), /^reached 1/, lab.failure("stack"));
        const before = untouched(all).map((name) => [lab.named(name), lab.tasksOf(name)] as const);
        await lab.deploy("stack", second, { prune: true });
        await lab.toTheEnd("stack");
        const fails = Object.values(second.services).some(
          ({ image, replicas, job }) => image?.startsWith("fails") === true && (job ?? replicas) !== 0,
        );
        const { wanted, there } = shape(lab, fails ? first : second);
        assert.match(
          lab.tell("stack"),
          fails ? /^went back 2, good 1/ : /^reached 2, good 2/,
          lab.failure("stack"),
        );
        assert.deepEqual(there, wanted);
        assert.deepEqual(faults, []);
        for (const [service, tasks] of before) {
          const name = service?.spec?.annotations?.name ?? "";
          assert.equal(lab.named(name)?.specVersion?.index, service?.specVersion?.index, name);
          assert.deepEqual(
            lab.tasksOf(name).map(({ id }) => id),
            tasks.map(({ id }) => id),
            name,
          );
        }
        await lab.removeStack("stack");
        assert.equal(lab.tell("stack"), "gone");
        assert.deepEqual(
          lab.test.store.view((tx) => tx.list("service")),
          [],
        );
        await lab.close();
      }),
      { numRuns: 25, includeErrorInReport: true },
    );
  });
}
