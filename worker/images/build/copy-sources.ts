/**
 * Which files the sources of COPY and ADD name. Edge: to the file system, for reading names only.
 * Source: Dockerfile reference, COPY ("Source", --exclude, --parents).
 */
import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { cleanPath } from "../../../base/paths/clean-path.js";
import {
  type IgnoreRules,
  ignoreRules,
  matchesPath,
  readPathPattern,
} from "../../../base/paths/ignore-rules.js";
import { baseName, partsOf } from "./context-path.js";
import type { RootedTree } from "./fs-rooted-tree.js";

export interface CopySource {
  /** The name it gets in a folder. */
  readonly name: string;
  readonly absolute: string;
  readonly stats: Stats;
  /** --parents: folders kept before the name; "" when none are. */
  readonly folder: string;
  /** Path below a copied folder; for a file its own name. */
  readonly excludes: (path: string) => boolean;
}

/** Names looked at for one wildcard. */
const WALKED_MAX = 1_000_000;

export interface SourceOptions {
  readonly tree: RootedTree;
  /** The context, whose words an absence gets; else an image. */
  readonly isContext: boolean;
  readonly excludes: readonly string[];
  readonly parents: boolean;
}

/** @throws {InvalidArgumentError} in Docker's words, without the keyword before them. */
export async function findSources(
  words: readonly string[],
  options: SourceOptions,
): Promise<readonly CopySource[]> {
  const rules = options.excludes.length === 0 ? undefined : ignoreRules(options.excludes);
  const found: CopySource[] = [];
  for (const word of words) {
    const clean = cleanPath(word);
    if (partsOf(clean)[0] === "..")
      throw new InvalidArgumentError(`forbidden path outside the build context: ${word} ()`);
    const pivot = word.indexOf("/./");
    const kept = pivot < 0 ? 0 : partsOf(cleanPath(word.slice(0, pivot))).length;
    const paths = hasWildcards(word) ? await matching(options.tree, clean) : [partsOf(clean).join("/")];
    for (const path of paths) {
      const source = await sourceAt(path, word, options, rules);
      if (source === undefined) continue;
      const parts = partsOf(path).slice(kept);
      const folder = source.stats.isDirectory() ? parts : parts.slice(0, -1);
      found.push({ ...source, folder: options.parents ? folder.join("/") : "" });
    }
  }
  return found;
}

async function sourceAt(
  path: string,
  word: string,
  options: SourceOptions,
  rules: IgnoreRules | undefined,
): Promise<CopySource | undefined> {
  const { path: real, absolute, stats } = options.tree.find(path, { followLast: true });
  if (stats === undefined) {
    const where = options.isContext ? "file not found in build context or excluded by .dockerignore: " : "";
    throw new InvalidArgumentError(`${where}stat ${cleanPath(word).replace(/^\//, "")}: file does not exist`);
  }
  const name = baseName(path) || baseName(real);
  const isFolder = stats.isDirectory();
  if (!isFolder && rules !== undefined && (rules.excludes(name) || rules.excludes(path))) return undefined;
  const excludes = (inner: string): boolean =>
    rules !== undefined && (rules.excludes(inner) || (path !== "" && rules.excludes(`${path}/${inner}`)));
  return { name, absolute, stats, folder: "", excludes };
}

function hasWildcards(word: string): boolean {
  return /[*?[]/.test(word.replace(/\\[\s\S]/g, ""));
}

/** In the order of a walk: names sorted, folders before what they hold. */
async function matching(tree: RootedTree, pattern: string): Promise<string[]> {
  const parts = partsOf(pattern);
  const tokens = readPathPattern(parts.join("/"), false);
  const found: string[] = [];
  let walked = 0;
  const walk = async (path: string, depth: number): Promise<void> => {
    for (const name of (await readdir(tree.absolute(path))).sort()) {
      walked += 1;
      if (walked > WALKED_MAX) throw new InvalidArgumentError(`more than ${WALKED_MAX} files to match`);
      const inner = path === "" ? name : `${path}/${name}`;
      if (matchesPath(tokens, inner)) found.push(inner);
      // a star never matches a slash, so deeper paths than the pattern's cannot match
      if (depth < parts.length && (await lstat(join(tree.root, inner))).isDirectory())
        await walk(inner, depth + 1);
    }
  };
  await walk("", 1);
  return found;
}
