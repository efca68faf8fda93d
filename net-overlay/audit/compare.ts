/**
 * What is wanted against what was found, as named differences. Pure.
 * Invariant: no difference between equal facts in whatever order; an entry that nobody owns is never foreign.
 */
import { atOnce } from "../slices.js";
import type { Fact, WantedFacts } from "./facts.js";
import { contentOf, nameOf } from "./facts.js";

/** Between two pauses. */
const COMPARED_AT_ONCE = 500;

export interface FoundFact {
  readonly fact: Fact;
  /** Bears our protocol number, where the kind has one. */
  readonly isOurs: boolean;
}

export type FactDifference =
  | { readonly problem: "missing"; readonly wanted: Fact }
  | { readonly problem: "different"; readonly wanted: Fact; readonly found: Fact }
  | { readonly problem: "foreign"; readonly found: Fact };

interface Wanted {
  readonly facts: Iterable<Fact>;
  readonly owns: WantedFacts["owns"];
}

export function compareFacts(wanted: Wanted, found: Iterable<FoundFact>): FactDifference[] {
  return atOnce(compareSteps(wanted, found));
}

/** The same with pauses: a large network has tens of thousands. */
export function* compareSteps(
  wanted: Wanted,
  found: Iterable<FoundFact>,
): Generator<undefined, FactDifference[]> {
  let count = 0;
  const byName = new Map<string, FoundFact[]>();
  for (const entry of found) {
    if (++count % COMPARED_AT_ONCE === 0) yield;
    const key = `${entry.fact.kind} ${nameOf(entry.fact)}`;
    const same = byName.get(key);
    if (same === undefined) byName.set(key, [entry]);
    else same.push(entry);
  }
  const differences: FactDifference[] = [];
  const foreign: FoundFact[] = [];
  for (const fact of wanted.facts) {
    if (++count % COMPARED_AT_ONCE === 0) yield;
    const key = `${fact.kind} ${nameOf(fact)}`;
    const entries = byName.get(key) ?? [];
    byName.delete(key);
    const value = contentOf(fact);
    const right = entries.find((entry) => contentOf(entry.fact, fact) === value);
    const [first] = entries;
    if (first === undefined) differences.push({ problem: "missing", wanted: fact });
    else if (right === undefined) differences.push({ problem: "different", wanted: fact, found: first.fact });
    foreign.push(...entries.filter((entry) => entry !== (right ?? first)));
  }
  for (const entries of byName.values()) foreign.push(...entries);
  for (const { fact, isOurs } of foreign) {
    if (isOurs && wanted.owns(fact)) differences.push({ problem: "foreign", found: fact });
  }
  return differences;
}

/** A difference as it is told and counted. */
export interface Difference {
  /** "the host", "network ID", "task ID" */
  readonly place: string;
  /** "route", "element of set nodes"… */
  readonly kind: string;
  readonly name: string;
  readonly problem: "missing" | "different" | "foreign";
  /** "" when there is nothing to say. */
  readonly wanted: string;
  readonly found: string;
}

export function tellDifference(place: string, difference: FactDifference): Difference {
  const fact = difference.problem === "foreign" ? difference.found : difference.wanted;
  return {
    place,
    kind: fact.kind,
    name: nameOf(fact),
    problem: difference.problem,
    wanted: difference.problem === "foreign" ? "" : contentOf(difference.wanted),
    found:
      difference.problem === "missing"
        ? ""
        : contentOf(
            difference.found,
            difference.problem === "different" ? difference.wanted : difference.found,
          ),
  };
}

/** "the host: route 10.0.1.5/32 is missing (via 169.254.0.2 by vx0)" */
export function differenceText({ place, kind, name, problem, wanted, found }: Difference): string {
  const more =
    problem === "different" ? ` (${found}, not ${wanted})` : wanted || found ? ` (${wanted || found})` : "";
  return `${place}: ${kind} ${name} is ${problem}${more}`;
}
