/**
 * Question: is the control plane fast, alone and on three hosts beside Docker Swarm, and how does it grow?
 * Command: npm run bench -- control (about 20 minutes; needs dockerd). The parts have names of their own:
 * control-store, control-scheduler, control-cluster, control-lab. Edge: to the parts.
 */
import { controlClusterSamples } from "./control-cluster.js";
import { controlLabSamples } from "./control-lab.js";
import { controlSchedulerSamples } from "./control-scheduler.js";
import { controlStoreSamples } from "./control-store.js";
import { report, type Sample } from "./report.js";

export async function run(): Promise<void> {
  const samples: Sample[] = [];
  for (const part of [controlLabSamples, controlStoreSamples, controlSchedulerSamples, controlClusterSamples])
    samples.push(...(await part()));
  report("control", samples);
}
