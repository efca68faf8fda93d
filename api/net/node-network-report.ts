/**
 * What a node says of its network, and how that is read from another node's words. Pure.
 * Invariant: whatever a node answers, it is a report or a refusal in words, and never longer than the bounds.
 */
import { InternalError } from "../../base/errors/errors.js";
import type { JsonObject } from "../convert/shape.js";

/** Asked of a node, by whoever asks it here or through a tunnel. */
export const REPORT_PATH = "/skein/v1/net/report";

/** Words, and pairs, of one kind that are told by a node, and taken from it. */
const WORDS_MAX = 256;
/** Characters that are taken of one text. */
const TEXT_MAX = 1_024;

export interface NodeNetworkReport {
  readonly nodeId: string;
  readonly hostname: string;
  readonly appliedRevision: number;
  readonly toldRevision: number;
  /** What is wrong now: differences that were not repaired, ports and paths in trouble. */
  readonly wrong: readonly string[];
  /** Differences of late, which were repaired. */
  readonly repaired: readonly string[];
  /** By kind, since the daemon's start. */
  readonly differences: Readonly<Record<string, number>>;
  /** Marks of what the node was told, by scope. */
  readonly digests: Readonly<Record<string, string>>;
  /** The node and each other one: encryption, paths. */
  readonly pairs: readonly PairState[];
}

/** The state of something between this node and another. Encryption and paths each give theirs. */
export interface PairState {
  /** "encryption", "path" */
  readonly kind: string;
  /** The other's hostname, or id. */
  readonly with: string;
  readonly isGood: boolean;
  /** In words: "handshake 12 s ago, key generation 3". */
  readonly state: string;
}

/** @returns with more than WORDS_MAX pairs those first that are not good: none of them may be left out. */
export function reportOut(report: NodeNetworkReport): JsonObject {
  return {
    NodeID: report.nodeId,
    Hostname: report.hostname,
    AppliedRevision: report.appliedRevision,
    ToldRevision: report.toldRevision,
    Wrong: report.wrong.slice(0, WORDS_MAX),
    Repaired: report.repaired.slice(0, WORDS_MAX),
    Differences: report.differences,
    Digests: report.digests,
    Pairs: badFirst(report.pairs).map((pair) => ({
      Kind: pair.kind,
      With: pair.with,
      Good: pair.isGood,
      State: pair.state,
    })),
  };
}

function badFirst(pairs: readonly PairState[]): readonly PairState[] {
  if (pairs.length <= WORDS_MAX) return pairs;
  return [...pairs].sort((a, b) => Number(a.isGood) - Number(b.isGood)).slice(0, WORDS_MAX);
}

/** @throws {InternalError} it is no report. */
export function reportIn(text: string): NodeNetworkReport {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new InternalError("the node's answer is no JSON", { cause: error });
    throw error;
  }
  const fields = fieldsOf(said);
  if (fields === undefined || typeof fields["NodeID"] !== "string")
    throw new InternalError("the node's answer is no report of its network");
  return {
    nodeId: textIn(fields["NodeID"]),
    hostname: textIn(fields["Hostname"]),
    appliedRevision: numberIn(fields["AppliedRevision"]),
    toldRevision: numberIn(fields["ToldRevision"]),
    wrong: wordsIn(fields["Wrong"]),
    repaired: wordsIn(fields["Repaired"]),
    differences: recordIn(fields["Differences"], numberIn),
    digests: recordIn(fields["Digests"], textIn),
    pairs: listIn(fields["Pairs"]).map((pair) => ({
      kind: textIn(fieldsOf(pair)?.["Kind"]),
      with: textIn(fieldsOf(pair)?.["With"]),
      isGood: fieldsOf(pair)?.["Good"] === true,
      state: textIn(fieldsOf(pair)?.["State"]),
    })),
  };
}

function fieldsOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>) // any object has such fields
    : undefined;
}

function textIn(value: unknown): string {
  return typeof value === "string" ? value.slice(0, TEXT_MAX) : "";
}

function numberIn(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function listIn(value: unknown): unknown[] {
  return Array.isArray(value) ? value.slice(0, WORDS_MAX) : [];
}

function wordsIn(value: unknown): string[] {
  return listIn(value).map(textIn);
}

function recordIn<T>(value: unknown, read: (each: unknown) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(fieldsOf(value) ?? {}).map(([key, each]) => [key, read(each)]));
}
