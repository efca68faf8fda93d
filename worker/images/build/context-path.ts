/**
 * Paths as text: cleaned, joined, split, the way Go's path package does it. Pure.
 * Source: Dockerfile reference, COPY and WORKDIR.
 */

/** Without empty parts, "." and what ".." takes back; "" becomes ".". */
export function cleanPath(path: string): string {
  const absolute = path.startsWith("/");
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!absolute) parts.push("..");
  }
  return absolute ? `/${parts.join("/")}` : parts.join("/") || ".";
}

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
