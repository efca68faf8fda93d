/** Cases are read, answers normalised and differences told and explained as they should be. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { compareStep, type StepOutput } from "./compare.js";
import { parseCases } from "./compat-case.js";
import { EXPLAINED } from "./explained.js";
import { factsOf, normaliseText } from "./normalise.js";

const answer = (stdout: string, more: Partial<StepOutput> = {}): StepOutput => ({
  code: 0,
  stdout,
  stderr: "",
  ...more,
});

function textsOf(
  docker: StepOutput,
  skein: StepOutput,
  kind: "compared" | "unordered" = "compared",
): string[] {
  return compareStep({ kind, command: "a step" }, docker, skein).map(({ text }) => text);
}

describe("cases of the comparison", () => {
  it("a mark begins a step, any other line belongs to the step above it", () => {
    const [one, two] = parseCases("== one\n$ a\n~ b\n@ c <<END\nline\nEND\n\n== two\n$ d\n");
    assert.deepEqual(one?.steps, [
      { kind: "compared", command: "a" },
      { kind: "unordered", command: "b" },
      { kind: "preparing", command: "c <<END\nline\nEND" },
    ]);
    assert.deepEqual(two, { name: "two", steps: [{ kind: "compared", command: "d" }] });
  });

  it("a line before the first case is refused", () => {
    assert.throws(() => parseCases("docker ps\n"), /no case begins before the line "docker ps"/);
  });
});

describe("normalised answers", () => {
  it("ids, times, ages and addresses of a run are taken out; addresses that mean themselves stay", () => {
    const id = "0123456789abcdef".repeat(4);
    assert.equal(normaliseText(`${id} ${id.slice(0, 12)}`), "<ID64> <ID12>");
    assert.equal(normaliseText("2026-01-02T03:04:05.678Z, Up 3 seconds"), "<TIME>, Up <AGE>");
    assert.equal(normaliseText("172.17.0.3 via 127.0.0.11"), "<IP> via 127.0.0.11");
  });

  it("a JSON value is its paths in order of their names, with the status that follows", () => {
    assert.deepEqual(factsOf('{"b":[1,{}],"a":"x"}\n200'), [
      '.a = "x"',
      ".b[0] = 1",
      ".b[1] = {}",
      "status 200",
    ]);
  });

  it("numbers that say how big or how fast a run was are only types", () => {
    assert.deepEqual(factsOf('{"Pid":77}'), [".Pid = <number>"]);
  });
});

describe("differences", () => {
  it("equal answers have none, and order counts unless it is said not to", () => {
    assert.deepEqual(textsOf(answer("a\nb"), answer("a\nb")), []);
    assert.deepEqual(textsOf(answer("a\nb"), answer("b\na")), ["out: same lines in another order"]);
    assert.deepEqual(textsOf(answer("a\nb"), answer("b\na"), "unordered"), []);
  });

  it("exit codes and lines that only one said are told, repeated ones as often", () => {
    assert.deepEqual(textsOf(answer("a\na"), answer("a", { code: 1, stderr: "no" })), [
      "exit code: docker 0, skein 1",
      "docker out: a",
      "skein err: no",
    ]);
  });

  it("an explanation bound to a command explains that one alone", () => {
    const docker = answer("", { code: 126 });
    const skein = answer("", { code: 127 });
    const explained = (command: string): boolean =>
      compareStep({ kind: "compared", command }, docker, skein)[0]?.explanation !== undefined;
    assert.equal(explained("docker exec cx nothing-here"), true);
    assert.equal(explained("docker run box nothing-here"), false);
  });

  it("each explanation is a heading of docs/compat.md", () => {
    const below = import.meta.url.includes("/dist/") ? "../../../docs/compat.md" : "../../docs/compat.md";
    const headings = new Set(
      readFileSync(new URL(below, import.meta.url), "utf8")
        .split("\n")
        .filter((line) => line.startsWith("### "))
        .map((line) => line.slice(4)),
    );
    const without = EXPLAINED.filter(({ reason }) => !headings.has(reason)).map(({ reason }) => reason);
    assert.deepEqual(without, []);
  });
});
