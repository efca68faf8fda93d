/**
 * Sizes, times and names as people read them. Pure.
 */
import type { Colour } from "./process-screen.js";

/** "3 minutes": the age of something, coarse as Docker prints it. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  const days = Math.floor(hours / 24);
  if (days < 14) return `${days} days`;
  if (days < 60) return `${Math.floor(days / 7)} weeks`;
  if (days < 730) return `${Math.floor(days / 30)} months`;
  return `${Math.floor(days / 365)} years`;
}

/** 1000-based, three significant digits, as `docker images` shows sizes. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toPrecision(3))}${units[unit]}`;
}

export function shortId(id: string, length = 12): string {
  return id.replace(/^sha256:/, "").slice(0, length);
}

export function capitalized(word: string): string {
  return word === "" ? "" : `${word[0]?.toUpperCase()}${word.slice(1)}`;
}

/** "Running 3 minutes ago", "Down", "Drain": what is well is green, what is not is red, what may be is yellow. */
export function stateColour(text: string): Colour | undefined {
  const [word = ""] = text.toLowerCase().split(" ");
  if (["running", "ready", "leader", "up"].includes(word)) return "green";
  if (["failed", "rejected", "orphaned", "down", "unreachable"].includes(word)) return "red";
  if (["pending", "unknown", "disconnected", "drain", "pause"].includes(word)) return "yellow";
  return ["complete", "shutdown", "remove", "exited", "created"].includes(word) ? "grey" : undefined;
}

/** {a: "b"} as "a=b", more with commas. */
export function labelsText(labels: unknown): string {
  if (typeof labels !== "object" || labels === null) return "";
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(",");
}
