/**
 * Reads compose files, the files they name and the variables of the environment. Edge: to the file system,
 * standard input and the environment.
 */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { parseDotenv } from "./dotenv.js";
import { type Variables, variableOf } from "./interpolate.js";
import { type ComposeProject, isVersion3Text, loadProject, writtenName } from "./load-project.js";
import type { FileDoc } from "./model.js";
import { profilesOf } from "./profiles.js";
import { FILE_LENGTH_MAX } from "./yaml-tree.js";

export interface ReadProjectOptions {
  /**
   * Files of variables, the last first in rank. None: `.env` of the project directory, unless a compose file
   * says version 3, which Docker's client reads without.
   */
  readonly envFiles?: readonly string[];
  /** Beside those of COMPOSE_PROFILES; "*" is all. */
  readonly profiles?: readonly string[];
  /** @default the first file's folder; that of the process for standard input */
  readonly projectDirectory?: string;
  /**
   * They come before those of files, and those before COMPOSE_PROJECT_NAME of the key `name`.
   * @default the environment of the process
   */
  readonly variables?: Variables;
  /** false: variables stay in the text, for printing. @default true */
  readonly interpolate?: boolean;
}

/** Files larger than this are refused unread, in bytes: a character takes four at most. */
const BYTES_MAX = FILE_LENGTH_MAX * 4;

/**
 * @param files paths; "-" is standard input.
 * @throws {InvalidArgumentError} a file that cannot be read; {ComposeError} what is wrong in them.
 */
export async function readProject(
  files: readonly string[],
  options: ReadProjectOptions = {},
): Promise<ComposeProject> {
  const texts = await Promise.all(
    files.map(async (path) => ({
      name: path === "-" ? "stdin" : path,
      text: path === "-" ? (await readStream(process.stdin, "stdin")).toString("utf8") : await readText(path),
    })),
  );
  const [first = "-"] = files;
  const folder = resolve(options.projectDirectory ?? (first === "-" ? "." : dirname(resolve(first))));
  const shell = options.variables ?? process.env;
  const isVersion3 = texts.some(({ text }) => isVersion3Text(text));
  const { read, unread } = await variableFiles(options.envFiles, { folder, shell, isVersion3 });
  const name = texts.map(({ text }) => writtenName(text)).findLast((each) => each !== undefined);
  const named: Variables = name === undefined ? {} : { COMPOSE_PROJECT_NAME: name };
  const variables: Variables = { ...named, ...read, ...shell };
  return loadProject(texts, {
    folder,
    home: shell["HOME"] ?? homedir(),
    variables,
    unreadVariables: unread,
    profiles: profilesOf(options.profiles ?? [], variables["COMPOSE_PROFILES"]),
    interpolate: options.interpolate !== false,
    readText,
    readOptional,
  });
}

interface VariableOrigin {
  readonly folder: string;
  readonly shell: Variables;
  readonly isVersion3: boolean;
}

async function variableFiles(
  given: readonly string[] | undefined,
  { folder, shell, isVersion3 }: VariableOrigin,
): Promise<{ read: Variables; unread: Variables }> {
  if (given !== undefined && given.length > 0) {
    let read: Variables = {};
    for (const file of given)
      read = { ...read, ...parsed(await readText(file), file, { ...read, ...shell }) };
    return { read, unread: {} };
  }
  const file = join(folder, ".env");
  const text = await readOptional(file);
  if (text === undefined) return { read: {}, unread: {} };
  if (!isVersion3) return { read: parsed(text, file, shell), unread: {} };
  try {
    return { read: {}, unread: parsed(text, file, shell) };
  } catch (error) {
    // a file that is not read cannot be wrong
    if (error instanceof InvalidArgumentError) return { read: {}, unread: {} };
    throw error;
  }
}

function parsed(text: string, file: string, variables: Variables): Variables {
  const entries = [...parseDotenv(text, { variables, file })];
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === null ? [] : [[name, value]])));
}

/** @throws {InvalidArgumentError} */
async function readText(path: string): Promise<string> {
  const text = await readOptional(path);
  if (text === undefined) throw new InvalidArgumentError(`cannot read ${path}: there is no such file`);
  return text;
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return (await readBytes(path)).toString("utf8");
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw error;
    const { code } = error as NodeJS.ErrnoException; // of node:fs
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new InvalidArgumentError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** @throws {InvalidArgumentError} it is too large; {Error} of node:fs. */
async function readBytes(path: string): Promise<Buffer> {
  const info = await stat(path);
  if (info.size > BYTES_MAX)
    throw new InvalidArgumentError(`${path} is larger than ${BYTES_MAX} bytes, it has ${info.size}`);
  // pipes and devices have no size, and some no end
  return info.isFile() ? readFile(path) : readStream(createReadStream(path), path);
}

async function readStream(stream: AsyncIterable<unknown>, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer); // no encoding is set
    sizeBytes += (chunk as Buffer).length;
    if (sizeBytes > BYTES_MAX) throw new InvalidArgumentError(`${name} is larger than ${BYTES_MAX} bytes`);
  }
  return Buffer.concat(chunks);
}

/**
 * The bytes of a secret or config; undefined for external ones and those a driver supplies.
 * @throws {InvalidArgumentError} naming it, the file or the variable; never what it holds.
 */
export async function readFileObject(
  key: string,
  doc: FileDoc,
  variables: Variables,
): Promise<Buffer | undefined> {
  if (doc.external === true) return undefined;
  if (doc.content !== undefined) return Buffer.from(doc.content);
  if (doc.environment !== undefined) {
    const value = variableOf(variables, doc.environment);
    if (value === undefined)
      throw new InvalidArgumentError(
        `${key} takes its data from the variable ${doc.environment}, which is not set`,
      );
    return Buffer.from(value);
  }
  if (doc.file === undefined) return undefined;
  try {
    return await readBytes(doc.file);
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw error;
    const isGone = (error as NodeJS.ErrnoException).code === "ENOENT"; // of node:fs
    const why = isGone ? "there is no such file" : messageOf(error);
    throw new InvalidArgumentError(`cannot read ${doc.file} for ${key}: ${why}`, { cause: error });
  }
}
