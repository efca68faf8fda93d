/**
 * On which mount of this machine a path lies, and whether that passes mounts on.
 * Edge: to /proc/self/mountinfo.
 * Source: proc(5), mount_namespaces(7).
 */
import { readFileSync } from "node:fs";

export interface MountOfPath {
  readonly point: string;
  /** Its optional fields: shared:N, master:N … */
  readonly propagation: readonly string[];
}

/** @param path absolute and free of links. @param text for tests; else the machine's own. */
export function mountOfPath(
  path: string,
  text: string = readFileSync("/proc/self/mountinfo", "utf8"),
): MountOfPath {
  let found: MountOfPath = { point: "/", propagation: [] };
  for (const line of text.split("\n")) {
    const [before = ""] = line.split(" - ");
    const fields = before.split(" ");
    const point = unescaped(fields[4] ?? "");
    const covers = path === point || point === "/" || path.startsWith(`${point}/`);
    // a later one at the same place lies on top
    if (point !== "" && covers && point.length >= found.point.length)
      found = { point, propagation: fields.slice(6) };
  }
  return found;
}

/** Blanks and the like are written in octal. */
export function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
