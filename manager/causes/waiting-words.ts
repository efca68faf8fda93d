/**
 * What a task that is to run, and does not yet or may not long, waits for.
 * Pure.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskPhase, TaskState } from "../../proto/gen/skein/v1/types.js";
import { phaseAtMs } from "../orchestrator/task-account.js";
import { isRunning, isTerminal, isWanted, observedState } from "../orchestrator/task-state.js";
import { type CauseView, hostOf, type Sentence, sentence, serviceNameOf } from "./cause-view.js";
import { causeWord } from "./cause-words.js";
import { spanWords } from "./span-words.js";
import { unplaced } from "./unplaced-words.js";

/** About a task that is wanted and has not ended. */
export function waiting(task: Task, view: CauseView): Sentence {
  return task.nodeId === "" || isUnplaced(task) ? beforeNode(task, view) : onNode(task, view);
}

function isUnplaced(task: Task): boolean {
  const state = observedState(task);
  return state === TaskState.NEW || state === TaskState.PENDING;
}

function beforeNode(task: Task, view: CauseView): Sentence {
  const { status } = task;
  const err = status?.err ?? "";
  if (err !== "" && status?.cause === "no-suitable-node") return unplaced(task, view, err);
  if (err !== "") return unallocated(task, err);
  if (observedState(task) === TaskState.NEW)
    return sentence("allocation", "waits for the allocator to give it addresses and ports");
  return sentence("scheduling", "waits for the scheduler to give it a node");
}

const ALLOCATION_ADVICE: Readonly<Record<string, string>> = {
  "no-address":
    "give the network another subnet: skein network update NETWORK --subnet-add CIDR; or remove services from it",
  "no-port": "stop publishing ports that nobody needs",
  "port-in-use": "publish another port, or stop the service that has it",
  "network-not-found": "make the network again, or take it from the service: --network-rm",
  "network-not-ready": "free a subnet, or make the network with --subnet",
};

function unallocated(task: Task, err: string): Sentence {
  const cause = causeWord(task.status?.cause ?? "", "allocation");
  const what = cause === "port-in-use" || cause === "no-port" ? "its port" : "its network";
  return sentence(cause, `waits for ${what}: ${err}`, ALLOCATION_ADVICE[cause] ?? "");
}

function onNode(task: Task, view: CauseView): Sentence {
  const node = view.node(task.nodeId);
  const host = hostOf(node, task.nodeId);
  const state = node?.status?.state;
  if (node === undefined) return sentence("node", `is lost: ${host} was removed from the swarm`);
  if (state === NodeState.DOWN) {
    const rest = `it goes on when ${host} returns, or is replaced once another node can take it`;
    return sentence("node-down", `is on ${host}, which is down: ${rest}`, `start skeind on ${host}`);
  }
  const held = task.waits.findLast(({ untilMs }) => untilMs === 0);
  if (held !== undefined) return heldBack(task, view, held);
  if (state === NodeState.DISCONNECTED) {
    const words = `is on ${host}, whose daemon was stopped: it runs on, and ${host} has some seconds to return`;
    return sentence("node-disconnected", words);
  }
  return onTheWay(task, view, host);
}

function heldBack(task: Task, view: CauseView, wait: Task["waits"][number]): Sentence {
  const cause = causeWord(wait.cause);
  const host = hostOf(view.node(task.nodeId), task.nodeId);
  switch (cause) {
    case "restart-delay":
      return sentence(cause, `waits: ${wait.message}`, afterFailures(task));
    case "predecessor":
      return sentence(cause, `is ready on ${host}: ${wait.message} to stop`);
    case "drain": {
      const back = `to keep it there: docker node update --availability active ${host}`;
      const drained = view.node(task.nodeId)?.spec?.availability === NodeAvailability.DRAIN;
      return sentence(cause, `still runs on ${host}; ${wait.message}`, drained ? back : "");
    }
    default:
      return sentence(cause, `still runs on ${host}; ${wait.message}`);
  }
}

/** A crash loop: its logs tell more than we know. */
function afterFailures(task: Task): string {
  if (task.quickFailures < 2) return "";
  const name = serviceNameOf(task);
  return `see what it says: docker service logs ${name}; to try at once: docker service update --force ${name}`;
}

function onTheWay(task: Task, view: CauseView, host: string): Sentence {
  const since = (phase: TaskPhase): string => {
    const atMs = phaseAtMs(task, phase) ?? task.status?.timestampMs ?? view.nowMs;
    return spanWords(view.nowMs - atMs);
  };
  const image = task.spec?.container?.image ?? "";
  switch (observedState(task)) {
    case TaskState.ASSIGNED:
      return sentence(
        "assigned",
        `is told to ${host}, which has not answered for ${since(TaskPhase.SCHEDULED)}`,
      );
    case TaskState.ACCEPTED:
    case TaskState.PREPARING:
      return sentence(
        "preparing",
        `is prepared on ${host} for ${since(TaskPhase.ACCEPTED)}: image ${image}, network, mounts`,
      );
    case TaskState.READY:
      return sentence("starting", `is prepared on ${host}, and about to start`);
    case TaskState.STARTING: {
      const checked = (task.spec?.container?.healthcheck?.test.length ?? 0) > 0;
      return checked
        ? sentence(
            "health-check",
            `starts on ${host}: no health check has passed for ${since(TaskPhase.PREPARED)}`,
          )
        : sentence("starting", `starts on ${host} for ${since(TaskPhase.PREPARED)}`);
    }
    default:
      return running(task, view, `runs on ${host} for ${since(TaskPhase.HEALTHY)}`);
  }
}

/** Start-first: the old task serves until the new one can. */
function running(task: Task, view: CauseView, text: string): Sentence {
  const successor = view.slotTasks.find(
    (other) => other.replacesTaskId === task.id && isWanted(other) && !isTerminal(other) && !isRunning(other),
  );
  if (successor === undefined) return sentence("running", text);
  const where = successor.nodeId === "" ? "" : ` on ${hostOf(view.node(successor.nodeId), successor.nodeId)}`;
  return sentence("running", `${text}, until its successor${where} does`);
}
