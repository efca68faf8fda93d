/**
 * Membership under fire: a manager is demoted and promoted again, or leaves by force and joins anew. Edge: to
 * the lab. Every call may meet a fault that goes on at the same time: it is repeated until its deadline.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LabHost } from "../support/lab/lab-host.js";
import { join, type SwarmNode } from "../support/lab/lab-swarm.js";
import { ask } from "./soak-client.js";

const DEADLINE_MS = 60_000;
const RETRY_MS = 250;

export async function demote(host: LabHost, others: readonly LabHost[]): Promise<void> {
  await setRole(host, others, "worker");
  await eventually(`${host.name} being no manager`, async () => {
    const answer = await ask(host, "GET", "/nodes", undefined, 3_000);
    return answer.status === 503 && /not a swarm manager/.test(answer.message) ? true : answer.message;
  });
}

export async function promote(host: LabHost, others: readonly LabHost[]): Promise<void> {
  await setRole(host, others, "manager");
  await untilManager(host, others);
}

export async function leave(host: LabHost): Promise<void> {
  await eventually(`${host.name} leaving`, async () => {
    const answer = await ask(host, "POST", "/swarm/leave?force=1", undefined, 30_000);
    return answer.status === 200 || /not part of a swarm/.test(answer.message) ? true : answer.message;
  });
}

/** The node it was before is removed, as far as the cluster allows. */
export async function joinAnew(host: LabHost, others: readonly LabHost[]): Promise<void> {
  await eventually(`${host.name} joining`, async () => {
    for (const other of others) {
      const swarm = await ask(other, "GET", "/swarm", undefined, 5_000);
      const token = (swarm.json as { JoinTokens?: { Manager: string } } | undefined)?.JoinTokens?.Manager;
      if (swarm.status !== 200 || token === undefined) continue;
      const answer = await join(host, other, token);
      if (answer.status === 200 || /already part of a swarm/.test(answer.body)) return true;
      return answer.body;
    }
    return "nobody gave a token";
  });
  const { ID: current } = await untilManager(host, others);
  await eventually(`the nodes ${host.name} was before being removed`, async () => {
    const all = await listNodes(others);
    // Nameless: it was admitted, and the join broke off before its agent came; the next try was another node.
    const dead = all.filter(
      ({ ID, Description }) => ["", host.name].includes(Description?.Hostname ?? "") && ID !== current,
    );
    let last = "";
    for (const node of dead) {
      for (const other of others) {
        // One that left while its manager could tell nobody is a manager still, for the others.
        const path = `/nodes/${node.ID}/update?version=${node.Version.Index}`;
        if (node.Spec.Role === "manager")
          await ask(other, "POST", path, { ...node.Spec, Role: "worker" }, 10_000);
        const answer = await ask(other, "DELETE", `/nodes/${node.ID}?force=1`, undefined, 5_000);
        if (answer.status === 200 || answer.status === 404) break;
        last = answer.message;
      }
    }
    return all.length > 0 && dead.length === 0 ? true : `${dead.length} left: ${last}`;
  });
}

/** Every manager of `hosts` is ready and reachable, and there is no other. */
export async function untilAllManagers(hosts: readonly LabHost[], deadlineMs = DEADLINE_MS): Promise<void> {
  await eventually(
    `all ${hosts.length} managers ready and reachable, as each of them tells`,
    async () => {
      for (const host of hosts) {
        const answer = await ask(host, "GET", "/nodes", undefined, 10_000);
        if (answer.status !== 200) return `${host.name}: ${answer.status} ${answer.message}`;
        const all = (answer.json as readonly SwarmNode[]).filter((node) => node.Status.State !== "down");
        const good = all.filter(
          (node) => node.Status.State === "ready" && node.ManagerStatus?.Reachability === "reachable",
        );
        if (good.length !== hosts.length || all.length !== hosts.length)
          return `${host.name}: ${all.map(describe).join(", ")}`;
      }
      return true;
    },
    deadlineMs,
  );
}

const describe = ({ Description, Spec, Status, ManagerStatus }: SwarmNode): string =>
  [
    Description?.Hostname ?? "(nameless)",
    Spec.Role,
    Status.State,
    ManagerStatus?.Reachability ?? "no manager",
  ].join(" ");

async function setRole(host: LabHost, others: readonly LabHost[], role: "manager" | "worker"): Promise<void> {
  await eventually(`${host.name} being made a ${role}`, async () => {
    const node = (await listNodes(others)).find(
      ({ Description, Status }) => Description.Hostname === host.name && Status.State !== "down",
    );
    if (node === undefined) return "it is not ready";
    if (node.Spec.Role === role) return true;
    for (const other of others) {
      const path = `/nodes/${node.ID}/update?version=${node.Version.Index}`;
      const answer = await ask(other, "POST", path, { ...node.Spec, Role: role }, 10_000);
      if (answer.status === 200) return true;
      if (answer.status !== 0) return answer.message;
    }
    return "nobody answered";
  });
}

async function untilManager(host: LabHost, others: readonly LabHost[]): Promise<SwarmNode> {
  return eventually(`${host.name} being a manager`, async () => {
    const all = await listNodes(others);
    const node = all.find((each) => each.Description.Hostname === host.name && each.Status.State === "ready");
    return node?.ManagerStatus?.Reachability === "reachable" ? node : all.map(describe).join(", ");
  });
}

async function listNodes(hosts: readonly LabHost[]): Promise<readonly SwarmNode[]> {
  for (const host of hosts) {
    const answer = await ask(host, "GET", "/nodes", undefined, 5_000);
    if (answer.status === 200) return answer.json as readonly SwarmNode[]; // as Docker documents
  }
  return [];
}

/**
 * @throws {Error} with what was seen last: `probe` tells it as long as it has not found what it looks for.
 */
async function eventually<T extends object | true>(
  what: string,
  probe: () => Promise<T | string>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const untilMs = performance.now() + deadlineMs;
  for (;;) {
    const seen = await probe();
    if (typeof seen !== "string") return seen;
    if (performance.now() > untilMs)
      throw new Error(`${what}: not within ${deadlineMs} ms; last seen: ${seen}`);
    await sleep(RETRY_MS);
  }
}
