/**
 * Is there something at a path of the host? Edge: to node:fs.
 */
import { existsSync } from "node:fs";

/** A link that leads nowhere is nothing. */
export function pathExists(path: string): boolean {
  return existsSync(path);
}
