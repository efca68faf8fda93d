/**
 * What others wrote (names, errors of tasks, answers of whatever listens at an address), fit for a terminal.
 * Pure. Invariant: no control character of it reaches the terminal as one; only our own colours do.
 */

/** Colours as process-screen.ts writes them, or a control character other than line feed and tab. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /\x1b\[(?:0|3[123]|90)m|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const CONTROLS = /[\x00-\x1f\x7f-\x9f]+/g;

const shown = (found: string): string =>
  found.length > 1 ? found : `\\x${found.charCodeAt(0).toString(16).padStart(2, "0")}`;

/** Control characters are shown as \x1b; lines, tabs and our colours stay. */
export const printable = (text: string): string => text.replaceAll("\r\n", "\n").replaceAll(CONTROL, shown);

/** For a cell of a table, or a line that is repainted: one line without any control character. */
export const oneLine = (text: string): string => text.replaceAll(CONTROLS, " ");
