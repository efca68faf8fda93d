/**
 * What the matrix of flags is made of: for each flag what is given, what the service says it stores, and what
 * a running task shows of it.
 * Pure. Invariant: each row names its command and flag as in flags.txt: "service create --hostname".
 */

export type Json = { readonly [key: string]: unknown };

/** Path in a JSON document, parts divided by "/" ("~1" is a slash), to what is there; `undefined`: nothing. */
export type Found = Readonly<Record<string, unknown>>;

/** One flag of a command whose other flags stand in other rows of the same batch. */
export interface FlagRow {
  readonly flag: string;
  readonly args: readonly string[];
  /** In the service's Spec, as `docker service inspect` prints it. */
  readonly stored?: Found;
  /** In `docker inspect` of the task's container. */
  readonly container?: Found;
  /** Shell commands in the container, and what each prints. */
  readonly inside?: Readonly<Record<string, string | RegExp>>;
}

/** One service: created with all its rows' flags, then changed with all its second rows' flags. */
export interface Batch {
  readonly name: string;
  /** @default "docker" */
  readonly cli?: "docker" | "skein";
  /** @default that of the creation */
  readonly updateCli?: "docker" | "skein";
  readonly create: readonly FlagRow[];
  /** Image, command and arguments. */
  readonly command: readonly string[];
  readonly update?: readonly FlagRow[];
  /** Tasks that run in the end. @default 1 */
  readonly running?: number;
  /** Standard output of the creation. */
  readonly prints?: RegExp;
}

/** A command as a whole: what it prints, or with what words it fails. */
export interface CommandRow {
  readonly flags: readonly string[];
  readonly args: readonly string[];
  readonly prints?: RegExp;
  readonly fails?: RegExp;
  /** Standard input. */
  readonly input?: string;
  /** Another command afterwards, and what it prints. */
  readonly afterwards?: readonly { readonly args: readonly string[]; readonly prints: RegExp }[];
}

/** Flags that another test tries, in a file that names each of them. */
export interface ElsewhereRow {
  readonly command: string;
  readonly flags: readonly string[];
  readonly file: string;
}

/** @returns what stands at the path; undefined where there is nothing. */
export function at(document: unknown, path: string): unknown {
  let current = document;
  for (const part of path.split("/")) {
    current = (current as Json | null | undefined)?.[part.replaceAll("~1", "/")]; // as JSON has it
  }
  return current;
}
