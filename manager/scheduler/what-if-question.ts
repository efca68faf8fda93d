/**
 * What a what-if question may suppose, and the state that follows from it.
 * Pure. Invariant: the picture is only read; what is supposed lies over it.
 */
import { NotFoundError } from "../../base/errors/errors.js";
import type { Network, Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  NodeAvailability,
  NodeState,
  PlacementStrategy,
  type ServiceSpec,
} from "../../proto/gen/skein/v1/types.js";
import type { ReadTx } from "../store/types.js";

/** The cluster at one moment. Objects of the store never change, so a picture costs three arrays. */
export interface ClusterPicture {
  readonly nodes: readonly Node[];
  readonly services: readonly Service[];
  readonly tasks: readonly Task[];
  readonly networks: readonly Network[];
  /** What services without a choice of their own get. */
  readonly placementStrategy: PlacementStrategy;
}

export function pictureOf(tx: ReadTx): ClusterPicture {
  return {
    nodes: tx.list("node"),
    services: tx.list("service"),
    tasks: tx.list("task"),
    networks: tx.list("network"),
    placementStrategy: tx.list("cluster")[0]?.spec?.placementStrategy ?? PlacementStrategy.DEFAULT,
  };
}

/** A change of the cluster that nobody has made. Later ones see what earlier ones suppose. */
export type Supposition =
  /** The service is created, when there is none of its id, or gets this specification. */
  | { readonly kind: "service"; readonly service: Service }
  | { readonly kind: "serviceRemoved"; readonly serviceId: string }
  /** Replicas of a replicated service, completions of a replicated job. */
  | { readonly kind: "scale"; readonly serviceId: string; readonly replicas: number }
  /** The node joins, when there is none of its id, or changes: labels, availability, what it describes. */
  | { readonly kind: "node"; readonly node: Node }
  | { readonly kind: "nodeDrained"; readonly nodeId: string }
  | { readonly kind: "nodePaused"; readonly nodeId: string }
  | { readonly kind: "nodeLost"; readonly nodeId: string }
  | { readonly kind: "nodeRemoved"; readonly nodeId: string };

/** The cluster as supposed. Tasks are still those there are. */
export interface SupposedState {
  /** In order of id. */
  readonly nodes: readonly Node[];
  readonly node: (id: string) => Node | undefined;
  readonly service: (id: string) => Service | undefined;
  /** By id. */
  readonly services: ReadonlyMap<string, Service>;
  /** Ids of services something was supposed of. */
  readonly servicesTouched: ReadonlySet<string>;
  /** Ids of nodes something was supposed of. */
  readonly nodesTouched: ReadonlySet<string>;
}

/** @throws {NotFoundError} when a supposition names a service or node that is not there. */
export function suppose(picture: ClusterPicture, suppositions: readonly Supposition[]): SupposedState {
  const nodes = new Map(picture.nodes.map((node) => [node.id, node]));
  const services = new Map(picture.services.map((service) => [service.id, service]));
  const servicesTouched = new Set<string>();
  const nodesTouched = new Set<string>();
  const serviceThere = (id: string): Service => {
    const found = services.get(id);
    servicesTouched.add(id);
    if (found === undefined) throw new NotFoundError(`service ${id} not found`);
    return found;
  };
  const changeNode = (id: string, change: (node: Node) => Node | undefined): void => {
    const found = nodes.get(id);
    if (found === undefined) throw new NotFoundError(`node ${id} not found`);
    nodesTouched.add(id);
    const changed = change(found);
    if (changed === undefined) nodes.delete(id);
    else nodes.set(id, changed);
  };
  for (const supposition of suppositions) {
    switch (supposition.kind) {
      case "service":
        services.set(supposition.service.id, supposition.service);
        servicesTouched.add(supposition.service.id);
        break;
      case "serviceRemoved":
        services.delete(serviceThere(supposition.serviceId).id);
        break;
      case "scale": {
        const found = serviceThere(supposition.serviceId);
        services.set(found.id, { ...found, spec: found.spec && scaled(found.spec, supposition.replicas) });
        break;
      }
      case "node":
        nodes.set(supposition.node.id, supposition.node);
        nodesTouched.add(supposition.node.id);
        break;
      case "nodeDrained":
        changeNode(supposition.nodeId, (node) => withAvailability(node, NodeAvailability.DRAIN));
        break;
      case "nodePaused":
        changeNode(supposition.nodeId, (node) => withAvailability(node, NodeAvailability.PAUSE));
        break;
      case "nodeLost":
        changeNode(supposition.nodeId, (node) => ({
          ...node,
          status: node.status && { ...node.status, state: NodeState.DOWN },
        }));
        break;
      case "nodeRemoved":
        changeNode(supposition.nodeId, () => undefined);
        break;
    }
  }
  return {
    nodes: [...nodes.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    node: (id) => nodes.get(id),
    service: (id) => services.get(id),
    services,
    servicesTouched,
    nodesTouched,
  };
}

function scaled(spec: ServiceSpec, replicas: number): ServiceSpec {
  const { mode } = spec;
  if (mode?.$case === "replicated") return { ...spec, mode: { $case: "replicated", value: { replicas } } };
  if (mode?.$case === "replicatedJob") {
    return {
      ...spec,
      mode: { $case: "replicatedJob", value: { ...mode.value, totalCompletions: replicas } },
    };
  }
  return spec; // global services have as many tasks as nodes
}

function withAvailability(node: Node, availability: NodeAvailability): Node {
  const spec = node.spec ?? {
    annotations: undefined,
    desiredRole: node.role,
    availability,
    drainDeadlineMs: 0,
  };
  return { ...node, spec: { ...spec, availability } };
}
