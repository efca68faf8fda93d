/**
 * Asks nodes for their network, each through a tunnel of its own; this node without one. Edge: to node:http.
 * Invariants: nobody waits longer than ASK_MS for a node; at most ASKED_MAX are asked at a time; an answer
 * has at most ANSWER_BYTES_MAX.
 */
import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { messageOf, UnavailableError } from "../../base/errors/errors.js";
import type { ManagerEndpoint } from "../ports.js";
import { GrpcTunnels } from "../reach/grpc-tunnel.js";
import type { NodeNetworkReport } from "./node-network-report.js";
import { REPORT_PATH, reportIn } from "./node-network-report.js";
import type { NodeAnswer } from "./verdict.js";

/** For the answer of one node, dialling back included. */
const ASK_MS = 5_000;
/** Below the tunnels that a manager has. */
const ASKED_MAX = 64;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

export interface AskedNode {
  readonly nodeId: string;
  readonly hostname: string;
}

export interface QuestionOptions {
  readonly endpoint: ManagerEndpoint;
  readonly ownNodeId: string;
  readonly own: () => Promise<NodeNetworkReport>;
}

/** In the order of the nodes. */
export async function askNodes(nodes: readonly AskedNode[], options: QuestionOptions): Promise<NodeAnswer[]> {
  const tunnels = new GrpcTunnels();
  const answers = new Map<string, NodeAnswer>();
  const waiting = [...nodes];
  const work = async (): Promise<void> => {
    for (let node = waiting.shift(); node !== undefined; node = waiting.shift())
      answers.set(node.nodeId, await askNode(node, tunnels, options));
  };
  try {
    await Promise.all(Array.from({ length: Math.min(ASKED_MAX, nodes.length) }, work));
  } finally {
    tunnels.close();
  }
  return nodes.flatMap(({ nodeId }) => answers.get(nodeId) ?? []);
}

async function askNode(
  { nodeId, hostname }: AskedNode,
  tunnels: GrpcTunnels,
  { endpoint, ownNodeId, own }: QuestionOptions,
): Promise<NodeAnswer> {
  try {
    if (nodeId === ownNodeId) return { nodeId, hostname, report: await own() };
    const signal = AbortSignal.timeout(ASK_MS);
    const place = { nodeId, hostname, taskId: "", taskName: "", containerId: "" };
    const tunnel = await tunnels.open(endpoint, place, signal);
    try {
      const report = reportIn(await get(tunnel, REPORT_PATH, signal));
      return { nodeId, hostname, report };
    } finally {
      tunnel.destroy();
    }
  } catch (error) {
    return { nodeId, hostname, error: messageOf(error) };
  }
}

function get(tunnel: Duplex, path: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => tunnel as Socket, // http asks for no more than a stream
      ...{ method: "GET", path, signal, setHost: false },
      headers: { host: "skein", connection: "close" },
    });
    tunnel.once("error", reject);
    request.on("error", reject);
    request.on("response", (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) request.destroy(new UnavailableError("the node's answer is too long"));
        else chunks.push(chunk);
      });
      answer.on("error", reject);
      answer.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        if (answer.statusCode === 200) resolve(text);
        else reject(new UnavailableError(`the node answered ${answer.statusCode}: ${text.slice(0, 500)}`));
      });
    });
    request.end();
  });
}
