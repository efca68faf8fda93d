/**
 * COPY and ADD: finds what is meant, sums it for the cache, and puts it into a new layer.
 * Edge: to the file system. Invariant: sources are read within their root, files are written within the
 * layer's; nothing is mounted when the cache has the step.
 * Source: Dockerfile reference, COPY and ADD; Docker's classic builder for the line of history.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, lstat, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, messageOf, SkeinError } from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import { baseName, inWorkingDir, saysFolder } from "./context-path.js";
import { type CopySource, findSources } from "./copy-sources.js";
import type { CopyInstruction } from "./dockerfile-instructions.js";
import { isArchive, unpackArchive } from "./fs-archive-unpack.js";
import { CONTEXT_LIMITS, headOf } from "./fs-build-context.js";
import type { ContentHasher } from "./fs-content-hash.js";
import { copyFolder, copyOne } from "./fs-copy-tree.js";
import { type Owner, RootedTree } from "./fs-rooted-tree.js";
import { modeOf, ownerIn } from "./image-owner.js";
import { type Expansion, expandWord } from "./shell-words.js";

export interface CopyParts {
  readonly linux: Linux;
  readonly hasher: ContentHasher;
  /** For what is made on the way: downloads, heredocs. Removed with the build. */
  readonly scratch: string;
  /** Fetches a URL into a file. @returns its name and time. */
  readonly download: (url: string, file: string) => Promise<{ readonly mtimeSeconds: number }>;
  readonly signal: AbortSignal;
}

export interface CopyPlan {
  /** "COPY file:… in /x " */
  readonly note: string;
  readonly items: readonly CopyItem[];
  readonly target: string;
  readonly targetIsFolder: boolean;
  readonly chown: string;
  readonly mode: number | undefined;
  readonly keepsOwner: boolean;
}

interface CopyItem extends CopySource {
  readonly unpacks: boolean;
}

const ARCHIVE_HEAD_BYTES = 512;

/**
 * @param from The context, or the root of an image.
 * @throws {InvalidArgumentError} in Docker's words.
 */
export async function planCopy(
  instruction: CopyInstruction,
  from: { readonly tree: RootedTree; readonly isContext: boolean },
  expansion: Expansion,
  workingDir: string,
  parts: CopyParts,
): Promise<CopyPlan> {
  const { keyword } = instruction;
  const expand = (word: string): string => expandWord(word, expansion);
  const target = expand(instruction.target);
  const chown = expand(instruction.chown);
  const mode = modeOf(expand(instruction.chmod));
  let items: readonly CopyItem[];
  try {
    items = await itemsOf(instruction, from, expansion, parts);
    if (items.length === 0) throw new InvalidArgumentError("no source files were specified");
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code === "cancelled") throw error;
    throw new InvalidArgumentError(`${keyword} failed: ${messageOf(error)}`, { cause: error });
  }
  const isFolder = saysFolder(target) || target.endsWith("/");
  if (items.length > 1 && !isFolder)
    throw new InvalidArgumentError(
      `When using ${keyword} with more than one source file, the destination must be a directory and end with a /`,
    );
  const sums = await Promise.all(items.map((item) => sumOf(item, from.isContext, instruction, parts)));
  const chownNote = chown === "" ? "" : `--chown=${chown}`;
  return {
    note: `${keyword} ${chownNote}${sumOfAll(sums)} in ${target} `,
    items,
    target: inWorkingDir(workingDir, target),
    targetIsFolder: isFolder,
    chown,
    mode,
    keepsOwner: !from.isContext && chown === "",
  };
}

async function itemsOf(
  instruction: CopyInstruction,
  from: { readonly tree: RootedTree; readonly isContext: boolean },
  expansion: Expansion,
  parts: CopyParts,
): Promise<readonly CopyItem[]> {
  const { heredocs, keyword } = instruction;
  const items: CopyItem[] = [];
  const words: string[] = [];
  for (const source of instruction.sources) {
    const word = expandWord(source, expansion);
    if (keyword === "ADD" && /^https?:\/\//.test(word)) {
      items.push(await downloaded(word, instruction, parts));
    } else if (keyword === "ADD" && /^(git@|git:\/\/|ssh:\/\/)/.test(word)) {
      throw new InvalidArgumentError(`git source ${word} is not supported by Skein: clone it in a RUN`);
    } else words.push(word);
  }
  if (instruction.checksum !== "" && words.length > 0)
    throw new InvalidArgumentError("--checksum works for URLs only");
  const { excludes, parents } = instruction;
  for (const found of await findSources(words, { ...from, excludes, parents })) {
    const unpacks =
      keyword === "ADD" &&
      instruction.unpack !== false &&
      found.stats.isFile() &&
      (await holdsArchive(found.absolute));
    items.push({ ...found, unpacks });
  }
  for (const [index, heredoc] of heredocs.entries()) {
    const content = heredoc.expands
      ? expandWord(heredoc.content, { ...expansion, rawQuotes: true })
      : heredoc.content;
    const folder = join(parts.scratch, `heredoc-${expansionSerial(parts)}-${index}`);
    await mkdir(folder);
    const absolute = join(folder, "content");
    await writeFile(absolute, content, { mode: 0o644 });
    await chmod(absolute, 0o644);
    items.push(await single(absolute, baseName(heredoc.name)));
  }
  return items;
}

const serials = new WeakMap<CopyParts, number>();

/** Names of scratch files within one build. */
function expansionSerial(parts: CopyParts): number {
  const next = (serials.get(parts) ?? 0) + 1;
  serials.set(parts, next);
  return next;
}

async function single(absolute: string, name: string, unpacks = false): Promise<CopyItem> {
  return { name, absolute, stats: await lstat(absolute), folder: "", excludes: () => false, unpacks };
}

async function downloaded(url: string, instruction: CopyInstruction, parts: CopyParts): Promise<CopyItem> {
  const name = baseName(decodeURIComponent(new URL(url).pathname));
  if (name === "" && instruction.target.endsWith("/"))
    throw new InvalidArgumentError(`cannot determine filename for url: ${url}`);
  const absolute = join(parts.scratch, `download-${expansionSerial(parts)}`);
  await parts.download(url, absolute);
  await chmod(absolute, 0o600);
  if (instruction.checksum !== "") {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(absolute)) hash.update(chunk as Buffer); // no encoding is set
    const digest = `sha256:${hash.digest("hex")}`;
    if (!/^sha256:[0-9a-f]{64}$/.test(instruction.checksum))
      throw new InvalidArgumentError(`invalid checksum digest format: ${instruction.checksum}: use sha256:…`);
    if (digest !== instruction.checksum)
      throw new InvalidArgumentError(`digest mismatch ${digest}: ${instruction.checksum}`);
  }
  return await single(
    absolute,
    name || "download",
    instruction.unpack === true && (await holdsArchive(absolute)),
  );
}

async function holdsArchive(absolute: string): Promise<boolean> {
  return isArchive(await headOf(absolute, ARCHIVE_HEAD_BYTES));
}

async function sumOf(
  item: CopyItem,
  isContext: boolean,
  instruction: CopyInstruction,
  parts: CopyParts,
): Promise<string> {
  const kind = item.stats.isDirectory() ? "dir" : "file";
  const { signal } = parts;
  const sum = await parts.hasher.of(item.absolute, item.stats, item.name, {
    owners: !isContext,
    excludes: item.excludes,
    signal,
  });
  // what else decides the files, and does not stand in the line of history
  const more = [instruction.chmod, item.folder, String(item.unpacks), instruction.unpack ?? ""].join("\0");
  const plain = instruction.chmod === "" && item.folder === "" && instruction.unpack === undefined;
  return `${kind}:${plain ? sum : createHash("sha256").update(sum).update(more).digest("hex")}`;
}

function sumOfAll(sums: readonly string[]): string {
  const [only] = sums;
  if (sums.length === 1 && only !== undefined) return only;
  return `multi:${createHash("sha256").update(sums.join(",")).digest("hex")}`;
}

/** Puts everything into the mounted root. */
export async function carryOutCopy(plan: CopyPlan, root: string, parts: CopyParts): Promise<void> {
  const tree = new RootedTree(root);
  const chowned = plan.chown === "" ? undefined : await ownerIn(tree, plan.chown);
  const made: Owner = chowned ?? { uid: 0, gid: 0 };
  const options = {
    linux: parts.linux,
    tree,
    owner: plan.keepsOwner ? undefined : made,
    mode: plan.mode,
    attributes: plan.keepsOwner,
    signal: parts.signal,
  };
  for (const item of plan.items) {
    const into = item.folder === "" ? plan.target : `${plan.target}/${item.folder}/`;
    if (item.stats.isDirectory()) {
      const folder = tree.makeFolder(into, made);
      await copyFolder(item.absolute, folder.absolute, { ...options, excludes: item.excludes });
      continue;
    }
    if (item.unpacks) {
      const folder = tree.makeFolder(into, { uid: 0, gid: 0 });
      await unpackArchive(createReadStream(item.absolute), {
        tree,
        path: folder.path,
        owner: undefined,
        devices: parts.linux,
        ...CONTEXT_LIMITS,
        signal: parts.signal,
      });
      continue;
    }
    let found = tree.place(into, { followLast: true, owner: made });
    if (plan.targetIsFolder || item.folder !== "" || found.stats?.isDirectory() === true) {
      const folder = tree.makeFolder(into, made);
      found = tree.place(`${folder.path}/${item.name}`, { followLast: true, owner: made });
      if (found.stats?.isDirectory() === true)
        throw new InvalidArgumentError(`cannot overwrite directory /${found.path} with a file`);
    }
    await copyOne(item, found.absolute, { ...options, excludes: item.excludes });
  }
}

/** WORKDIR: the folder is there afterwards. */
export async function makeWorkingDir(root: string, path: string): Promise<void> {
  const tree = new RootedTree(root);
  const found = tree.find(path, { followLast: true });
  if (found.stats !== undefined && !found.stats.isDirectory())
    throw new InvalidArgumentError(`Cannot mkdir: ${path} is not a directory`);
  tree.makeFolder(path, { uid: 0, gid: 0 });
}
