/**
 * Reads one compose project in a process of its own and says what that cost, as one JSON line: for
 * compose.ts. Edge: to the process and /proc.
 */
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { readProject } from "../cli/compose/file-project.js";

let refusal: string | undefined;
const startedAt = performance.now();
try {
  await readProject(process.argv.slice(2), { variables: { TAG: "1.25", BIG: "x".repeat(1_000_000) } });
} catch (error) {
  refusal = (error as Error).message.split("\n")[0]; // readProject throws errors alone
}
const readMs = performance.now() - startedAt;
const rssKib = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
// nanoseconds on a CPU: on a busy machine this tells more than the clock
const [onCpuNs = "0"] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ");
console.log(JSON.stringify({ peakMib: rssKib / 1024, cpuMs: Number(onCpuNs) / 1e6, readMs, refusal }));
