/**
 * A lab that is already a swarm, with the busybox image on every host. Edge: to the lab.
 */
import { busyboxImage } from "../test/support/lab/busybox-image.js";
import { Lab } from "../test/support/lab/lab.js";
import type { LabHost } from "../test/support/lab/lab-host.js";

export type JsonRecord = Readonly<Record<string, unknown>>;

/** @throws {Error} with the daemon's words when it does not answer with the status. */
export async function ask(
  host: LabHost,
  method: string,
  path: string,
  body?: unknown,
  status = 200,
): Promise<JsonRecord> {
  const answer = await host.api(method, path, body);
  if (answer.status !== status)
    throw new Error(`${method} ${path} on ${host.name} answered ${answer.status}: ${answer.body}`);
  return (answer.json ?? {}) as JsonRecord; // our own API: objects where benchmarks ask
}

export async function pause(ms: number): Promise<void> {
  await new Promise((wake) => setTimeout(wake, ms));
}

export async function until(
  what: string,
  timeoutMs: number,
  condition: () => Promise<boolean>,
  everyMs = 50,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs} ms`);
    await pause(everyMs);
  }
}

export async function nodes(host: LabHost): Promise<JsonRecord[]> {
  return (await ask(host, "GET", "/nodes")) as unknown as JsonRecord[]; // the listing is an array
}

/** Managers first, then workers. */
export async function openSwarm(options: { managers: number; workers?: number }): Promise<Lab> {
  const count = options.managers + (options.workers ?? 0);
  const lab = await Lab.open({ hosts: count });
  try {
    await Promise.all(lab.hosts.map((host) => host.start()));
    const first = lab.host(1);
    await ask(first, "POST", "/swarm/init", { AdvertiseAddr: first.address, ListenAddr: "0.0.0.0:2377" });
    const tokens = (await ask(first, "GET", "/swarm"))["JoinTokens"] as JsonRecord;
    for (const [i, host] of lab.hosts.entries()) {
      if (i === 0) continue;
      await ask(host, "POST", "/swarm/join", {
        AdvertiseAddr: host.address,
        ListenAddr: "0.0.0.0:2377",
        RemoteAddrs: [`${first.address}:2377`],
        JoinToken: i < options.managers ? tokens["Manager"] : tokens["Worker"],
      });
    }
    await until(
      "all nodes ready",
      30_000,
      async () =>
        (await nodes(first)).filter((node) => (node["Status"] as JsonRecord)["State"] === "ready").length ===
        count,
    );
    const image = await busyboxImage();
    for (const host of lab.hosts) await host.api("POST", "/images/load?quiet=1", image);
  } catch (error) {
    await lab.close();
    throw error;
  }
  return lab;
}

/** A container that idles and ends at once on SIGTERM. */
export const IDLE_ARGS = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"];
