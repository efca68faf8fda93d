/**
 * Reads compose files, the files they name and the variables of the environment. Edge: to the file system,
 * standard input and the environment.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { readInput } from "../context.js";
import { type ComposeProject, loadProject } from "./load-project.js";

/** @param paths "-" is standard input. @throws {InvalidArgumentError} */
export async function readProject(paths: readonly string[]): Promise<ComposeProject> {
  const files = await Promise.all(
    paths.map(async (path) => ({
      name: path === "-" ? "stdin" : path,
      text: (await readInput(path)).toString("utf8"),
    })),
  );
  const [first = "-"] = paths;
  return loadProject(files, {
    folder: first === "-" ? process.cwd() : dirname(resolve(first)),
    home: homedir(),
    variables: process.env,
    readText: async (path) => {
      try {
        return await readFile(path, "utf8");
      } catch (error) {
        throw new InvalidArgumentError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
      }
    },
  });
}
