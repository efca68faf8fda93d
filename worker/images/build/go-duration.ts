/**
 * Durations as Go writes and reads them: "1m30s", "1.5s", "500ms". Pure. Source: Go, time.ParseDuration.
 */
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds; undefined when the text is none. */
export function goDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  const match = /^([+-]?)((?:(?:\d{1,15}\.?\d{0,15}|\.\d{1,15})(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (match === null) return undefined;
  let totalMs = 0;
  for (const part of (match[2] ?? "").matchAll(/([\d.]+)([a-zµμ]+)/g))
    totalMs += Number(part[1]) * (UNIT_MS[part[2] ?? ""] ?? 0);
  return match[1] === "-" ? -totalMs : totalMs;
}

/** "1m30s", "1.5s", "0s" */
export function goDurationText(ms: number): string {
  if (ms === 0) return "0s";
  if (Math.abs(ms) < 1_000) return `${ms}ms`;
  const sign = ms < 0 ? "-" : "";
  const seconds = Math.abs(ms) / 1_000;
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  const rest = Number((seconds % 60).toFixed(9));
  return `${sign}${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${rest}s`;
}
