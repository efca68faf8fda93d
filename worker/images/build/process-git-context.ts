/**
 * A build context out of a git repository. Edge: the `git` command.
 * Invariant: git asks nobody anything, and runs no hook and no helper of the repository; the URL is an
 * argument after "--". Source: Docker's git contexts: URL#REF:FOLDER.
 */
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import {
  CancelledError,
  FailedPreconditionError,
  InvalidArgumentError,
} from "../../../base/errors/errors.js";
import { partsOf } from "./context-path.js";
import { RootedTree } from "./fs-rooted-tree.js";

const WORDS_MAX = 2_000;

export function isGitUrl(url: string): boolean {
  return (
    /^(git:\/\/|git@|ssh:\/\/|github\.com\/)/.test(url) ||
    (/^https?:\/\//.test(url) && /\.git(#.*)?$/.test(url))
  );
}

/**
 * @returns the folder that holds the context, inside `into`: links of the repository are resolved within it.
 * @throws {InvalidArgumentError} no such folder.
 */
export async function cloneGit(url: string, into: string, signal: AbortSignal): Promise<string> {
  const hash = url.indexOf("#");
  const [reference = "", folder = ""] = hash < 0 ? [] : url.slice(hash + 1).split(":", 2);
  const repository = (hash < 0 ? url : url.slice(0, hash)).replace(/^github\.com\//, "https://github.com/");
  if (reference.startsWith("-") || partsOf(folder).includes(".."))
    throw new InvalidArgumentError(`invalid git reference or folder in ${JSON.stringify(url)}`);
  await git(["init", "-q", "--", into], undefined, signal);
  const fetch = ["fetch", "-q", "--depth", "1", "--no-tags", "--", repository, reference || "HEAD"];
  await git(fetch, into, signal);
  await git(["checkout", "-q", "--detach", "FETCH_HEAD"], into, signal);
  await rm(join(into, ".git"), { recursive: true, force: true });
  return folderIn(into, folder);
}

/** A link on the way would lead a build, and what it takes away, to the host's own files. */
export function folderIn(root: string, folder: string): string {
  const { absolute, stats } = new RootedTree(root).find(folder, { followLast: true });
  if (stats?.isDirectory() !== true)
    throw new InvalidArgumentError(`the repository has no folder ${JSON.stringify(folder)}`);
  return absolute;
}

const SAFE = ["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c", "core.symlinks=true"];

async function git(words: readonly string[], cwd: string | undefined, signal: AbortSignal): Promise<void> {
  const child = spawn("git", [...SAFE, ...words], {
    stdio: ["ignore", "ignore", "pipe"],
    signal,
    ...(cwd === undefined ? {} : { cwd }),
    env: {
      PATH: process.env["PATH"] ?? "",
      GIT_TERMINAL_PROMPT: "0",
      GIT_CONFIG_NOSYSTEM: "1",
      HOME: "/nonexistent",
    },
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-WORDS_MAX);
  });
  const result = await new Promise<number | Error>((resolve) => {
    child.once("error", resolve);
    child.once("close", (code) => resolve(code ?? -1));
  });
  if (signal.aborted) throw new CancelledError("the build was cancelled");
  if (result instanceof Error)
    throw new FailedPreconditionError(
      "git contexts need the command git, which is not installed on this node",
      {
        cause: result,
      },
    );
  if (result !== 0)
    throw new InvalidArgumentError(`error fetching: ${said.trim() || `git ended with ${result}`}`);
}
