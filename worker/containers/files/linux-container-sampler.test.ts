/**
 * Counters of both kinds of control groups from texts of real kernels; the columns of ps without ps.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { totalmem } from "node:os";
import { test } from "node:test";
import { systemClock } from "../../../base/clock/system-clock.js";
import { FailedPreconditionError } from "../../../base/errors/errors.js";
import { countersV1, countersV2 } from "./linux-container-sampler.js";
import { procTable } from "./linux-proc-table.js";

test("cgroup v2: microseconds become nanoseconds, max is the machine", () => {
  const texts: Readonly<Record<string, string>> = {
    "cpu.stat":
      "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\nnr_periods 5\nnr_throttled 2\nthrottled_usec 77\n",
    "memory.current": "4096\n",
    "memory.max": "max\n",
    "memory.stat": "anon 1024\ninactive_file 512\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
    "io.stat": "254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
  };
  const counters = countersV2((_controller, file) => texts[file] ?? "");
  assert.deepEqual(counters.cpu, {
    totalNs: 1_234_000,
    userNs: 1_000_000,
    kernelNs: 234_000,
    perCpuNs: [],
    periods: 5,
    throttledPeriods: 2,
    throttledNs: 77_000,
  });
  assert.deepEqual(counters.memory, {
    usageBytes: 4096,
    maxUsageBytes: 0,
    limitBytes: totalmem(),
    failures: 0,
    stats: { anon: 1024, inactive_file: 512 },
  });
  assert.deepEqual(counters.pids, { current: 3, limit: 0 });
  assert.deepEqual(counters.blkio["io_service_bytes_recursive"], [
    { major: 254, minor: 0, op: "read", value: 10 },
    { major: 254, minor: 0, op: "write", value: 20 },
  ]);
});

test("cgroup v1: ticks become nanoseconds, the scheduler's counters win over the throttle's", () => {
  const texts: Readonly<Record<string, string>> = {
    "cpuacct/cpuacct.usage": "5000\n",
    "cpuacct/cpuacct.stat": "user 3\nsystem 2\n",
    "cpuacct/cpuacct.usage_percpu": "2000 3000 \n",
    "memory/memory.usage_in_bytes": "100\n",
    "memory/memory.limit_in_bytes": "67108864\n",
    "blkio/blkio.bfq.io_serviced_recursive": "8:0 Read 7\n",
    "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 9\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Write 11\n",
  };
  const counters = countersV1((controller, file) => texts[`${controller}/${file}`] ?? "");
  assert.equal(counters.cpu.userNs, 30_000_000);
  assert.deepEqual(counters.cpu.perCpuNs, [2000, 3000]);
  assert.equal(counters.memory.limitBytes, 67_108_864);
  assert.deepEqual(counters.blkio["io_serviced_recursive"], [{ major: 8, minor: 0, op: "Read", value: 7 }]);
  assert.deepEqual(counters.blkio["io_service_bytes_recursive"], [
    { major: 8, minor: 0, op: "Write", value: 11 },
  ]);
  assert.deepEqual(counters.blkio["sectors_recursive"], []);
});

for (const [asked, titles] of [
  ["-ef", ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]],
  ["aux", ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"]],
] as const) {
  test(`without ps, ${asked} has its columns, and a process is told as ps tells it`, () => {
    const table = procTable([asked], new Set([process.pid]), systemClock);
    assert.deepEqual(table.titles, titles);
    const [row = []] = table.processes;
    const line = execFileSync("ps", ["-p", String(process.pid), "-o", "user=,pid=,tty=,args="], {
      encoding: "utf8",
    });
    const [user, pid, tty, ...command] = line.trim().split(/\s+/);
    const at = (title: string): string | undefined => row[(titles as readonly string[]).indexOf(title)];
    assert.deepEqual([row[0], row[1], at("TTY")], [user, pid, tty]);
    assert.equal(row.at(-1)?.split(/\s+/).join(" "), command.join(" "));
  });
}

test("without ps, other columns are refused by name", () => {
  assert.throws(() => procTable(["-o", "comm"], new Set([1]), systemClock), FailedPreconditionError);
});
