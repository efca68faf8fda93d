/**
 * What standard output is: a terminal, how wide, with colours or not. Edge: to the process's streams and
 * environment.
 * Colours need a terminal, and neither NO_COLOR (https://no-color.org) nor TERM=dumb. A dumb terminal is
 * treated as a file: nothing is repainted on it.
 */
export interface Screen {
  readonly terminal: boolean;
  readonly colours: boolean;
  /** Columns of the terminal; undefined: as many as are needed. */
  columns(): number | undefined;
}

export const NO_SCREEN: Screen = { terminal: false, colours: false, columns: () => undefined };

interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export function screenOf(stream: Stream, env: Readonly<Record<string, string | undefined>>): Screen {
  if (stream.isTTY !== true || env["TERM"] === "dumb") return NO_SCREEN;
  return {
    terminal: true,
    colours: (env["NO_COLOR"] ?? "") === "",
    columns: () => stream.columns || undefined,
  };
}

const CODES = { red: 31, green: 32, yellow: 33, grey: 90 } as const;
export type Colour = keyof typeof CODES;

export function coloured(screen: Screen, colour: Colour | undefined, text: string): string {
  return screen.colours && colour !== undefined && text !== ""
    ? `\x1b[${CODES[colour]}m${text}\x1b[0m`
    : text;
}
