/**
 * The known word nearest to a mistyped one. Pure. Damerau's distance (optimal string alignment): edits and
 * swaps of neighbours.
 */

/** Nobody mistypes a word that long, and its distances would cost its length. */
const LENGTH_MAX = 64;

export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > LENGTH_MAX) return undefined;
  const near = known
    .map((each) => ({ each, distance: distance(word.toLowerCase(), each.toLowerCase()) }))
    .filter(
      ({ each, distance: apart }) => apart <= Math.max(1, Math.floor(Math.max(word.length, each.length) / 3)),
    )
    .sort((a, b) => a.distance - b.distance || a.each.localeCompare(b.each));
  return near[0]?.each;
}

function distance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  const cell = (i: number, j: number): number => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(cell(i - 1, j) + 1, cell(i, j - 1) + 1, cell(i - 1, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, cell(i - 2, j - 2) + 1);
      const row = rows[i];
      if (row !== undefined) row[j] = best;
    }
  }
  return cell(a.length, b.length);
}
