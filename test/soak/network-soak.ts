/**
 * The network's soak: every entry broken by hand, changes under load again and again, cables pulled for ten
 * and for sixty seconds. Edge: to labs.
 * Invariant: a part that could not be carried out to its end is a problem, and the others are done all the
 * same.
 */
import { breakAndRepair } from "../support/break-and-repair.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { call, dissolve, formSwarm, leader, nodeOf } from "../support/lab/lab-swarm.js";
import {
  carryOutDrill,
  type Drill,
  problemsAfter,
  raiseDrillServices,
  untilVoters,
  untilWhole,
} from "../support/lab/network-drill.js";
import { failuresOf, STEADY_CHANGES, SteadyLoad } from "../support/lab/steady-load.js";
import { NETWORK_BREAKS } from "../support/network-breaks.js";
import { createPublishedWorld } from "../support/published-world.js";

export const NETWORK_PARTS = ["breaks", "load", "drills"] as const;
export type NetworkPart = (typeof NETWORK_PARTS)[number];

export interface NetworkSoakOptions {
  readonly parts: readonly NetworkPart[];
  /** Of each change with each kind of connections. */
  readonly runs: number;
  /** Load without pauses: on fast machines more connections than a client has ports. */
  readonly fullSpeed: boolean;
  /** How long cables are out; each drill is done once for each. Milliseconds. */
  readonly pulledMs: readonly number[];
  readonly say: (line: string) => void;
}

/** @returns what is wrong; empty: the run is clean. */
export async function runNetworkSoak(options: NetworkSoakOptions): Promise<string[]> {
  const problems: string[] = [];
  const work = { breaks, load, drills };
  for (const part of options.parts) {
    const found = (what: string, wrong: readonly string[]): void => {
      options.say(`${part}: ${what}: ${wrong.length === 0 ? "clean" : wrong.join("; ")}`);
      problems.push(...wrong.map((words) => `${part}: ${what}: ${words}`));
    };
    try {
      await work[part](options, found);
    } catch (error) {
      found("not carried out to its end", [error instanceof Error ? error.message : String(error)]);
    }
  }
  return problems;
}

type Found = (what: string, wrong: readonly string[]) => void;

async function breaks(_options: NetworkSoakOptions, found: Found): Promise<void> {
  const published = await createPublishedWorld();
  try {
    for (const row of NETWORK_BREAKS)
      found(`${row.place}: ${row.what}`, await breakAndRepair(published, row));
  } finally {
    await published.world.close();
  }
}

async function load({ runs, fullSpeed }: NetworkSoakOptions, found: Found): Promise<void> {
  await inLab(1, found, async (lab) => {
    const steady = await SteadyLoad.raise(lab, lab.host(1));
    for (let run = 1; run <= runs; run += 1) {
      for (const connections of ["kept", "new"] as const) {
        for (const change of STEADY_CHANGES) {
          const results = await steady.during(change, { connections, fullSpeed });
          const { vip, mesh } = results;
          const asked = `${vip.requests} requests by VIP, ${mesh.requests} by the mesh`;
          found(`run ${run}, ${change}, connections ${connections}, ${asked}`, failuresOf(results));
        }
      }
    }
  });
}

async function drills({ pulledMs }: NetworkSoakOptions, found: Found): Promise<void> {
  await inLab(2, found, async (lab) => {
    const first = lab.host(1);
    const worker = lab.host(3);
    await raiseDrillServices(first, 3);
    await untilWhole(lab, first, 3);
    const carryOut = async (what: string, drill: Drill): Promise<void> => {
      await carryOutDrill(lab, drill);
      found(`${what}, ${drill.pulledMs / 1_000} s`, await problemsAfter(lab, drill.asked));
    };
    const ofWorker = { victim: worker, asked: first };
    for (const ms of pulledMs) {
      await carryOut("a worker is cut off", { ...ofWorker, pulledMs: ms, replicas: 5 });
      const killed = await leader(lab, first);
      const what = "a worker is cut off, the leader's manager killed";
      await carryOut(what, { ...ofWorker, pulledMs: ms, replicas: 3, killed });
    }
    await promote(worker, first);
    for (const ms of pulledMs) {
      for (const kill of [false, true]) {
        const victim = await leader(lab, first);
        const asked = lab.hosts.find((host) => host !== victim) ?? first;
        const what = kill ? "the leader is cut off, its manager killed" : "the leader is cut off";
        const killed = kill ? { killed: victim } : {};
        await carryOut(what, { victim, asked, pulledMs: ms, replicas: kill ? 3 : 5, ...killed });
      }
    }
  });
}

async function promote(host: LabHost, asked: LabHost): Promise<void> {
  const { ID, Version, Spec } = await nodeOf(host, asked);
  await call(asked, "POST", `/nodes/${ID}/update?version=${Version.Index}`, { ...Spec, Role: "manager" });
  await untilVoters(asked, 3);
}

async function inLab(managers: number, found: Found, body: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await Lab.open({ hosts: 3 });
  try {
    await formSwarm(lab, { managers });
    await body(lab);
  } finally {
    const left = await dissolve(lab);
    if (left.length > 0) found("the lab left behind", left);
  }
}
