/**
 * `npm run soak -- --minutes N [--managers 3|5] [--seed S] [--keep]`: prints faults as they happen and the
 * report; exits 1 when a promise was broken, with the seed, and keeps history and logs. Edge: to the process.
 */
import { parseArgs } from "node:util";
import { reportText } from "./soak-report.js";
import { runSoak } from "./soak-run.js";

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "10" },
      managers: { type: "string", default: "3" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      keep: { type: "boolean", default: false },
    },
  });
  const minutes = Number(values.minutes);
  const managers = Number(values.managers);
  if (!(minutes > 0)) throw new Error(`--minutes must be a number > 0, got ${values.minutes}`);
  if (![3, 5, 7].includes(managers)) throw new Error(`--managers must be 3, 5 or 7, got ${values.managers}`);
  const say = (line: string): void => console.log(line);
  say(`seed ${values.seed}, ${managers} managers, ${minutes} minutes`);
  say("delay: not tried here, the kernel needs sch_netem for it; loss and cuts are made by nftables");
  say("clocks: not moved here, all processes share one; the simulator moves them");
  const folder = `/tmp/skein-soak-${values.seed}-${process.pid}`;
  const lengthMs = minutes * 60_000;
  const report = await runSoak({ seed: values.seed, managers, lengthMs, folder, keep: values.keep, say });
  say(reportText(report));
  return report.problems.length === 0 ? 0 : 1;
}

process.exitCode = await main();
