/**
 * When the image of a task is asked for at its registry although it is here. Pure.
 * Source: Compose Specification, pull_policy.
 */
export type PullPolicy =
  | { readonly kind: "missing" }
  | { readonly kind: "always" }
  | { readonly kind: "never" }
  /** Again when the last pull is longer ago. */
  | { readonly kind: "every"; readonly periodMs: number };

const DAY_MS = 86_400_000;
const UNITS: Readonly<Record<string, number>> = {
  w: 7 * DAY_MS,
  d: DAY_MS,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
};

/** @returns undefined: no such policy. */
export function parsePullPolicy(text: string): PullPolicy | undefined {
  switch (text) {
    case "":
    case "missing":
      return { kind: "missing" };
    case "always":
    case "never":
      return { kind: text };
    case "daily":
      return { kind: "every", periodMs: DAY_MS };
    case "weekly":
      return { kind: "every", periodMs: 7 * DAY_MS };
  }
  const duration = /^every_((?:\d{1,9}[wdhms])+)$/.exec(text)?.[1];
  if (duration === undefined) return undefined;
  let periodMs = 0;
  for (const [, count, unit = ""] of duration.matchAll(/(\d+)([wdhms])/g))
    periodMs += Number(count) * (UNITS[unit] ?? 0);
  return periodMs > 0 ? { kind: "every", periodMs } : undefined;
}
