/**
 * GET /skein/v1/net/report: this node's network, compared with the kernel now. Also through tunnels.
 * GET /skein/v1/net/verify?node=NAME: the same of all nodes, or one, and whether they agree.
 * Edge: to the manager's control API, and to nodes by tunnels.
 */

import type { Clock } from "../../base/clock/clock.js";
import { NotFoundError, UnavailableError } from "../../base/errors/errors.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import type { ManagerClients } from "../manager-clients.js";
import type { NodeNetworkReport } from "../net/node-network-report.js";
import { REPORT_PATH, reportOut } from "../net/node-network-report.js";
import { judge, mayPass, verdictOut } from "../net/verdict.js";
import type { EngineBackend } from "../ports.js";
import type { Route } from "./route.js";

/** What is just changing has this long to reach every node before it counts as a difference. */
const SETTLE_MS = 1_500;
const PAUSE_MS = 150;

type NetBackend = Pick<EngineBackend, "managerReached" | "swarm" | "inspectNetwork"> & { clock: Clock };

export function netRoutes(clients: ManagerClients, backend: NetBackend): Route[] {
  const own = async (): Promise<NodeNetworkReport> => {
    const report = await backend.inspectNetwork?.();
    if (report === undefined) throw new UnavailableError("this node has no networks of the cluster");
    return report;
  };
  return [
    { method: "GET", path: REPORT_PATH, handle: async () => ({ status: 200, json: reportOut(await own()) }) },
    {
      method: "GET",
      path: "/skein/v1/net/verify",
      handle: async ({ query }) => {
        const { nodes } = await clients.call((control) => control.listNodes, {
          ...{ filters: undefined, roles: [], memberships: [], nodeLabels: {}, nodeLabelKeys: [] },
        });
        const wanted = chosen(nodes, query.get("node") ?? "");
        const endpoint = await backend.managerReached();
        if (endpoint === undefined) throw new UnavailableError("this node's manager does not serve");
        const { askNodes } = await import("../net/node-questions.js"); // seldom needed
        const asked = wanted.map((node) => ({ nodeId: node.id, hostname: hostnameOf(node) }));
        const ownNodeId = backend.swarm.info().nodeId;
        const ask = async () => judge(await askNodes(asked, { endpoint, ownNodeId, own }));
        const { clock } = backend;
        const deadlineMs = clock.monotonicMs() + SETTLE_MS;
        let verdict = await ask();
        while (!verdict.isGood && mayPass(verdict) && clock.monotonicMs() < deadlineMs) {
          await clock.sleep(PAUSE_MS);
          verdict = await ask();
        }
        return { status: 200, json: verdictOut(verdict) };
      },
    },
  ];
}

function hostnameOf({ id, description }: Node): string {
  return description?.hostname || id;
}

/** All that are not known to be down, or the one that is named. @throws {NotFoundError} */
function chosen(nodes: readonly Node[], name: string): readonly Node[] {
  if (name === "") return nodes.filter(({ status }) => status?.state !== NodeState.DOWN);
  const named = nodes.filter((node) => node.id === name || hostnameOf(node) === name);
  const found = named.length > 0 ? named : nodes.filter(({ id }) => id.startsWith(name));
  if (found.length !== 1)
    throw new NotFoundError(
      found.length === 0 ? `node ${name} not found` : `node ${name} is ambiguous (${found.length} matches)`,
    );
  return found;
}
