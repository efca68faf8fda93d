/**
 * Images that only this node has, loaded into the others: saved here, sent through the daemon. Edge: to
 * the API. Invariant: whatever happens, the nodes that lack an image are named.
 */
import { messageOf } from "../../../base/errors/errors.js";
import { type Context, fetchRow, fetchRows, inner, textOf } from "../../context.js";
import type { Row } from "../../output/table.js";

export interface ShareOptions {
  readonly share: boolean;
  readonly quiet: boolean;
}

const nodeName = (node: Row): string => textOf(inner(node, "Description")["Hostname"]) || textOf(node["ID"]);

/** @throws {Error} naming the nodes that could not take them, when sharing was asked for. */
export async function shareImages(
  context: Context,
  images: readonly string[],
  { share, quiet }: ShareOptions,
): Promise<void> {
  const [info, nodes] = await Promise.all([fetchRow(context, "/info"), fetchRows(context, "/nodes")]);
  const self = inner(info, "Swarm")["NodeID"];
  const others = nodes.filter((node) => node["ID"] !== self && inner(node, "Status")["State"] === "ready");
  if (others.length === 0) return;
  const names = others.map(nodeName).join(", ");
  if (!share) {
    context.note(
      `Warning: ${images.join(", ")} ${images.length === 1 ? "is" : "are"} on this node alone, not on ${names}: ` +
        `--push them to a registry, or --share them with the nodes`,
    );
    return;
  }
  const failures: string[] = [];
  for (const node of others) {
    if (!quiet) context.note(`Sending ${images.join(", ")} to ${nodeName(node)}`);
    try {
      await sendTo(context, textOf(node["ID"]), images);
    } catch (error) {
      failures.push(`${nodeName(node)}: ${messageOf(error)}`);
    }
  }
  if (failures.length > 0)
    throw new Error(`images could not be shared with every node:\n${failures.join("\n")}`);
}

/** All in one archive: layers they have in common are sent once. */
async function sendTo(context: Context, nodeId: string, images: readonly string[]): Promise<void> {
  const archive = await context.client().stream("GET", "/images/get", { query: { names: images } });
  const path = `/skein/v1/nodes/${encodeURIComponent(nodeId)}/images/load`;
  const answer = await context.client().text("POST", path, { query: { quiet: "1" }, stream: archive });
  // a failure after the first of the answer was sent is a line of it
  for (const line of answer.split("\n").filter((each) => each.trim() !== "")) {
    const { error } = JSON.parse(line) as { readonly error?: string };
    if (error !== undefined) throw new Error(error);
  }
}
