/**
 * `npm run soak -- --minutes N [--managers 3|5] [--seed S] [--keep]`: prints faults as they happen and the
 * report; exits 1 when a promise was broken, with the seed, and keeps history and logs.
 * `npm run soak -- network [--runs N] [--pulled SECONDS,...] [--only PART,...]
 * [--full-speed]`: the network's; exits 1 when anything was wrong. Edge: to the process.
 */
import { parseArgs } from "node:util";
import { NETWORK_PARTS, runNetworkSoak } from "./network-soak.js";
import { reportText } from "./soak-report.js";
import { runSoak } from "./soak-run.js";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string", default: "20" },
      pulled: { type: "string", default: "10,60" },
      "full-speed": { type: "boolean", default: false },
      only: { type: "string", default: NETWORK_PARTS.join(",") },
      minutes: { type: "string", default: "10" },
      managers: { type: "string", default: "3" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      keep: { type: "boolean", default: false },
    },
  });
  if (positionals[0] === "network" && positionals.length === 1) return network(values);
  if (positionals.length > 0) throw new Error(`only "network" can be named, got ${positionals.join(" ")}`);
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

interface NetworkWords {
  readonly runs: string;
  readonly pulled: string;
  readonly only: string;
  readonly "full-speed": boolean;
}

async function network(words: NetworkWords): Promise<number> {
  const runs = Number(words.runs);
  if (!(Number.isInteger(runs) && runs > 0))
    throw new Error(`--runs must be a number > 0, got ${words.runs}`);
  const pulledMs = words.pulled.split(",").map((seconds) => Number(seconds) * 1_000);
  if (!pulledMs.every((ms) => ms > 0)) throw new Error(`--pulled must be seconds > 0, got ${words.pulled}`);
  const parts = NETWORK_PARTS.filter((part) => words.only.split(",").includes(part));
  if (parts.length !== words.only.split(",").length)
    throw new Error(`--only must be of ${NETWORK_PARTS.join(", ")}, got ${words.only}`);
  const fullSpeed = words["full-speed"];
  const startMs = performance.now();
  const say = (line: string): void =>
    console.log(`[${((performance.now() - startMs) / 1000).toFixed(1).padStart(6)} s] ${line}`);
  const problems = await runNetworkSoak({ parts, runs, fullSpeed, pulledMs, say });
  say(problems.length === 0 ? "clean" : `${problems.length} problems:\n  ${problems.join("\n  ")}`);
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = await main();
