/**
 * Nodes: listed, labelled, drained, promoted, demoted, removed.
 * Pure over the store. Invariants: the last manager stays one;
 * a demotion that would cost quorum is refused; a node leaves the list only when it is down, or by force, and
 * never while it is a Raft member.
 */
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type {
  IdRequest,
  ListNodesReply,
  ListNodesRequest,
  NodeReply,
  RemoveRequest,
  UpdateNodeRequest,
} from "../../proto/gen/skein/v1/control.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeRole, type NodeSpec, NodeState } from "../../proto/gen/skein/v1/types.js";
import type { RaftStatus } from "../../raft/host/raft-node.js";
import type { ReadTx } from "../store/types.js";
import { checkLabels, checkSpecVersion } from "./annotations.js";
import type { ControlComponents } from "./control-components.js";
import { findObject } from "./find-object.js";
import { hasLabels, matchesFilters } from "./list-filters.js";
import { keepsQuorumWithout, managerStatus, memberOf } from "./raft-view.js";

/** Every node in the list was accepted: there is no other membership. */
const MEMBERSHIP = "accepted";

export class NodeControl {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  get(request: IdRequest): NodeReply {
    const { store, raft } = this.#components;
    return {
      node: answered(
        store.view((tx) => findObject(tx, "node", request.id)),
        raft.status(),
      ),
    };
  }

  list(request: ListNodesRequest): ListNodesReply {
    const { store, raft } = this.#components;
    const status = raft.status();
    if (request.memberships.length > 0 && !request.memberships.includes(MEMBERSHIP)) return { nodes: [] };
    const nodes = store
      .view((tx) => tx.list("node"))
      .filter(({ id, spec, description }) => {
        const names = [description?.hostname ?? "", spec?.annotations?.name ?? ""].filter(
          (name) => name !== "",
        );
        const nodeLabels = { labels: request.nodeLabels, keys: request.nodeLabelKeys };
        return (
          matchesFilters(request.filters, { id, names, labels: description?.engineLabels ?? {} }) &&
          hasLabels(spec?.annotations?.labels ?? {}, nodeLabels) &&
          (request.roles.length === 0 || request.roles.includes(spec?.desiredRole ?? NodeRole.WORKER))
        );
      });
    return { nodes: nodes.map((node) => answered(node, status)) };
  }

  async update(request: UpdateNodeRequest): Promise<NodeReply> {
    const { store, raft, clock } = this.#components;
    const { spec } = request;
    if (spec === undefined) throw new InvalidArgumentError("a node update needs a specification");
    checkLabels(spec.annotations);
    if (!(spec.drainDeadlineMs >= 0)) {
      throw new InvalidArgumentError(`drain_deadline_ms cannot be negative, got ${spec.drainDeadlineMs}`);
    }
    const id = await store.update((tx) => {
      const node = findObject(tx, "node", request.id);
      checkSpecVersion(node, request.version);
      const wasManager = node.spec?.desiredRole === NodeRole.MANAGER;
      if (wasManager && spec.desiredRole !== NodeRole.MANAGER) refuseDemotion(tx, node, raft.status());
      tx.update("node", {
        ...node,
        spec: { ...spec, annotations: spec.annotations ?? node.spec?.annotations },
        drainStartedAtMs: drainStart(node, spec, clock.nowMs()),
      });
      return node.id;
    });
    const node = store.view((tx) => tx.get("node", id));
    if (node === undefined) throw new NotFoundError(`node ${id} not found`); // removed since by somebody else
    return { node: answered(node, raft.status()) };
  }

  async remove(request: RemoveRequest): Promise<void> {
    const { store, raft } = this.#components;
    await store.update((tx) => {
      const node = findObject(tx, "node", request.id);
      if (memberOf(raft.status(), node.id) !== undefined) {
        throw new FailedPreconditionError(
          `node ${node.id} is a cluster manager and is a member of the raft cluster. ` +
            "It must be demoted to worker before removal",
        );
      }
      if (!request.force && node.status?.state !== NodeState.DOWN) {
        throw new FailedPreconditionError(`node ${node.id} is not down and can't be removed`);
      }
      tx.remove("node", node.id);
    });
  }
}

/**
 * The node with its manager status of this moment, and what is wrong with it, where its own message leaves
 * room for that; the certificate is nobody's business.
 */
function answered(node: Node, status: RaftStatus): Node {
  const own = managerStatus(status, node);
  const trouble = own === undefined ? "" : (node.description?.managerTrouble ?? "");
  const network = node.description?.networkTrouble ?? "";
  const words = [
    ...(trouble === "" ? [] : [`manager: ${trouble}`]),
    ...(network === "" ? [] : [`network: ${network}`]),
    ...skewWords(node),
  ].join("; ");
  const told =
    words === "" || node.status === undefined || node.status.message !== ""
      ? node.status
      : { ...node.status, message: words };
  return { ...node, status: told, managerStatus: own, certificatePem: "" };
}

function skewWords({ clockSkewMs }: Node): string[] {
  if (clockSkewMs === 0) return [];
  const direction = clockSkewMs > 0 ? "ahead of" : "behind";
  return [`its clock is ${Math.abs(clockSkewMs) / 1_000} s ${direction} its manager's`];
}

/** A drain begins once: its deadline does not move when something else about the node changes. */
function drainStart(node: Node, spec: NodeSpec, nowMs: number): number {
  if (spec.availability !== NodeAvailability.DRAIN) return 0;
  return (node.spec?.availability === spec.availability && node.drainStartedAtMs) || nowMs;
}

function refuseDemotion(tx: ReadTx, node: Node, status: RaftStatus): void {
  const others = tx
    .list("node")
    .filter(({ id, spec }) => id !== node.id && spec?.desiredRole === NodeRole.MANAGER);
  if (others.length === 0)
    throw new FailedPreconditionError("attempting to demote the last manager of the swarm");
  const member = memberOf(status, node.id);
  if (member !== undefined && !member.learner && !keepsQuorumWithout(status, member.raftId)) {
    throw new FailedPreconditionError(
      "can't remove member from the raft: this would result in a loss of quorum",
    );
  }
}
