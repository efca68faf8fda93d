/**
 * Removes stacks: the daemon takes the services away, then what they used. Edge: to the API.
 */
import { CancelledError, messageOf } from "../../base/errors/errors.js";
import type { Context } from "../context.js";
import { askedBy } from "./fs-stack-project.js";
import { followStack } from "./http-follow.js";
import { deleteStack } from "./http-stacks.js";

export interface RemoveOptions {
  /** Wait until its tasks have ended. */
  readonly wait: boolean;
  readonly quiet: boolean;
}

/**
 * Nothing of that name is no failure, as with Docker.
 * @throws {Error} naming every stack that could not be removed.
 */
export async function removeStacks(
  context: Context,
  stacks: readonly string[],
  { wait, quiet }: RemoveOptions,
): Promise<void> {
  const failures: string[] = [];
  for (const stack of stacks) {
    try {
      if (!(await deleteStack(context, stack, askedBy()))) context.note(`Nothing found in stack: ${stack}`);
      else if (wait) {
        const text = await followStack(context, { stack, revision: 0, verb: "remove", quiet });
        if (!quiet) context.print(text);
      }
    } catch (error) {
      failures.push(`failed to remove stack ${stack}: ${messageOf(error)}`);
      if (error instanceof CancelledError) throw error;
    }
  }
  if (failures.length > 0) throw new Error(failures.join("\n"));
}
