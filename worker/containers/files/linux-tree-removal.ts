/**
 * Removes what stands at a name in a container, with all that is in it. Edge: to the file system, by
 * synchronous calls. Invariant: folder by folder through handles, so that a folder replaced by a link
 * meanwhile leads nowhere; mounts are not entered.
 */
import { closeSync, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { FailedPreconditionError, InvalidArgumentError } from "../../../base/errors/errors.js";
import { at, DEPTH_MAX, type Folder, isCode, type RootView, textOf } from "./linux-root-view.js";
import type { ByteName } from "./tar-entry.js";

/** @throws {FailedPreconditionError} a mount is in it; errno errors. */
export function removeTree(view: RootView, folder: Folder, name: ByteName, depth = 0): void {
  if (view.isMount(folder, name))
    throw new FailedPreconditionError(`unlinkat ${textOf(name)}: device or resource busy`);
  if (depth > DEPTH_MAX) throw new InvalidArgumentError(`folders are nested deeper than ${DEPTH_MAX}`);
  try {
    unlinkSync(at(folder, name));
    return;
  } catch (error) {
    if (isCode(error, "ENOENT")) return;
    if (!isCode(error, "EISDIR", "EPERM")) throw error;
  }
  const inside = view.openFolder(folder, name);
  try {
    for (const child of readdirSync(at(inside, "."), { encoding: "latin1" }))
      removeTree(view, inside, child, depth + 1);
  } finally {
    closeSync(inside.fd);
  }
  rmdirSync(at(folder, name));
}
