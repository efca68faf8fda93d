/**
 * What a service goes through when a plan is carried out: how many of its tasks are new, replaced, ended or
 * without a node, and how many of today's are away at a time.
 *
 *   update, stop-first    as many as its parallelism        update, start-first    none
 *   drain, stop-first     all that move, for a moment       drain, start-first     none
 *   loss of a node        all that were there               scaled down, removed   none that is wanted
 *
 * Pure.
 */
import type { ServiceDisruption } from "../../proto/gen/skein/v1/plan.js";
import type { Outcome } from "../scheduler/what-if.js";
import { isUnplaced, nameOf } from "./plan.js";

/** @param own of one service, at least one; `nodes`: how many there are. */
export function disruptionOf(own: readonly Outcome[], nodes: number): ServiceDisruption {
  const [first] = own;
  const service = first?.service;
  const replacements = own.filter(({ before, after }) => before !== undefined && after !== undefined);
  const count = {
    begin: own.filter(({ before, after }) => before === undefined && after !== undefined).length,
    replaced: replacements.length,
    end: own.filter(({ after }) => after === undefined).length,
    unplaced: own.filter(isUnplaced).length,
  };
  const unavailableMax = unavailable(replacements);
  return {
    serviceId: service?.id ?? "",
    name: nameOf(service),
    replicas: replicasOf(first, nodes),
    ...count,
    unavailableMax,
    sentence: sentenceOf(own, { ...count, unavailableMax }),
  };
}

function unavailable(replacements: readonly Outcome[]): number {
  const stopped = replacements.filter(({ startFirst }) => !startFirst);
  const updated = stopped.filter(({ kind }) => kind === "update").length;
  const parallelism = stopped[0]?.service.spec?.update?.parallelism ?? 1;
  return Math.min(parallelism === 0 ? updated : parallelism, updated) + stopped.length - updated;
}

function replicasOf(outcome: Outcome | undefined, nodes: number): number {
  const mode = outcome?.service.spec?.mode;
  if (outcome === undefined || outcome.kind === "remove") return 0;
  switch (mode?.$case) {
    case "replicated":
      return mode.value.replicas;
    case "replicatedJob":
      return mode.value.totalCompletions || mode.value.maxConcurrent || 1;
    default:
      return nodes;
  }
}

type Counts = Pick<ServiceDisruption, "begin" | "replaced" | "end" | "unplaced" | "unavailableMax">;

function sentenceOf(own: readonly Outcome[], counts: Counts): string {
  const { begin, replaced, end, unplaced, unavailableMax } = counts;
  const moves = own.some(
    ({ kind, before, after }) => kind === "node" && before !== undefined && after !== undefined,
  );
  const parts = [
    ...(begin > 0 ? [`${tasks(begin)} more`] : []),
    ...(replaced > 0
      ? [`${tasks(replaced)} ${moves ? (replaced === 1 ? "moves" : "move") : `${isAre(replaced)} replaced`}`]
      : []),
    ...(end > 0 ? [`${tasks(end)} ${end === 1 ? "ends" : "end"}`] : []),
    ...(unplaced > 0 ? [unplacedWords(unplaced, begin + replaced)] : []),
  ];
  const away =
    replaced === 0
      ? []
      : [
          unavailableMax === 0
            ? "none unavailable meanwhile"
            : `at most ${unavailableMax} unavailable at a time`,
        ];
  return [parts.join(", "), ...away].join("; ");
}

function unplacedWords(unplaced: number, of: number): string {
  return of === 1
    ? "which finds no node"
    : `${unplaced} of them ${unplaced === 1 ? "finds" : "find"} no node`;
}

const tasks = (count: number): string => `${count} task${count === 1 ? "" : "s"}`;
const isAre = (count: number): string => (count === 1 ? "is" : "are");
