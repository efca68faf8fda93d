/**
 * From the reports of all nodes to one answer: yes, with the revision, or what differs where. Pure.
 * Invariants: a node that did not answer is never good; of nodes that were told different things the majority
 * counts as right.
 */
import type { JsonObject } from "../convert/shape.js";
import type { NodeNetworkReport } from "./node-network-report.js";
import { reportOut } from "./node-network-report.js";

export interface NodeAnswer {
  readonly nodeId: string;
  readonly hostname: string;
  /** Why there is none. */
  readonly error?: string;
  readonly report?: NodeNetworkReport;
}

export interface Verdict {
  readonly isGood: boolean;
  /** The newest that a node applied. */
  readonly revision: number;
  readonly nodes: readonly { readonly answer: NodeAnswer; readonly problems: readonly string[] }[];
}

export function judge(answers: readonly NodeAnswer[]): Verdict {
  const reports = answers.flatMap(({ report }) => (report === undefined ? [] : [report]));
  const revision = Math.max(0, ...reports.map(({ appliedRevision }) => appliedRevision));
  const right = rightDigests(reports);
  const nodes = answers.map((answer) => ({ answer, problems: problemsOf(answer, right) }));
  return { isGood: nodes.every(({ problems }) => problems.length === 0), revision, nodes };
}

/**
 * Whether asking again a moment later may be answered better: a node was behind, told something else or just
 * not connected; or a pair of nodes is in trouble, which sees within about a second that it is well again.
 */
export function mayPass({ nodes }: Verdict): boolean {
  return nodes.some(
    ({ answer: { report }, problems }) =>
      report === undefined ||
      report.pairs.some(({ isGood }) => !isGood) ||
      problems.some((problem) => problem.startsWith(LAG)),
  );
}

const LAG = "behind: ";

function problemsOf(
  { report, error }: NodeAnswer,
  right: ReadonlyMap<string, { digest: string; revision: number }>,
): string[] {
  if (report === undefined) return [`no answer: ${error ?? "unknown"}`];
  const behind =
    report.appliedRevision < report.toldRevision
      ? [`${LAG}revision ${report.appliedRevision} is applied, of ${report.toldRevision}`]
      : [];
  const other = Object.entries(report.digests).flatMap(([scope, digest]) => {
    const wanted = right.get(scope);
    return wanted === undefined || wanted.digest === digest
      ? []
      : [`${LAG}${scope}: other nodes were told something else, at revision ${wanted.revision}`];
  });
  const pairs = report.pairs
    .filter(({ isGood }) => !isGood)
    .map((pair) => `${pair.kind} with ${pair.with}: ${pair.state}`);
  return [...behind, ...other, ...report.wrong, ...pairs];
}

/** Of each scope what most nodes were told; of as many, those that heard the newest. */
function rightDigests(
  reports: readonly NodeNetworkReport[],
): Map<string, { digest: string; revision: number }> {
  const told = new Map<string, Map<string, { count: number; revision: number }>>();
  for (const { digests, toldRevision } of reports) {
    for (const [scope, digest] of Object.entries(digests)) {
      const ofScope = told.get(scope) ?? new Map<string, { count: number; revision: number }>();
      const { count, revision } = ofScope.get(digest) ?? { count: 0, revision: 0 };
      told.set(scope, ofScope.set(digest, { count: count + 1, revision: Math.max(revision, toldRevision) }));
    }
  }
  return new Map(
    [...told].flatMap(([scope, ofScope]) => {
      const [first] = [...ofScope].sort(([, a], [, b]) => b.count - a.count || b.revision - a.revision);
      return first === undefined ? [] : [[scope, { digest: first[0], revision: first[1].revision }] as const];
    }),
  );
}

export function verdictOut({ isGood, revision, nodes }: Verdict): JsonObject {
  return {
    Good: isGood,
    Revision: revision,
    Nodes: nodes.map(({ answer, problems }) => ({
      NodeID: answer.nodeId,
      Hostname: answer.hostname,
      Problems: problems,
      ...(answer.report === undefined ? {} : { Report: withoutDigests(answer.report) }),
    })),
  };
}

/** What they say is among the problems; a thousand nodes with a thousand networks would be a hundred megabytes. */
function withoutDigests(report: NodeNetworkReport): JsonObject {
  const { Digests: _digests, ...out } = reportOut(report);
  return out;
}
