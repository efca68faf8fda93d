/**
 * Tables for people and templates for scripts. Pure.
 * A template is Docker's (template/); "table TEMPLATE" adds a header; "json" prints one object a line.
 * A table that is wider than the terminal loses letters in the columns that can do without, never in ids and
 * names; when that is not enough, its lines wrap.
 */
import { oneLine } from "./printable.js";
import { type Colour, coloured, NO_SCREEN, type Screen } from "./process-screen.js";
import { compileTemplate } from "./template/run-template.js";
import { plain } from "./template/template-functions.js";

export type Row = Readonly<Record<string, unknown>>;

export interface Column {
  readonly header: string;
  /** Field of the row, as templates name it. */
  readonly field: string;
  /** On a narrow terminal the column may be cut. @default false */
  readonly shrinks?: boolean;
  /** By the cell's text, on a terminal. */
  readonly colour?: (text: string) => Colour | undefined;
}

const GAP = 3;
/** A column that shrinks keeps that many letters. */
const WIDTH_MIN = 12;

/** Left-aligned columns; the last one is not padded. */
export function table(columns: readonly Column[], rows: readonly Row[], screen: Screen = NO_SCREEN): string {
  const cells = [
    columns.map(({ header }) => header),
    ...rows.map((row) => columns.map(({ field }) => oneLine(text(row[field])))),
  ];
  const widths = fitted(columns, cells, screen.columns());
  return cells
    .map((line, lineNumber) =>
      line
        .map((cell, i) => {
          const width = widths[i] ?? 0;
          const shown = cell.length > width ? `${cell.slice(0, width - 1)}…` : cell;
          const colour = lineNumber === 0 ? undefined : columns[i]?.colour?.(cell);
          const gap = i === line.length - 1 ? "" : " ".repeat(width + GAP - shown.length);
          return `${coloured(screen, colour, shown)}${gap}`;
        })
        .join("")
        .trimEnd(),
    )
    .join("\n");
}

function fitted(
  columns: readonly Column[],
  cells: readonly (readonly string[])[],
  columnsMax: number | undefined,
): number[] {
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => (line[i] ?? "").length)));
  if (columnsMax === undefined) return widths;
  let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - columnsMax;
  while (excess > 0) {
    // the widest gives, down to the next widest
    const order = widths
      .map((width, i) => ({ width, i }))
      .filter(({ width, i }) => columns[i]?.shrinks === true && width > WIDTH_MIN)
      .sort((a, b) => b.width - a.width);
    const [widest, next] = order;
    if (widest === undefined) break;
    const given = Math.min(excess, Math.max(1, widest.width - Math.max(WIDTH_MIN, next?.width ?? WIDTH_MIN)));
    widths[widest.i] = widest.width - given;
    excess -= given;
  }
  return widths;
}

function text(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : plain(value);
}

/** @throws {InvalidArgumentError} an expression, field or function that is not understood. */
export function applyTemplate(template: string, value: unknown): string {
  return compileTemplate(template)(value);
}

export interface ListOptions {
  readonly format?: string | undefined;
  readonly quiet?: boolean | undefined;
  /** Field printed alone with --quiet. */
  readonly idField: string;
  /** @default no terminal */
  readonly screen?: Screen;
}

/** The text of a listing in the form that was asked for. @throws {InvalidArgumentError} of a template. */
export function renderList(columns: readonly Column[], rows: readonly Row[], options: ListOptions): string {
  const { format } = options;
  if (options.quiet) return rows.map((row) => text(row[options.idField])).join("\n");
  if (format === undefined || format === "table" || format === "")
    return table(columns, rows, options.screen);
  if (format === "json") return rows.map((row) => JSON.stringify(row)).join("\n");
  const tableTemplate = /^table\s+(.*)$/s.exec(format)?.[1];
  const template = compileTemplate(tableTemplate ?? format);
  if (rows.length === 0) template(headersOf(columns), { headers: true }); // a faulty one is told all the same
  const lines = rows.map((row) => template(withMethods(row), { strict: true }));
  if (tableTemplate === undefined) return lines.join("\n");
  return aligned([template(headersOf(columns), { headers: true }), ...lines]);
}

/** {{.Label "key"}} of rows with labels. */
function withMethods(row: Row): Row {
  if (!("Labels" in row)) return row;
  return { ...row, Label: (key: unknown) => labelOf(row["Labels"], plain(key)) };
}

function labelOf(labels: unknown, key: string): string {
  if (typeof labels === "object" && labels !== null) return text((labels as Row)[key]); // any object
  const found = text(labels)
    .split(",")
    .find((each) => each.startsWith(`${key}=`));
  return found?.slice(key.length + 1) ?? "";
}

function headersOf(columns: readonly Column[]): Row {
  const headers = columns.map(({ field, header }) => [field, header]);
  return {
    ...Object.fromEntries(headers),
    Label: (key: unknown) => plain(key).split(".").at(-1)?.toUpperCase(),
  };
}

/** Columns that tabs divide, one under the other. */
function aligned(lines: readonly string[]): string {
  const cells = lines.map((line) => line.split("\t"));
  const widths: number[] = [];
  for (const line of cells)
    line.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return cells
    .map((line) =>
      line
        .map((cell, i) => (i === line.length - 1 ? cell : cell.padEnd((widths[i] ?? 0) + GAP)))
        .join("")
        .trimEnd(),
    )
    .join("\n");
}
