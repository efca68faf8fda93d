/** Linearizability checker: known histories, histories right by construction, planted faults, brute force. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../../base/random/seeded-random.js";
import { checkLinearizable, describeFailure, type Model, type Operation } from "./linearizability.js";
import { type RegisterOperation, randomRegisterHistory } from "./random-history.js";
import {
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
  registerModel,
} from "./register-model.js";

const NEVER = Number.POSITIVE_INFINITY;
const key = "k";
const model = registerModel();

const write = (value: string, callAt: number, returnAt: number): RegisterOperation => ({
  client: value,
  input: { kind: "write", key, value },
  output: returnAt === NEVER ? undefined : { kind: "written" },
  callAt,
  returnAt,
});
const read = (value: RegisterValue, callAt: number, returnAt: number): RegisterOperation => ({
  client: "reader",
  input: { kind: "read", key },
  output: { kind: "read", value },
  callAt,
  returnAt,
});
const compareAndSet = (
  expected: RegisterValue,
  value: string,
  output: "set" | "mismatch" | undefined,
  callAt: number,
  returnAt: number,
): RegisterOperation => ({
  client: value,
  input: { kind: "compare-and-set", key, expected, value },
  output: output === undefined ? undefined : { kind: output },
  callAt,
  returnAt,
});

const verdict = (history: readonly RegisterOperation[]): string => {
  const result = checkLinearizable(model, history);
  return result.ok ? "ok" : result.reason;
};

describe("a register's history", () => {
  test("is right when reads that run beside a write see either value, in one order", () => {
    assert.equal(verdict([write("a", 0, 10), read(undefined, 1, 3), read("a", 4, 6)]), "ok");
    assert.equal(verdict([write("a", 0, 10), read("a", 1, 3), read(undefined, 4, 6)]), "violation");
  });

  test("is wrong when a read after a write does not see it", () => {
    assert.equal(verdict([write("a", 0, 1), read(undefined, 2, 3)]), "violation");
    assert.equal(verdict([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)]), "violation");
  });

  test("counts operations that touch at one instant as running at once", () => {
    assert.equal(verdict([write("a", 0, 1), read(undefined, 1, 2)]), "ok");
  });

  test("lets a write of unknown outcome take effect late, early or never, but not before its call nor twice", () => {
    const lost = write("a", 0, NEVER);
    assert.equal(verdict([lost, read(undefined, 2, 3), read(undefined, 4, 5)]), "ok");
    assert.equal(verdict([lost, read(undefined, 2, 3), read("a", 4, 5)]), "ok");
    assert.equal(verdict([read("a", 0, 1), write("a", 2, NEVER)]), "violation");
    assert.equal(
      verdict([lost, read("a", 1, 2), write("b", 3, 4), read("b", 5, 6), read("a", 7, 8)]),
      "violation",
    );
  });

  test("lets one of two compare-and-sets from the same value win", () => {
    assert.equal(
      verdict([compareAndSet(undefined, "a", "set", 0, 5), compareAndSet(undefined, "b", "mismatch", 0, 5)]),
      "ok",
    );
    assert.equal(
      verdict([compareAndSet(undefined, "a", "set", 0, 5), compareAndSet(undefined, "b", "set", 0, 5)]),
      "violation",
    );
    assert.equal(verdict([compareAndSet(undefined, "a", "mismatch", 0, 5)]), "violation");
    // somebody's unknown write may be why it found another value
    assert.equal(verdict([write("x", 0, NEVER), compareAndSet(undefined, "a", "mismatch", 1, 5)]), "ok");
  });

  test("is refused when an operation ends before it begins, or an unknown one ends", () => {
    assert.throws(() => verdict([write("a", 2, 1)]), RangeError);
    assert.throws(() => verdict([{ ...write("a", 0, NEVER), returnAt: 3 }]), RangeError);
  });

  test("that is wrong is told with its key, the longest order that fits and what cannot follow", () => {
    const history = [write("a", 0, 1), write("b", 2, 3), read("b", 4, 5), read("a", 6, 7), read("a", 8, 9)];
    const result = checkLinearizable(model, history);
    assert.ok(!result.ok);
    assert.equal(result.partition, key);
    assert.deepEqual(result.longestPrefix, history.slice(0, 3));
    assert.equal(result.stuckAt, history[3]);
    assert.deepEqual(result.candidates, [history[3]]);
    assert.equal(
      describeFailure(result, 2),
      [
        'not linearizable: partition "k", 5 operations; the longest order that fits has 3:',
        "  … 1 before",
        '  [2 – 3] client b: {"kind":"write","key":"k","value":"b"} = {"kind":"written"}',
        '  [4 – 5] client reader: {"kind":"read","key":"k"} = {"kind":"read","value":"b"}',
        "state then: string b",
        'cannot be placed: [6 – 7] client reader: {"kind":"read","key":"k"} = {"kind":"read","value":"a"}',
        "could have come next, by time alone:",
        '  [6 – 7] client reader: {"kind":"read","key":"k"} = {"kind":"read","value":"a"}',
      ].join("\n"),
    );
  });

  test("that asks for more steps than allowed is undecided; another key's violation is still found", () => {
    const many = Array.from({ length: 14 }, (_, i) => write(`w${i}`, i, 100 + i));
    const hard = [...many, read("none of them", 50, 60)];
    assert.equal(verdict(hard), "violation");
    const bounded = checkLinearizable(model, hard, { stepsMax: 100 });
    assert.ok(!bounded.ok && bounded.reason === "undecided");
    const expired = checkLinearizable(model, hard, { expired: () => true });
    assert.ok(!expired.ok && expired.reason === "undecided");
    const other: RegisterOperation = {
      ...read("x", 0, 1),
      input: { kind: "read", key: "other" },
    };
    const both = checkLinearizable(model, [...hard, other], { stepsMax: 100 });
    assert.ok(!both.ok && both.reason === "violation" && both.partition === "other");
  });
});

describe("a history made from a real order", () => {
  test("is accepted, with clients side by side and answers lost", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 4 }),
        (seed, clients, keys) => {
          const options = { operations: 120, clients, keys, unknown: 0.1 };
          const history = randomRegisterHistory(new SeededRandom(seed), options);
          assert.equal(verdict(history), "ok");
        },
      ),
      { numRuns: 200 },
    );
  });

  test("is rejected once a read is made stale, a write lost, or a second compare-and-set let through", () => {
    const caught = { stale: 0, lost: 0, twice: 0 };
    for (let seed = 0; seed < 40; seed++) {
      const options = { operations: 100, clients: 3, keys: 1 };
      const history = randomRegisterHistory(new SeededRandom(seed), options);
      if (verdict(staleRead(history)) === "violation") caught.stale += 1;
      if (verdict(lostWrite(history)) === "violation") caught.lost += 1;
      if (verdict(doubleSet(history)) === "violation") caught.twice += 1;
    }
    assert.deepEqual(caught, { stale: 40, lost: 40, twice: 40 });
  });

  test("of 100 000 operations on many keys is decided at once, and on few keys soon", () => {
    for (const [keys, clients] of [
      [1_000, 32],
      [4, 8],
    ] as const) {
      const history = randomRegisterHistory(new SeededRandom(7), {
        operations: 100_000,
        clients,
        keys,
        unknown: keys > 100 ? 0.01 : 0,
      });
      const startedMs = performance.now();
      const result = checkLinearizable(model, history);
      assert.ok(result.ok);
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs < 10_000, `${keys} keys took ${tookMs} ms`);
    }
  });
});

/** The last read shows what was there before the first write, which had returned long ago. */
function staleRead(history: readonly RegisterOperation[]): RegisterOperation[] {
  const first = history.find((each) => each.input.kind === "write") ?? assert.fail("no write");
  const [last] = history.filter((each) => each.input.kind === "read").slice(-1);
  assert.ok(last !== undefined && last.callAt > first.returnAt);
  const stale = { ...last, output: { kind: "read", value: undefined } } as const;
  return history.map((each) => (each === last ? stale : each));
}

/** A write somebody read later is taken out of the history. */
function lostWrite(history: readonly RegisterOperation[]): RegisterOperation[] {
  const reads = new Set(history.map(({ output }) => (output?.kind === "read" ? output.value : undefined)));
  const lost = history.find((each) => each.input.kind !== "read" && reads.has(each.input.value));
  assert.ok(lost !== undefined);
  return history.filter((each) => each !== lost);
}

/** A compare-and-set that was refused is said to have won. */
function doubleSet(history: readonly RegisterOperation[]): RegisterOperation[] {
  const refused = history.find(({ output }) => output?.kind === "mismatch") ?? assert.fail("no mismatch");
  return history.map((each) => (each === refused ? { ...each, output: { kind: "set" } } : each));
}

/** All orders, all choices of unknown ones: the definition, written down. */
function bruteForce<S, I, O>(model: Model<S, I, O>, history: readonly Operation<I, O>[]): boolean {
  const search = (left: readonly Operation<I, O>[], states: readonly S[]): boolean => {
    if (states.length === 0) return false;
    if (left.every(({ output }) => output === undefined)) return true;
    return left.some((next) => {
      if (left.some((other) => other.returnAt < next.callAt)) return false;
      const rest = left.filter((each) => each !== next);
      return search(
        rest,
        states.flatMap((state) => model.step(state, next.input, next.output)),
      );
    });
  };
  return search(history, [model.initial]);
}

describe("any small history", () => {
  const value = fc.constantFrom("a", "b", undefined);
  const input: fc.Arbitrary<RegisterInput> = fc.oneof(
    fc.constant({ kind: "read", key } as const),
    fc.record({ kind: fc.constant("write" as const), key: fc.constant(key), value }),
    fc.record({
      kind: fc.constant("compare-and-set" as const),
      key: fc.constant(key),
      expected: value,
      value,
    }),
  );
  const operation: fc.Arbitrary<RegisterOperation> = fc
    .record({
      client: fc.integer({ min: 0, max: 9 }),
      input,
      shown: value,
      won: fc.boolean(),
      isUnknown: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
      callAt: fc.integer({ min: 0, max: 12 }),
      takes: fc.integer({ min: 0, max: 6 }),
    })
    .map(({ client, input, shown, won, isUnknown, callAt, takes }) => ({
      client,
      input,
      output: isUnknown ? undefined : outputFor(input, shown, won),
      callAt,
      returnAt: isUnknown ? NEVER : callAt + takes,
    }));

  test("gets the verdict of brute force", () => {
    let [right, wrong] = [0, 0];
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (history) => {
        const expected = bruteForce(model, history);
        if (expected) right += 1;
        else wrong += 1;
        assert.equal(verdict(history), expected ? "ok" : "violation");
      }),
      { numRuns: 3_000 },
    );
    assert.ok(right > 300 && wrong > 300, `${right} right, ${wrong} wrong: both kinds are tried`);
  });
});

function outputFor(input: RegisterInput, shown: RegisterValue, won: boolean): RegisterOutput {
  if (input.kind === "read") return { kind: "read", value: shown };
  return { kind: input.kind === "write" ? "written" : won ? "set" : "mismatch" };
}

test("a model with several next states is searched through all of them", () => {
  // a coin that lands on its own: a toss leads to either side
  const coin: Model<string, "toss" | "look", string> = {
    initial: "heads",
    step: (state, input, output) =>
      input === "toss" ? ["heads", "tails"] : output === undefined || output === state ? [state] : [],
    keyOf: (state) => state,
  };
  const look = (output: string, at: number) => ({
    client: 1,
    input: "look" as const,
    output,
    callAt: at,
    returnAt: at,
  });
  const toss = (at: number) => ({
    client: 2,
    input: "toss" as const,
    output: "tossed",
    callAt: at,
    returnAt: at,
  });
  assert.ok(
    checkLinearizable(coin, [look("heads", 0), toss(1), look("tails", 2), toss(3), look("heads", 4)]).ok,
  );
  assert.ok(!checkLinearizable(coin, [look("heads", 0), toss(1), look("tails", 2), look("heads", 4)]).ok);
});
