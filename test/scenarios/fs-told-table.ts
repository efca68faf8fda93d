/**
 * Tables of what is told in situations, compared verbatim: a title per situation, and indented "key: words"
 * below it. Edge: to node:fs.
 */
import { readFileSync } from "node:fs";

const ROOT = import.meta.url.includes("/dist/") ? "../../../" : "../../";

/** @returns what is told, by situation, as `toldText` writes it. */
export function readTold(file: string): ReadonlyMap<string, string> {
  const text = readFileSync(new URL(`${ROOT}test/scenarios/${file}`, import.meta.url), "utf8");
  const told = new Map<string, string>();
  for (const section of text.split(/\n(?=\S)/)) {
    const [title = "", ...lines] = section.trimEnd().split("\n");
    if (!title.startsWith("#")) told.set(title, lines.join("\n"));
  }
  return told;
}

/** One line per key that has words, in the order given. */
export function toldText(told: object): string {
  const lines = Object.entries(told).map(([key, words]) => `  ${`${key}:`.padEnd(10)}${String(words)}`);
  return lines.join("\n");
}
