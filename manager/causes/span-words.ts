/**
 * Lengths of time as people read them: "12 ms", "1.2 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
 * Pure.
 */
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export function spanWords(ms: number): string {
  const length = Math.max(0, ms);
  if (length < 1_000) return `${Math.round(length)} ms`;
  if (length < 10_000) return `${Math.round(length / 100) / 10} s`;
  const [unitMs, unit, restMs, rest] =
    length < MINUTE_MS
      ? [1_000, "s", 0, ""]
      : length < HOUR_MS
        ? [MINUTE_MS, "min", 1_000, "s"]
        : length < DAY_MS
          ? [HOUR_MS, "h", MINUTE_MS, "min"]
          : [DAY_MS, "d", HOUR_MS, "h"];
  const whole = Math.floor(length / unitMs);
  const left = restMs === 0 ? 0 : Math.floor((length % unitMs) / restMs);
  return left === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${left} ${rest}`;
}
