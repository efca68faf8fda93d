/**
 * `skein man`: the manual pages of all commands as files. Edge: to files.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { Context } from "../context.js";
import { buildProgram, VERSION } from "../program.js";
import { documented, manualPage, pageName } from "./manual-page.js";

const unused = (): never => {
  throw new Error("no command runs while the manual is written");
};
/** For a tree of commands that is looked at, and not run. */
export const NOT_RUN: Context = { client: unused, print: unused, note: unused, terminal: false };

/** @returns how many. @throws {InvalidArgumentError} a folder that cannot be written. */
export async function writeManuals(folder: string): Promise<number> {
  const commands = documented(await buildProgram(NOT_RUN, "all"));
  try {
    await mkdir(folder, { recursive: true });
    for (const command of commands)
      await writeFile(join(folder, `${pageName(command)}.1`), manualPage(command, VERSION));
  } catch (error) {
    throw new InvalidArgumentError(`cannot write manual pages into ${folder}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return commands.length;
}
