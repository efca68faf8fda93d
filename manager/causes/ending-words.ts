/**
 * Why a task ended, or was told to stop.
 * Pure. Invariant: the words of registries, kernels and runtimes are passed on whole.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, RestartCondition, TaskPhase, TaskState } from "../../proto/gen/skein/v1/types.js";
import { clockText } from "../orchestrator/cause.js";
import { mayRestart } from "../orchestrator/restart-policy.js";
import { phaseAtMs } from "../orchestrator/task-account.js";
import { endedByItself, isWanted, observedState } from "../orchestrator/task-state.js";
import { formatBytes } from "../scheduler/room-filters.js";
import { type CauseView, hostOf, type Sentence, sentence, serviceNameOf } from "./cause-view.js";
import { type CauseWord, causeWord } from "./cause-words.js";
import { signalOf } from "./signal-names.js";
import { spanWords } from "./span-words.js";

/** About a task that has ended. */
export function ended(task: Task, view: CauseView): Sentence {
  const state = observedState(task);
  if (state === TaskState.ORPHANED || task.status?.cause === "node-lost") {
    const words = task.status?.err || task.status?.message || "its node is lost";
    return sentence("node-lost", `was given up: ${words}`);
  }
  if (!endedByItself(task)) return stopped(task);
  const own = byItself(task, view);
  if (isWanted(task) && view.nowMs < task.startNotBeforeMs) return triedAgain(task, own);
  const last = noFurther(task, view);
  return last === undefined
    ? own
    : { ...own, text: `${own.text}; ${last.text}`, advice: own.advice || last.advice };
}

/** It was rejected while its own delay ran: its successor comes when that is over. */
function triedAgain(task: Task, own: Sentence): Sentence {
  const often = task.quickFailures > 0 ? `, after ${task.quickFailures + 1} failures in a row` : "";
  return { ...own, text: `${own.text}; tried again at ${clockText(task.startNotBeforeMs)}${often}` };
}

/** About a task that was told to stop and has not stopped yet. */
export function stopping(task: Task, view: CauseView): Sentence {
  const node = view.node(task.nodeId);
  const host = hostOf(node, task.nodeId);
  const why = task.stoppedBecause === "" ? "" : ` (${task.stoppedBecause})`;
  if (node === undefined)
    return sentence("node", `was told to stop${why}, but ${host} was removed from the swarm`);
  if (node.status?.state === NodeState.DOWN)
    return sentence(
      "node-down",
      `was told to stop${why}, but ${host} is down: whether it runs there is not known`,
    );
  const sinceMs = phaseAtMs(task, TaskPhase.STOPPING);
  const since = sinceMs === undefined ? "" : ` for ${spanWords(view.nowMs - sinceMs)}`;
  return sentence("stopping", `stops on ${host}${since}${why}`);
}

function stopped(task: Task): Sentence {
  const [kind = ""] = task.stoppedBecause.split(":", 1);
  const detail = task.stoppedBecause.slice(kind.length + 2);
  const cause = causeWord(kind, "stopping");
  const about = detail === "" ? "" : `: ${detail}`;
  switch (cause) {
    case "node":
      return sentence(cause, `was stopped: ${detail || "its node may not have it"}`);
    case "update":
      return sentence(cause, `was stopped by an update${about}`);
    case "rollback":
      return sentence(cause, `was stopped by a rollback${about}`);
    case "scale":
      return sentence(cause, `was stopped: the service was scaled from ${detail || "more replicas"}`);
    case "removed":
      return sentence(cause, `was stopped: the service was removed`);
    case "restart":
      return sentence(cause, `was stopped: ${detail || "its slot has another task"}`);
    case "repair":
      return sentence(cause, `was stopped: ${detail || "its slot has another task"}`);
    case "job":
      return sentence(cause, `was stopped: ${detail || "another iteration of the job began"}`);
    default:
      return sentence(cause, "was stopped");
  }
}

/** " after 2 s": how long its process ran. */
function ranFor(task: Task): string {
  const startedMs = phaseAtMs(task, TaskPhase.STARTED);
  const endedMs = phaseAtMs(task, TaskPhase.ENDED);
  return startedMs === undefined || endedMs === undefined ? "" : ` after ${spanWords(endedMs - startedMs)}`;
}

function byItself(task: Task, view: CauseView): Sentence {
  const { status } = task;
  const host = hostOf(view.node(task.nodeId), task.nodeId);
  const words = status?.err || status?.message || "for an unknown reason";
  const image = task.spec?.container?.image ?? "";
  const name = serviceNameOf(task);
  const logs = `see what it says: docker service logs ${name}`;
  const after = ranFor(task);
  if (observedState(task) === TaskState.COMPLETE)
    return sentence("finished", `finished on ${host} with exit code 0${after}`);
  const cause = causeWord(status?.cause ?? "");
  const said = (text: string, advice = ""): Sentence => sentence(cause, `${text}: ${words}`, advice);
  const exitCode = status?.container?.exitCode;
  switch (cause) {
    case "exit-nonzero": {
      const signal = exitCode === undefined ? undefined : signalOf(exitCode);
      const code = exitCode ?? Number(/\((\d+)\)/.exec(words)?.[1] ?? 1);
      const name = signal === undefined ? "" : ` (${signal})`;
      return sentence(cause, `exited with code ${code}${name} on ${host}${after}${detailAfter(words)}`, logs);
    }
    case "exit-unknown":
      return sentence(cause, `ended on ${host}, and how could not be learned${detailAfter(words)}`);
    case "oom":
      return outOfMemory(task, `${host}${after}`);
    case "unhealthy":
      return sentence(
        cause,
        `was stopped on ${host}${after}: ${words.replace(/^unhealthy container: /, "")}`,
        logs,
      );
    case "container-removed":
      return sentence(cause, `ended on ${host}${after}: its container was removed by hand`);
    case "image-not-found":
      return said(
        `image ${image} was not found from ${host}`,
        `correct the name: docker service update --image IMAGE ${name}`,
      );
    case "registry-unauthenticated":
      return said(
        `the registry refused image ${image} to ${host}`,
        `log in, then: docker service update --with-registry-auth ${name}`,
      );
    case "registry-unavailable":
      return said(`the registry of image ${image} could not be reached from ${host}`);
    case "image-damaged":
      return said(`image ${image} arrived damaged on ${host}`);
    case "disk-full":
      return said(`the disk of ${host} is full`, `free space on ${host}: docker system prune`);
    case "port-in-use":
      return said(`a port is taken on ${host}`, "publish another port, or stop what holds it");
    case "network-missing":
      return said(`${host} could not attach it to its networks`);
    case "mount-missing":
      return said(
        `${host} lacks the source of a mount`,
        "make the directory on every node that may run it, or use a volume",
      );
    case "secret-missing":
    case "config-missing":
      return said(`${host} could not give it its files`);
    case "start-timeout":
      return said(`did not start in time on ${host}`);
    case "hook-failed":
      return said(`was stopped on ${host}: a command to be run after its start failed`);
    case "invalid-specification":
      return said(`${host} cannot carry out its specification`);
    default:
      return said(
        `${observedState(task) === TaskState.REJECTED ? "could not be prepared" : "failed"} on ${host}`,
      );
  }
}

/** What stands behind the words that we say better ourselves: ": exec failed". */
function detailAfter(words: string): string {
  const detail = /^task: [^:]*\(-?\d+\): (.*)$/s.exec(words)?.[1] ?? "";
  return detail === "" ? "" : `: ${detail}`;
}

function outOfMemory(task: Task, where: string): Sentence {
  const limit = task.spec?.resources?.limits?.memoryBytes ?? 0;
  const name = serviceNameOf(task);
  return limit === 0
    ? sentence(
        "oom",
        `was killed by the kernel on ${where}: the node was out of memory, and the service has no limit`,
        `set --limit-memory and --reserve-memory: docker service update ${name}`,
      )
    : sentence(
        "oom",
        `was killed by the kernel on ${where}: out of memory at its limit of ${formatBytes(limit)}`,
        `raise it: docker service update --limit-memory … ${name}`,
      );
}

/** Why a slot whose newest task ended stays empty; undefined when it does not. */
function noFurther(
  task: Task,
  view: CauseView,
): { readonly text: string; readonly advice: string } | undefined {
  const isNewest = view.slotTasks[0]?.id === task.id;
  if (!isNewest || isWanted(task) || mayRestart(task, view.slotTasks)) return undefined;
  const policy = task.spec?.restart;
  const advice = `to try again: docker service update --force ${serviceNameOf(task)}`;
  if (observedState(task) === TaskState.COMPLETE) return undefined;
  if (policy?.condition === RestartCondition.NONE) return { text: "its restart condition is none", advice };
  const attempts = policy?.maxAttempts ?? 0;
  return {
    text: `${attempts === 1 ? "its one restart is" : `its ${attempts} restarts are`} used up`,
    advice,
  };
}

/** A slot that gets no further task has a cause of its own. */
export function endCause(task: Task, view: CauseView, own: CauseWord): CauseWord {
  return endedByItself(task) && noFurther(task, view) !== undefined ? "attempts-used-up" : own;
}
