/**
 * Question: what do overlay, virtual addresses, mesh and names cost, beside a bare VXLAN, the raw link and
 * Docker's overlay, and how do the costs grow with services, backends and nodes?
 * Command: npm run bench -- net (about ten minutes; needs dockerd, iperf3, wrk, nginx, python3). Edge: to the
 * parts.
 */
import { dockerdMissing } from "../test/support/dockerd-peer.js";
import { netGrowthSamples } from "./net-growth.js";
import { netPathSamples } from "./net-paths.js";
import { requireTools } from "./net-tools.js";
import { report } from "./report.js";

export async function run(): Promise<void> {
  const missing = dockerdMissing();
  if (missing !== undefined) throw new Error(missing);
  await requireTools();
  report("net", [...(await netPathSamples()), ...(await netGrowthSamples())]);
}
