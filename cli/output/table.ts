/**
 * Tables for people and templates for scripts. Pure.
 * A template is Docker's: {{.Field}}, {{json .}}, {{.Field.Inner}}, {{index .Map "key"}}; "table TEMPLATE"
 * adds a header; "json" prints
 * one object a line.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export type Row = Readonly<Record<string, unknown>>;

export interface Column {
  readonly header: string;
  /** Field of the row, as templates name it. */
  readonly field: string;
}

const GAP = 3;

/** Left-aligned columns; the last one is not padded. */
export function table(columns: readonly Column[], rows: readonly Row[]): string {
  const cells = [
    columns.map(({ header }) => header),
    ...rows.map((row) => columns.map(({ field }) => text(row[field]))),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => (line[i] ?? "").length)));
  return cells
    .map((line) =>
      line
        .map((cell, i) => (i === line.length - 1 ? cell : cell.padEnd((widths[i] ?? 0) + GAP)))
        .join("")
        .trimEnd(),
    )
    .join("\n");
}

function text(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string"
    ? value
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value);
}

const EXPRESSION = /\{\{\s*(.*?)\s*\}\}/g;

function evaluate(expression: string, value: unknown): string {
  const json = /^json\s+(\.\S*)$/.exec(expression);
  if (json !== null) return JSON.stringify(lookUp(json[1] ?? ".", value) ?? null);
  const index = /^index\s+(\.\S+)\s+"([^"]*)"$/.exec(expression);
  if (index !== null) {
    const map = lookUp(index[1] ?? ".", value);
    // any object can be indexed
    return text(typeof map === "object" && map !== null ? (map as Row)[index[2] ?? ""] : undefined);
  }
  if (/^\.[\w.]*$/.test(expression)) return text(lookUp(expression, value));
  throw new InvalidArgumentError(
    `template {{${expression}}} is not understood: use {{.Field}}, {{json .Field}} or {{index .Map "key"}}`,
  );
}

function lookUp(path: string, value: unknown): unknown {
  let current = value;
  for (const part of path.split(".").filter((name) => name !== "")) {
    if (typeof current !== "object" || current === null) return undefined;
    const found = Object.entries(current).find(([key]) => key === part);
    if (found === undefined && value === current) {
      throw new InvalidArgumentError(
        `template field .${part} is unknown; there are ${Object.keys(current)
          .map((key) => `.${key}`)
          .join(" ")}`,
      );
    }
    current = found?.[1];
  }
  return current;
}

/** @throws {InvalidArgumentError} an expression or field that is not understood. */
export function applyTemplate(template: string, value: unknown): string {
  return template
    .replaceAll("\\t", "\t")
    .replaceAll("\\n", "\n")
    .replaceAll(EXPRESSION, (_, expression: string) => evaluate(expression, value));
}

export interface ListOptions {
  readonly format?: string | undefined;
  readonly quiet?: boolean | undefined;
  /** Field printed alone with --quiet. */
  readonly idField: string;
}

/** The text of a listing in the form that was asked for. */
export function renderList(columns: readonly Column[], rows: readonly Row[], options: ListOptions): string {
  const { format } = options;
  if (options.quiet) return rows.map((row) => text(row[options.idField])).join("\n");
  if (format === undefined || format === "table") return table(columns, rows);
  if (format === "json") return rows.map((row) => JSON.stringify(row)).join("\n");
  const tableTemplate = /^table\s+(.*)$/s.exec(format)?.[1];
  if (tableTemplate === undefined) return rows.map((row) => applyTemplate(format, row)).join("\n");
  const fields = [...tableTemplate.matchAll(EXPRESSION)].map((match) => (match[1] ?? "").replace(/^\./, ""));
  const picked = fields.map(
    (field) => columns.find((column) => column.field === field) ?? { field, header: field.toUpperCase() },
  );
  return table(picked, rows);
}
