/**
 * One soak: a swarm of real processes, clients, faults from a seed, then the verdict. Edge: to the lab.
 * Invariant: whatever happens, the lab is closed and told what stays of it; a run that was not checked to the
 * end is not clean.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { formSwarm } from "../support/lab/lab-swarm.js";
import { mergeCounts, readDaemonLog } from "./daemon-logs.js";
import { mountSmallDisk } from "./host-faults.js";
import { untilAllManagers } from "./membership-faults.js";
import { Nemesis, type RoundKind } from "./nemesis.js";
import { compareReplicas } from "./replica-states.js";
import { checkHistory } from "./soak-checks.js";
import { ask, readEverything, SoakClient } from "./soak-client.js";
import { SoakRecorder } from "./soak-record.js";
import { type SoakReport, tally } from "./soak-report.js";

export interface SoakOptions {
  readonly seed: string;
  readonly managers: number;
  /** Of faults; set-up and checks come on top. */
  readonly lengthMs: number;
  /** Rounds in this order instead of drawn ones; the run ends after them, or after `lengthMs`. */
  readonly plan?: readonly RoundKind[];
  /** Where history and logs go; removed after a clean run unless `keep`. */
  readonly folder: string;
  readonly keep?: boolean;
  readonly holdMs?: readonly [number, number];
  readonly gapMs?: readonly [number, number];
  readonly say: (line: string) => void;
}

/** All managers agree again within this time after the last fault. */
const CONVERGENCE_MS = 60_000;
const CHECK_MS = 180_000;
const CLIENTS_PER_MANAGER = 2;

export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { folder, say } = options;
  mkdirSync(folder, { recursive: true });
  const recorder = new SoakRecorder(join(folder, "history.jsonl"));
  const lab = await Lab.open({ hosts: options.managers, clients: 0 });
  const run = new Run(options, lab, recorder);
  try {
    await run.all();
  } catch (error) {
    run.problems.push(`the soak itself failed: ${error instanceof Error ? error.stack : String(error)}`);
  }
  run.readLogs();
  await recorder.close();
  const left = await lab.close();
  if (left.length > 0) run.problems.push(`the lab left behind: ${left.join("; ")}`);
  const report = run.report();
  if (report.problems.length === 0 && options.keep !== true) rmSync(folder, { recursive: true });
  else {
    writeFileSync(join(folder, "report.json"), JSON.stringify(report, undefined, 2));
    say(`history, daemons' logs and report: ${folder}`);
  }
  return report;
}

class Run {
  readonly problems: string[] = [];
  readonly oddities: string[] = [];
  readonly #options: SoakOptions;
  readonly #lab: Lab;
  readonly #recorder: SoakRecorder;
  readonly #nemesis: Nemesis;
  readonly #random: SeededRandom;
  #logCounts: SoakReport["logCounts"] = [];
  #replicas = "";
  #checkMs = 0;

  constructor(options: SoakOptions, lab: Lab, recorder: SoakRecorder) {
    this.#options = options;
    this.#lab = lab;
    this.#recorder = recorder;
    this.#random = new SeededRandom(options.seed);
    this.#nemesis = new Nemesis({
      hosts: lab.hosts,
      random: this.#random.child("nemesis"),
      recorder,
      say: (line) => this.#say(line),
      odd: (what) => this.#odd(what),
      holdMs: options.holdMs ?? [1_000, 6_000],
      gapMs: options.gapMs ?? [200, 4_000],
    });
  }

  async all(): Promise<void> {
    const { hosts } = this.#lab;
    await Promise.all(hosts.map(mountSmallDisk));
    await formSwarm(this.#lab, { managers: hosts.length });
    await untilAllManagers(hosts);
    this.#say(`${hosts.length} managers are up`);
    // Whatever goes wrong, what was seen until then is checked.
    await this.#guarded("under fire", () => this.#underFire());
    await this.#guarded("after healing", () => this.#converge());
    await this.#guarded("comparing replicas", () => this.#compare());
    const startedMs = performance.now();
    const { configs, sets } = this.#recorder;
    const expired = (): boolean => performance.now() - startedMs > CHECK_MS;
    this.problems.push(...checkHistory({ configs, sets }, this.#nemesis.quorumLosses, expired));
    this.#checkMs = performance.now() - startedMs;
  }

  async #guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      this.#say(this.problems.at(-1) ?? "");
    }
  }

  readLogs(): void {
    const findings = this.#lab.hosts.map((host) => {
      const text = logOf(host);
      writeFileSync(join(this.#options.folder, `${host.name}.log`), text);
      return readDaemonLog(host.name, text);
    });
    this.problems.push(...findings.flatMap(({ bugs }) => bugs));
    this.#logCounts = mergeCounts(findings);
  }

  report(): SoakReport {
    const { configs, sets, longestWithoutWriteMs } = this.#recorder;
    const { seed, managers } = this.#options;
    const { counts, recoveriesMs, quorumLosses } = this.#nemesis;
    return {
      seed,
      managers,
      problems: this.problems,
      oddities: this.oddities,
      operations: tally([...configs, ...sets]),
      faults: [...counts].sort(([a], [b]) => (a < b ? -1 : 1)),
      quorumLosses: quorumLosses.length,
      quorumLossMs: quorumLosses.reduce((sum, { since, until }) => sum + until - since, 0),
      longestWithoutWriteMs,
      recoveriesMs: [...recoveriesMs].sort((a, b) => a - b),
      replicas: this.#replicas,
      checkMs: this.#checkMs,
      logCounts: this.#logCounts,
    };
  }

  async #underFire(): Promise<void> {
    const { hosts } = this.#lab;
    const { plan, lengthMs } = this.#options;
    const recorder = this.#recorder;
    const [working, firing] = [new AbortController(), new AbortController()];
    const clients = Array.from({ length: hosts.length * CLIENTS_PER_MANAGER }, (_, i) => {
      const name = `c${i + 1}`;
      return new SoakClient({ name, hosts, random: this.#random.child(name), recorder });
    });
    const work = Promise.all(clients.map((client) => client.run(working.signal)));
    const timer = setTimeout(() => firing.abort(), lengthMs);
    try {
      await this.#nemesis.run(firing.signal, plan);
    } finally {
      clearTimeout(timer);
      try {
        await this.#nemesis.mendAll();
        this.#say("everything is mended");
        // Clients go on meanwhile: what heals must heal under load.
        const mended = untilAllManagers(hosts, CONVERGENCE_MS);
        await mended.catch((error: Error) => this.problems.push(`not healed: ${error.message}`));
        await sleep(500);
      } finally {
        working.abort();
        await work;
      }
    }
  }

  /** Every manager answers the same; then all have applied the same. */
  async #converge(): Promise<void> {
    const { hosts } = this.#lab;
    const answers: { name: string; text: string }[] = [];
    for (const host of hosts) {
      const all = await readEverything(host, this.#recorder);
      answers.push({ name: host.name, text: JSON.stringify([...all].sort(([a], [b]) => (a < b ? -1 : 1))) });
    }
    const [first, ...others] = answers;
    for (const { name, text } of others)
      if (text !== first?.text)
        this.problems.push(`${first?.name} and ${name} answer differently after healing`);
    const untilMs = performance.now() + CONVERGENCE_MS;
    for (;;) {
      const applied = await Promise.all(hosts.map(appliedBy));
      if (new Set(applied).size === 1 && applied[0] !== undefined) return;
      if (performance.now() > untilMs) {
        this.problems.push(`managers do not come to one applied index: ${applied.join(", ")}`);
        return;
      }
      await sleep(50);
    }
  }

  async #compare(): Promise<void> {
    const { hosts } = this.#lab;
    await Promise.all(hosts.map((host) => host.stop()));
    const { index, objects, differences, left } = await compareReplicas(hosts);
    this.#replicas = `${hosts.length - left.length} of ${hosts.length} equal at index ${index}, ${objects} objects`;
    this.problems.push(...differences);
    for (const why of left) this.problems.push(`a replica cannot be compared: ${why}`);
  }

  #say(line: string): void {
    this.#options.say(`[${(this.#recorder.now() / 1000).toFixed(1).padStart(6)} s] ${line}`);
  }

  #odd(what: string): void {
    this.oddities.push(what);
    this.#say(`odd: ${what}`);
  }
}

async function appliedBy(host: LabHost): Promise<number | undefined> {
  const answer = await ask(host, "GET", "/skein/v1/debug/raft", undefined, 5_000);
  return answer.status === 200 ? (answer.json as { appliedIndex?: number }).appliedIndex : undefined;
}

function logOf(host: LabHost): string {
  try {
    return readFileSync(host.logPath, "utf8");
  } catch {
    return ""; // it never started
  }
}
