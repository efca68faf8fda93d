/**
 * An attachment as a task without a service: a container of a node that is no task, on one overlay.
 * Pure. Invariant: it has one network, one node from the start, and nothing to run: once it has its
 * addresses it counts as running, so that its endpoint is told like any other.
 * Source: what SwarmKit's attachments were seen to be; docs/design/network-attachments.md.
 */
import type { AttachRequest } from "../../proto/gen/skein/v1/attachments.js";
import type { Network } from "../../proto/gen/skein/v1/objects.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import type { ReadTx } from "../store/types.js";

/** Of container ids, shown and resolved by. */
const SHORT_ID_LENGTH = 12;

export function isAttachment(task: Pick<Task, "attached">): boolean {
  return task.attached !== undefined;
}

export function newAttachment(
  request: AttachRequest,
  facts: { readonly id: string; readonly nodeId: string; readonly network: Network; readonly nowMs: number },
): Task {
  return Task.fromPartial({
    id: facts.id,
    nodeId: facts.nodeId,
    attached: request.container,
    spec: {
      networks: [
        { target: facts.network.id, aliases: namesBeside(request), addresses: [...request.addresses] },
      ],
    },
    status: { state: TaskState.NEW, timestampMs: facts.nowMs, message: "created" },
    desiredState: TaskState.RUNNING,
    createdBecause: "attachment",
  });
}

/**
 * The attachment with the names that the container has now, with its addresses kept.
 * @returns undefined when nothing differs.
 */
export function withNames(task: Task, request: AttachRequest): Task | undefined {
  const aliases = namesBeside(request);
  const same =
    task.attached?.name === request.container?.name &&
    task.attached?.hostname === request.container?.hostname &&
    (task.spec?.networks[0]?.aliases ?? []).join("\n") === aliases.join("\n");
  if (same) return undefined;
  return {
    ...task,
    attached: request.container,
    spec: task.spec && {
      ...task.spec,
      networks: task.spec.networks.map((network) => ({ ...network, aliases })),
    },
    networks: task.networks.map((attachment) => ({ ...attachment, aliases })),
  };
}

/** The one of a container on a network, if there is one. */
export function findAttachment(
  tx: ReadTx,
  at: { readonly nodeId: string; readonly containerId: string; readonly networkId: string },
): Task | undefined {
  return tx
    .list("task", { by: "nodeId", nodeId: at.nodeId })
    .find((task) => task.attached?.id === at.containerId && task.spec?.networks[0]?.target === at.networkId);
}

/** What the container is found by beside its name and hostname. */
function namesBeside({ container, aliases }: AttachRequest): string[] {
  const own = (container?.id ?? "").slice(0, SHORT_ID_LENGTH);
  return [...new Set([...aliases, own])].filter((name) => name !== "");
}
