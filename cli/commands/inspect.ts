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

/** Nested objects as indented lines. */
function pretty(value: unknown, indent = ""): string {
  if (typeof value !== "object" || value === null) return `${indent}${String(value)}`;
  return Object.entries(value)
    .filter(
      ([, inner]) =>
        inner !== null && inner !== "" && !(typeof inner === "object" && Object.keys(inner).length === 0),
    )
    .map(([key, inner]) =>
      typeof inner === "object"
        ? `${indent}${key}:\n${pretty(inner, `${indent}  `)}`
        : `${indent}${key}: ${String(inner)}`,
    )
    .join("\n");
}
