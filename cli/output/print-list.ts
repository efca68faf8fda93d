/**
 * Prints a listing as its flags ask for, fitted to the terminal and coloured where there is one. Pure over
 * the context.
 */
import type { Context } from "../context.js";
import { type Column, type ListOptions, type Row, renderList } from "./table.js";

export function printList(
  context: Context,
  columns: readonly Column[],
  rows: readonly Row[],
  options: ListOptions,
): void {
  const { screen } = context;
  context.print(renderList(columns, rows, { ...options, ...(screen === undefined ? {} : { screen }) }));
}
