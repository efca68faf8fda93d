/** What the daemons' logs say that nobody wants to read: broken invariants, crashes, unknown words. Pure. */

export interface LogFindings {
  /** Lines of bugs, whatever was done to the cluster. */
  readonly bugs: readonly string[];
  /** Warnings and errors by their message, most frequent first. */
  readonly counts: readonly (readonly [string, number])[];
}

const BUG =
  /invariant|unhandled|uncaught|FATAL ERROR|heap out of memory|TypeError|ReferenceError|RangeError|AssertionError/i;
const QUIET = new Set(["trace", "debug", "info"]);
const BUG_LINES_MAX = 20;

export function readDaemonLog(host: string, text: string): LogFindings {
  const bugs: string[] = [];
  const counts = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    if (BUG.test(line) && bugs.length < BUG_LINES_MAX) bugs.push(`${host}: ${line.slice(0, 1_000)}`);
    const entry = parsed(line);
    if (entry !== undefined && QUIET.has(entry.level ?? "")) continue;
    const what =
      entry === undefined ? `(no JSON) ${line.slice(0, 80)}` : `${entry.level ?? ""}: ${entry.msg ?? ""}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return { bugs, counts: [...counts].sort(([, a], [, b]) => b - a) };
}

export function mergeCounts(all: readonly LogFindings[]): readonly (readonly [string, number])[] {
  const sums = new Map<string, number>();
  for (const { counts } of all)
    for (const [what, count] of counts) sums.set(what, (sums.get(what) ?? 0) + count);
  return [...sums].sort(([, a], [, b]) => b - a);
}

function parsed(line: string): { level?: string; msg?: string } | undefined {
  try {
    return JSON.parse(line) as { level?: string; msg?: string }; // what base/log writes
  } catch {
    return undefined; // not written by the logger: worth a look in itself
  }
}
