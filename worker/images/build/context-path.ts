/**
 * Paths as text: joined, split, the way Go's path package does it. Pure.
 * Source: Dockerfile reference, COPY and WORKDIR.
 */
import { cleanPath } from "../../../base/paths/clean-path.js";

export function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

export function baseName(path: string): string {
  return partsOf(path).at(-1) ?? "";
}

/** A path of the image, absolute; a slash at its end stays, for it says "folder". */
export function inWorkingDir(workingDir: string, path: string): string {
  const joined = cleanPath(path.startsWith("/") ? path : `${workingDir === "" ? "/" : workingDir}/${path}`);
  const rooted = joined.startsWith("/") ? joined : `/${joined}`;
  return saysFolder(path) && rooted !== "/" ? `${rooted}/` : rooted;
}

/** "x/", "x/." and ".": a folder, whether or not it is there. */
export function saysFolder(path: string): boolean {
  return path.endsWith("/") || path === "." || path.endsWith("/.");
}
