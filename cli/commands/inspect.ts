/**
 * What the inspect commands share: an array of objects as JSON, or a template per object. Pure over the
 * context.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Context } from "../context.js";
import { applyTemplate, type Row } from "../output/table.js";

/** @throws {Error} when one of the names was not found; what was found is printed first. */
export async function printInspect(
  context: Context,
  names: readonly string[],
  flags: { readonly format?: string; readonly pretty?: boolean },
  find: (name: string) => Promise<Row>,
): Promise<void> {
  const found: Row[] = [];
  const failures: string[] = [];
  for (const name of names) {
    try {
      found.push(await find(name));
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (flags.pretty) for (const object of found) context.print(pretty(object));
  else if (flags.format === undefined) context.print(JSON.stringify(found, undefined, 4));
  else if (flags.format === "json") context.print(JSON.stringify(found));
  else for (const object of found) context.print(applyTemplate(flags.format, object));
  if (failures.length > 0) throw new Error(failures.join("\n"));
}

/**
 * Nested objects as indented lines; what is empty is left out,
 * but for the choice that an empty object stands for.
 */
function pretty(value: unknown, indent = ""): string {
  if (Array.isArray(value))
    return value.map((item) => `${indent}- ${pretty(item, `${indent}  `).trimStart()}`).join("\n");
  if (typeof value !== "object" || value === null) return `${indent}${String(value)}`;
  return Object.entries(value)
    .filter(([, inner]) => !isEmpty(inner))
    .map(([key, inner]) => {
      if (typeof inner !== "object" || inner === null)
        return `${indent}${key}: ${indented(String(inner), indent)}`;
      const below = pretty(inner, `${indent}  `);
      return below === ""
        ? `${indent}${key}: ${Object.keys(inner).join(", ")}`
        : `${indent}${key}:\n${below}`;
    })
    .join("\n");
}

const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === "" ||
  (typeof value === "object" && value !== null && Object.keys(value).length === 0);

/** Text of several lines under its key. */
function indented(text: string, indent: string): string {
  const lines = text.trimEnd().split("\n");
  return lines.length === 1 ? text : `\n${lines.map((line) => `${indent}  ${line}`).join("\n")}`;
}
