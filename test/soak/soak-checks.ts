/**
 * What must be true of a soak's history. Pure.
 * Each finding is a text for people; an empty list is a clean run.
 */
import {
  checkLinearizable,
  describeFailure,
  type LinearizabilityResult,
} from "../support/history/linearizability.js";
import { setModel } from "../support/history/unique-values-model.js";
import { configModel } from "./config-model.js";
import type { QuorumLoss } from "./nemesis.js";
import { type ConfigRecord, historyOf, type SetRecord, type SoakOperation } from "./soak-record.js";

export interface SoakHistory {
  readonly configs: readonly ConfigRecord[];
  readonly sets: readonly SetRecord[];
}

/**
 * A leader without a majority may serve reads until it has noticed: its check-quorum takes one election
 * timeout, at most 2 s, and as long again on a machine under load.
 */
const READ_GRACE_MS = 4_000;
const STEPS_MAX = 5_000_000;

export function checkHistory(
  history: SoakHistory,
  losses: readonly QuorumLoss[],
  expired: () => boolean,
): string[] {
  const bounds = { stepsMax: STEPS_MAX, expired };
  return [
    ...madeTwice(history.sets),
    ...lostAdds(history.sets),
    ...answeredWithoutQuorum([...history.configs, ...history.sets], losses),
    ...valuesOfVersions(history.configs),
    ...failureIn(checkLinearizable(configModel, historyOf(history.configs), bounds)),
    ...failureIn(checkLinearizable(setModel(), historyOf(withoutUnseen(history.sets)), bounds)),
  ];
}

function failureIn<I, O>(result: LinearizabilityResult<I, O>): string[] {
  return result.ok ? [] : [describeFailure(result, 30)];
}

/**
 * A name that only one operation ever asks for cannot be taken, unless that operation was carried out twice.
 */
function madeTwice(sets: readonly SetRecord[]): string[] {
  return sets
    .filter(
      ({ input, outcome, why }) => input.kind === "add" && outcome === "refused" && why?.startsWith("409"),
    )
    .map((record) => `a create of a unique name was refused as taken: ${JSON.stringify(record)}`);
}

/** Sets only grow: the newest read of each must show every acknowledged add that was done before it. */
function lostAdds(sets: readonly SetRecord[]): string[] {
  const newest = new Map<string, { callAt: number; values: ReadonlySet<string> }>();
  for (const { input, output, callAt } of sets) {
    if (output?.kind !== "read" || callAt < (newest.get(input.key)?.callAt ?? 0)) continue;
    newest.set(input.key, { callAt, values: new Set(output.values) });
  }
  return sets.flatMap((record) => {
    const { input, outcome, returnAt } = record;
    const last = newest.get(input.key);
    if (input.kind !== "add" || outcome !== "ok" || last === undefined || last.callAt < returnAt) return [];
    return last.values.has(input.value) ? [] : [`an acknowledged write is lost: ${JSON.stringify(record)}`];
  });
}

/** Whoever asks and is answered while no majority can agree was lied to. */
function answeredWithoutQuorum(
  records: readonly SoakOperation<{ readonly kind: string }, { readonly kind: string }>[],
  losses: readonly QuorumLoss[],
): string[] {
  return losses.flatMap(({ since, until, how }) =>
    records
      .filter(({ input, output, outcome, callAt, returnAt }) => {
        // A refusal that tells of the state is a read, too.
        const isRead = input.kind === "read" || output?.kind === "conflict" || output?.kind === "absent";
        const from = isRead ? since + READ_GRACE_MS : since;
        return outcome === "ok" && callAt > from && returnAt < until;
      })
      .map((record) => `answered without a quorum (${how}): ${JSON.stringify(record)}`),
  );
}

/** A version of an object has one value, and time does not run backwards in it. */
function valuesOfVersions(configs: readonly ConfigRecord[]): string[] {
  const values = new Map<string, string>();
  return configs.flatMap(({ input, output, version, host }) => {
    if (output?.kind !== "value" || version === undefined || output.value === undefined) return [];
    const at = `${input.name} at version ${version}`;
    const known = values.get(at) ?? output.value;
    values.set(at, known);
    return known === output.value ? [] : [`${at} is ${known}, but ${output.value} through ${host}`];
  });
}

/**
 * An add of unknown outcome that no read ever shows cannot help any order: it would only have to be undone.
 */
function withoutUnseen(sets: readonly SetRecord[]): SetRecord[] {
  const seen = new Set(sets.flatMap(({ output }) => (output?.kind === "read" ? output.values : [])));
  return sets.filter(
    ({ input, outcome }) => input.kind !== "add" || outcome !== "unknown" || seen.has(input.value),
  );
}
