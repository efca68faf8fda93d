/** The soak's checks: each kind of broken promise, put into a small history, is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkHistory, type SoakHistory } from "./soak-checks.js";
import type { ConfigRecord, SetRecord } from "./soak-record.js";

type ConfigPart = Pick<ConfigRecord, "input" | "outcome" | "output"> & { version?: number };

/** One after another, ten milliseconds each. */
const configs = (...parts: readonly ConfigPart[]): ConfigRecord[] =>
  parts.map((part, i) => ({ client: "c1", host: "host1", callAt: i * 10, returnAt: i * 10 + 5, ...part }));
const sets = (...parts: readonly Pick<SetRecord, "input" | "outcome" | "output" | "why">[]): SetRecord[] =>
  parts.map((part, i) => ({ client: "c1", host: "host1", callAt: i * 10, returnAt: i * 10 + 5, ...part }));

const made = (value: string): ConfigPart => ({
  input: { kind: "create", name: "r", value },
  outcome: "ok",
  output: { kind: "done" },
});
const update = (
  expected: string,
  value: string,
  outcome: "ok" | "unknown" | "refused" = "ok",
): ConfigPart => ({
  input: { kind: "update", name: "r", expected, value },
  outcome,
  ...(outcome === "ok" ? { output: { kind: "done" } } : {}),
});
const shown = (value: string | undefined, version = 0): ConfigPart => ({
  input: { kind: "read", name: "r" },
  outcome: "ok",
  output: { kind: "value", value },
  version,
});
const removed: ConfigPart = { input: { kind: "remove", name: "r" }, outcome: "ok", output: { kind: "done" } };
const conflict = (part: ConfigPart): ConfigPart => ({ ...part, output: { kind: "conflict" } });

const problems = (history: Partial<SoakHistory>, losses: Parameters<typeof checkHistory>[1] = []): string[] =>
  checkHistory({ configs: [], sets: [], ...history }, losses, () => false);

test("a history of one copy has no problems, with conflicts, absences and unknown outcomes", () => {
  const history = configs(
    shown(undefined),
    made("a"),
    conflict(made("b")),
    shown("a", 7),
    update("a", "c", "unknown"),
    update("a", "d", "refused"),
    shown("c", 9),
    conflict(update("a", "e")),
    removed,
    { ...removed, output: { kind: "absent" } },
    made("f"),
    shown("f", 12),
  );
  assert.deepEqual(problems({ configs: history }), []);
});

test("stale reads, two winners, a refused write that was made, and a false conflict are told", () => {
  for (const wrong of [
    configs(made("a"), shown(undefined)),
    configs(made("a"), update("a", "b"), update("a", "c")),
    configs(made("a"), update("a", "b", "refused"), shown("b")),
    configs(conflict(made("a"))),
    configs(made("a"), removed, shown("a")),
  ])
    assert.match(problems({ configs: wrong }).join("\n"), /^not linearizable: partition "r"/);
});

test("one version with two values is told", () => {
  const history = configs(made("a"), shown("a", 5), update("a", "b"), shown("b", 5));
  assert.match(problems({ configs: history }).join("\n"), /r at version 5 is a, but b through host1/);
});

test("a lost add and an add that was carried out twice are told", () => {
  const add = {
    input: { kind: "add", key: "g", value: "x" },
    outcome: "ok",
    output: { kind: "added" },
  } as const;
  const read = {
    input: { kind: "read", key: "g" },
    outcome: "ok",
    output: { kind: "read", values: [] },
  } as const;
  assert.match(problems({ sets: sets(add, read) })[0] ?? "", /an acknowledged write is lost/);
  const twice = { input: add.input, outcome: "refused", output: undefined, why: "409 name taken" } as const;
  assert.match(problems({ sets: sets(twice) }).join("\n"), /a create of a unique name was refused as taken/);
});

test("an answer without a quorum is told; for reads the leader has a moment to notice", () => {
  const lost = [{ since: 5, until: 100_000, how: "all dead" }];
  assert.match(
    problems({ configs: configs(shown(undefined), made("a")) }, lost).join("\n"),
    /answered without a quorum \(all dead\): .*"create"/,
  );
  assert.deepEqual(problems({ configs: configs(shown(undefined), shown(undefined)) }, lost), []);
  const late = configs(shown(undefined)).map((each) => ({ ...each, callAt: 50_000, returnAt: 50_001 }));
  assert.match(problems({ configs: late }, lost).join("\n"), /answered without a quorum/);
});
