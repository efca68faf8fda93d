/**
 * --chown: numbers, or names as the image's own passwd and group have them.
 * Edge: to the file system, within the image's root. Source: Dockerfile reference, "COPY --chown"; passwd(5),
 * group(5). As in Docker's classic builder a user without a group means the group of the same name or number.
 */
import { readFile } from "node:fs/promises";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import type { Owner, RootedTree } from "./fs-rooted-tree.js";

const FILE_BYTES_MAX = 4 << 20;

/** @throws {InvalidArgumentError} in Docker's words. */
export async function ownerIn(tree: RootedTree, text: string): Promise<Owner> {
  const parts = text.split(":");
  if (parts.length > 2) throw new InvalidArgumentError(`invalid chown string format: ${text}`);
  const [user = "", group = user] = parts;
  return {
    uid: await idIn(tree, { name: user, file: "etc/passwd", id: "uid", kind: "user" }),
    gid: await idIn(tree, { name: group, file: "etc/group", id: "gid", kind: "group" }),
  };
}

async function idIn(
  tree: RootedTree,
  wanted: { name: string; file: string; id: string; kind: string },
): Promise<number> {
  if (/^\d{1,10}$/.test(wanted.name) && Number(wanted.name) < 2 ** 32 - 1) return Number(wanted.name);
  const found = tree.find(wanted.file, { followLast: true });
  if (found.stats?.isFile() === true && found.stats.size <= FILE_BYTES_MAX && wanted.name !== "") {
    for (const line of (await readFile(found.absolute, "utf8")).split("\n")) {
      const [name, , id] = line.split(":");
      if (name === wanted.name && /^\d{1,10}$/.test(id ?? "")) return Number(id);
    }
  }
  throw new InvalidArgumentError(
    "unable to convert uid/gid chown string to host mapping: " +
      `can't find ${wanted.id} for ${wanted.kind} ${wanted.name}: no such ${wanted.kind}: ${wanted.name}`,
  );
}

/** --chmod: octal. @throws {InvalidArgumentError} */
export function modeOf(text: string): number | undefined {
  if (text === "") return undefined;
  if (!/^[0-7]{1,5}$/.test(text) || Number.parseInt(text, 8) > 0o7777)
    throw new InvalidArgumentError(
      `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    );
  return Number.parseInt(text, 8);
}
