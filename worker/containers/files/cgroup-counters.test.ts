/**
 * The kernel's texts, as they are and as nobody would write them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError, SkeinError } from "../../../base/errors/errors.js";
import { holds } from "../../../test/fuzz/holds.js";
import {
  blkioV1,
  blkioV2,
  cgroupPaths,
  interfacesIn,
  keyedNumbers,
  numbersIn,
  soleNumber,
  systemCpuNs,
} from "./cgroup-counters.js";
import { procFacts } from "./proc-facts.js";
import { processTable, psArgumentList } from "./ps-table.js";

const ID = "a".repeat(64);

test("counters are read from the kernel's own texts", () => {
  assert.deepEqual(keyedNumbers("cache 1\nrss 22\n"), { cache: 1, rss: 22 });
  assert.equal(soleNumber("max\n"), undefined);
  assert.deepEqual(blkioV1("8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n"), [
    { major: 8, minor: 0, op: "Read", value: 4096 },
    { major: 8, minor: 0, op: "Total", value: 4096 },
  ]);
  assert.deepEqual(blkioV2("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"), {
    bytes: [
      { major: 8, minor: 16, op: "read", value: 1 },
      { major: 8, minor: 16, op: "write", value: 2 },
    ],
    operations: [
      { major: 8, minor: 16, op: "read", value: 3 },
      { major: 8, minor: 16, op: "write", value: 4 },
    ],
  });
  assert.equal(systemCpuNs("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1 1\n"), 28 * 10_000_000);
  const device =
    "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n" +
    "  eth0:123 4 5 6 0 0 0 0 789 10 11 12 0 0 0 0\n";
  const eth0 = { rxBytes: 123, rxPackets: 4, rxErrors: 5, rxDropped: 6 };
  assert.deepEqual(interfacesIn(device), {
    eth0: { ...eth0, txBytes: 789, txPackets: 10, txErrors: 11, txDropped: 12 },
  });
});

test("a container's group is found in every tree, also when it made groups of its own", () => {
  const hybrid = `4:memory:/skein/${ID}\n3:cpu,cpuacct:/skein/${ID}/init.scope\n0::/other\n`;
  assert.equal(cgroupPaths(hybrid, ID).get("memory"), `/skein/${ID}`);
  assert.equal(cgroupPaths(hybrid, ID).get("cpuacct"), `/skein/${ID}`);
  assert.equal(cgroupPaths(`0::/skein/${ID}/init\n`, ID).get(""), `/skein/${ID}`);
  assert.equal(cgroupPaths(`0::/../../x\n`, ID).get(""), undefined);
});

test("fuzz: no text makes a parser throw", () => {
  const line = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.constantFrom("8:0 Read 1", "__proto__ 1", "eth0: 1 2 3", "0::/", "cpu 1", "1 (a b) c) S 1 1 1"),
  );
  const text = fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n"));
  holds(
    fc.property(text, text, (one, two) => {
      keyedNumbers(one);
      soleNumber(one);
      numbersIn(one);
      blkioV1(one);
      blkioV2(one);
      interfacesIn(one);
      systemCpuNs(one);
      cgroupPaths(one, ID);
      procFacts({ stat: one, status: two, cmdline: two });
      assert.equal(Object.getPrototypeOf(keyedNumbers(one)), Object.prototype);
      for (const parse of [() => processTable(one, new Set([1])), () => psArgumentList(one)]) {
        try {
          parse();
        } catch (error) {
          assert.ok(error instanceof SkeinError, String(error));
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test("the last column of ps takes the rest of its line", () => {
  const output = "  PID COMMAND\n    7 sh -c a b\n    8 other\n";
  assert.deepEqual(processTable(output, new Set([7])), {
    titles: ["PID", "COMMAND"],
    processes: [["7", "sh -c a b"]],
  });
  assert.throws(() => processTable("COMMAND\nsh\n", new Set([7])), {
    message: "Couldn't find PID field in ps output",
  });
});

test("arguments that would make another column look like the PID are refused", () => {
  assert.throws(() => psArgumentList("-o ppid=PID"), InvalidArgumentError);
  assert.deepEqual(psArgumentList("-o pid=PID"), ["-o", "pid=PID"]);
  assert.deepEqual(psArgumentList("  "), ["-ef"]);
});
