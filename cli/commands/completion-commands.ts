/**
 * `skein completion` and `skein man`: what makes the command line at home in a shell. Edge: to files.
 */
import type { Command } from "commander";
import { SHELL_SCRIPTS } from "../completion/shell-scripts.js";
import type { Context } from "../context.js";

export function addShellCommands(program: Command, context: Context): void {
  program
    .command("completion")
    .description("Print the script that completes commands, flags and names of objects in a shell")
    .addArgument(program.createArgument("<shell>", "bash, zsh or fish").choices(Object.keys(SHELL_SCRIPTS)))
    .action((shell: string) => context.print((SHELL_SCRIPTS[shell] ?? "").trimEnd()));
  program
    .command("man")
    .description("Write the manual pages of all commands into a folder")
    .argument("<folder>", "such as /usr/local/share/man/man1; it is made")
    .action(async (folder: string) => {
      const { writeManuals } = await import("../help/fs-manuals.js");
      context.print(`${await writeManuals(folder)} manual pages in ${folder}`);
    });
}
