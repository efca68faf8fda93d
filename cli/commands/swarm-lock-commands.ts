/**
 * `skein swarm unlock` and `unlock-key`. Edge: to the API and the process's standard input. Invariant: the
 * unlock key is asked for without showing it, or read from standard input, never from an argument.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { askSecret } from "../../base/linux/tty-secret.js";
import { type Context, fetchRow, inner, readInput, textOf } from "../context.js";

async function fetchUnlockKey(context: Context): Promise<string> {
  return textOf((await fetchRow(context, "/swarm/unlockkey"))["UnlockKey"]);
}

/** What an operator must know who has just turned autolock on, or asks for the key. */
export async function printUnlockKey(context: Context): Promise<void> {
  const key = await fetchUnlockKey(context);
  context.print("A manager whose daemon was restarted stays locked until somebody runs 'skein swarm unlock'");
  context.print(`there and enters this key:\n\n    ${key}\n`);
  context.print("Keep it in a password manager: without it a locked manager cannot be started again.");
}

async function rotate(context: Context): Promise<void> {
  const swarm = await fetchRow(context, "/swarm");
  if (inner(swarm, "Spec", "EncryptionConfig")["AutoLockManagers"] !== true)
    throw new InvalidArgumentError("cannot rotate because autolock is not turned on");
  const query = {
    version: textOf(inner(swarm, "Version")["Index"]),
    rotateManagerUnlockKey: "true",
  };
  await context.client().call("POST", "/swarm/update", { query, body: swarm["Spec"] });
}

async function showKey(context: Context, flags: { rotate?: boolean; quiet?: boolean }): Promise<void> {
  if (flags.rotate) {
    await rotate(context);
    if (!flags.quiet) context.print("Successfully rotated manager unlock key.\n");
  }
  const key = await fetchUnlockKey(context);
  if (key === "") throw new InvalidArgumentError("no unlock key is set");
  if (flags.quiet) context.print(key);
  else await printUnlockKey(context);
  if (flags.rotate && !flags.quiet)
    context.print("\nA manager that is down now still needs the key from before once, when it comes back.");
}

async function enteredKey(): Promise<string> {
  if (process.stdin.isTTY)
    return askSecret("Enter unlock key: ", { instead: "give the unlock key on standard input" });
  return (await readInput("-")).toString("utf8");
}

async function unlock(context: Context): Promise<void> {
  // Nobody is asked for a key that is not needed.
  const state = textOf(inner(await fetchRow(context, "/info"), "Swarm")["LocalNodeState"]);
  if (state === "inactive") throw new InvalidArgumentError("this node is not part of a swarm");
  if (state !== "locked") throw new InvalidArgumentError("swarm is not locked");
  const key = (await enteredKey()).trim();
  if (key === "") throw new InvalidArgumentError("no unlock key was given");
  await context.client().call("POST", "/swarm/unlock", { body: { UnlockKey: key } });
}

export function addSwarmLockCommands(swarm: Command, context: Context): void {
  swarm
    .command("unlock")
    .description("Unlock this manager; the key is asked for, or read from standard input")
    .action(() => unlock(context));
  swarm
    .command("unlock-key")
    .description("Show, or change, the key that unlocks managers")
    .option("--rotate", "make a new key; managers that are up lock their files under it at once")
    .option("-q, --quiet", "print the key alone")
    .action((flags: { rotate?: boolean; quiet?: boolean }) => showKey(context, flags));
}
