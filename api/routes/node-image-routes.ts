/**
 * POST /skein/v1/nodes/NODE/images/load: an archive of images for another node, through a tunnel.
 * Edge: to the manager's control API, and to nodes by tunnels.
 * Who may run any image on a node may also hand it one: a tunnel carries this call beside those to
 * containers. The node answers it as POST /images/load.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { UnavailableError } from "../../base/errors/errors.js";
import type { ManagerClients } from "../manager-clients.js";
import type { EngineBackend } from "../ports.js";
import { load } from "./image-transfer-routes.js";
import type { Route } from "./route.js";

export const LOAD_PATH = "/images/load";

type ImageBackend = Pick<EngineBackend, "managerReached" | "swarm" | "images">;

export function nodeImageRoutes(clients: ManagerClients, backend: ImageBackend): Route[] {
  return [
    {
      method: "POST",
      path: "/skein/v1/nodes/:id/images/load",
      handle: async (exchange) => {
        const { node } = await clients.call((control) => control.getNode, { id: exchange.param("id") });
        const nodeId = node?.id ?? exchange.param("id");
        if (nodeId === backend.swarm.info().nodeId) return await load(backend.images, exchange);
        const hostname = node?.description?.hostname || nodeId;
        const { request, response } = exchange;
        await pass(backend, { nodeId, hostname }, { request, response });
        return undefined;
      },
    },
  ];
}

async function pass(
  backend: ImageBackend,
  node: { readonly nodeId: string; readonly hostname: string },
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const endpoint = await backend.managerReached();
  if (endpoint === undefined) throw new UnavailableError("this node's manager does not serve");
  const [{ GrpcTunnels }, { forward }] = await Promise.all([
    import("../reach/grpc-tunnel.js"), // seldom needed
    import("../reach/http-forward.js"),
  ]);
  const tunnels = new GrpcTunnels();
  const abort = new AbortController();
  const gone = (): void => abort.abort();
  response.once("close", gone);
  try {
    const place = { ...node, taskId: "", taskName: "", containerId: "" };
    const tunnel = await tunnels.open(endpoint, place, abort.signal);
    try {
      await forward({ request, response, upgrade: undefined, target: `${LOAD_PATH}?quiet=1`, tunnel });
    } finally {
      tunnel.destroy();
    }
  } finally {
    response.off("close", gone);
    tunnels.close();
  }
}
