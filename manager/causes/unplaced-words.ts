/**
 * Why no node takes a task, with the nodes' names where that helps, and what would make one take it.
 * Pure. Source of the counts: the scheduler's own words.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { type FilterRefusal, NodeAvailability, NodeState } from "../../proto/gen/skein/v1/types.js";
import { type CauseView, hostOf, type Sentence, sentence, serviceNameOf, someOf } from "./cause-view.js";

const NOT_AVAILABLE = /\d+ nodes? not available for new tasks/;

/** Why the node takes no new task; undefined when it does. */
function unavailability(node: Node): string | undefined {
  switch (node.status?.state) {
    case NodeState.DOWN:
      return "down";
    case NodeState.DISCONNECTED:
      return "restarting";
    case NodeState.READY:
      break;
    default:
      return "not known to be ready";
  }
  if (node.spec?.availability === NodeAvailability.DRAIN) return "drained";
  return node.spec?.availability === NodeAvailability.PAUSE ? "paused" : undefined;
}

function byUnavailability(nodes: readonly Node[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const node of nodes) {
    const why = unavailability(node);
    if (why === undefined) continue;
    const group = groups.get(why);
    if (group === undefined) groups.set(why, [hostOf(node, node.id)]);
    else group.push(hostOf(node, node.id));
  }
  return groups;
}

/** "host1 and host2 are drained, host3 is down"; undefined when all of them are available. */
export function namedUnavailable(nodes: readonly Node[]): string | undefined {
  const phrases = [...byUnavailability(nodes)].map(
    ([why, names]) => `${someOf(names)} ${names.length === 1 ? "is" : "are"} ${why}`,
  );
  return phrases.length === 0 ? undefined : phrases.join(", ");
}

/** @param reason the scheduler's words, "no suitable node (…)". */
export function unplaced(task: Task, view: CauseView, reason: string): Sentence {
  const wait = task.waits.findLast(({ cause }) => cause === "no-suitable-node");
  const own = task.nodeId === "" ? undefined : view.node(task.nodeId);
  const concerned = task.nodeId === "" ? view.nodes : own === undefined ? [] : [own];
  const named = namedUnavailable(concerned);
  const words = named === undefined ? reason : reason.replace(NOT_AVAILABLE, named);
  const place = own === undefined ? "a node" : hostOf(own, task.nodeId);
  const advice = adviceFor(task, wait?.refusals ?? [], concerned);
  return sentence("no-suitable-node", `waits for ${place}: ${words}`, advice);
}

/** About the filter that keeps most nodes away, and about nodes that are closed to tasks. */
function adviceFor(task: Task, refusals: readonly FilterRefusal[], nodes: readonly Node[]): string {
  if (nodes.length === 0) return "join a node: docker swarm join-token worker";
  const most = refusals
    .filter(({ filter }) => filter !== "readiness")
    .reduce<FilterRefusal | undefined>((a, b) => (a === undefined || b.nodes > a.nodes ? b : a), undefined);
  const advice = [...(most === undefined ? [] : [adviceAbout(most, task)]), ...reopening(nodes)];
  if (advice.length === 0) return "wait for a node to be ready, or join one";
  return advice.join("; or ");
}

function reopening(nodes: readonly Node[]): readonly string[] {
  const groups = byUnavailability(nodes);
  const closed = [...(groups.get("drained") ?? []), ...(groups.get("paused") ?? [])];
  const down = groups.get("down") ?? [];
  const one = closed.length === 1 ? closed[0] : "NODE";
  return [
    ...(closed.length === 0 ? [] : [`open a node to tasks: docker node update --availability active ${one}`]),
    ...(down.length === 0 ? [] : [`start skeind on ${someOf(down)}`]),
  ];
}

/** "lacks 512 MiB of memory" leaves "512 MiB of memory". */
const what = (detail: string): string =>
  detail.replace(/^(lacks?|is not|are not) (the (volume driver|plugin|device) )?/, "");

function adviceAbout({ filter, detail }: FilterRefusal, task: Task): string {
  const service = serviceNameOf(task);
  switch (filter) {
    case "platform":
      return `add a node that is ${what(detail)}, or use an image built for the nodes there are`;
    case "constraint":
      return constraintAdvice(task);
    case "volume":
      return `install the volume driver ${what(detail)} on a node`;
    case "plugin":
      return `install the plugin ${what(detail)} on a node`;
    case "device":
      return `add a node that offers ${what(detail)}`;
    case "encryption":
      return "add a node whose kernel has WireGuard, or load the module there: modprobe wireguard";
    case "generic":
      return `add a node with ${what(detail)} free, or lower --generic-resource`;
    case "cpu":
      return `add a node with ${what(detail)}, or lower --reserve-cpu: docker service update ${service}`;
    case "memory":
      return `add a node with ${what(detail)} free, or lower --reserve-memory: docker service update ${service}`;
    case "host-port":
      return "add a node, publish another port, or stop what has that one";
    case "max-replicas":
      return `add a node, or raise --replicas-max-per-node: docker service update ${service}`;
    default:
      return "";
  }
}

function constraintAdvice(task: Task): string {
  const constraints = task.spec?.placement?.constraints ?? [];
  const change = `docker service update --constraint-rm '${constraints[0] ?? ""}' ${serviceNameOf(task)}`;
  const label = constraints
    .map((text) => /^\s*node\.labels\.(\S+?)\s*==\s*(.*?)\s*$/i.exec(text))
    .find((match) => match !== null);
  const [, key = "", value = ""] = label ?? [];
  return label === undefined
    ? `add a node that meets it, or drop it: ${change}`
    : `label a node: docker node update --label-add ${key}=${value} NODE; or drop it: ${change}`;
}
