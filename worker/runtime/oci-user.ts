/**
 * Who a container's process is: Docker's user syntax resolved against the image's /etc/passwd and /etc/group.
 * Pure. Forms: "", name, uid, name:group, uid:gid in any mix. Names win over numbers that look alike,
 * as in Docker.
 * Source: passwd(5), group(5), Docker's USER instruction.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { OciUser } from "./oci-types.js";

const ID_MAX = 2 ** 31 - 1;

export interface ResolvedUser extends OciUser {
  /** Home folder from passwd; "/" when unknown. */
  readonly home: string;
}

export function resolveUser(
  request: { readonly user: string; readonly groups: readonly string[] },
  files: { readonly passwd: string; readonly group: string },
): ResolvedUser {
  const [userPart = "", groupPart = ""] = splitOnce(request.user, ":");
  const passwd = rows(files.passwd, 7);
  const group = rows(files.group, 3);

  const wantedUser = userPart === "" ? "0" : userPart;
  const entry = passwd.find((row) => row[0] === wantedUser) ?? passwd.find((row) => row[2] === wantedUser);
  const uid =
    entry === undefined ? numberOrRefuse(wantedUser, "user", "passwd") : idOf(entry[2] ?? "", "/etc/passwd");
  const gid =
    groupPart === ""
      ? entry === undefined
        ? 0
        : idOf(entry[3] ?? "", "/etc/passwd")
      : groupId(groupPart, group);

  // Supplementary groups of the image's own file count only when no group was asked for.
  const member = entry?.[0];
  const own =
    groupPart === "" && member !== undefined
      ? group
          .filter((row) => (row[3] ?? "").split(",").includes(member))
          .map((row) => idOf(row[2] ?? "", "/etc/group"))
      : [];
  const extra = request.groups.map((name) => groupId(name, group, "Unable"));
  // The primary group is among them: else a set-group-id program could shed it and with it what the group is
  // denied.
  const additionalGids = [...new Set([gid, ...own, ...extra])].sort((a, b) => a - b);
  return { uid, gid, additionalGids, home: entry?.[5] || "/" };
}

function groupId(name: string, group: readonly (readonly string[])[], word?: "Unable"): number {
  const entry = group.find((row) => row[0] === name) ?? group.find((row) => row[2] === name);
  return entry === undefined
    ? numberOrRefuse(name, "group", "group", word)
    : idOf(entry[2] ?? "", "/etc/group");
}

function numberOrRefuse(text: string, what: string, file: string, word = "unable"): number {
  if (/^\d+$/.test(text)) return idOf(text, "the request");
  throw new InvalidArgumentError(`${word} to find ${what} ${text}: no matching entries in ${file} file`);
}

function idOf(text: string, where: string): number {
  const id = Number(text);
  if (where === "the request" && id > ID_MAX)
    throw new InvalidArgumentError(`uids and gids must be in range 0-${ID_MAX}`);
  if (!/^\d+$/.test(text) || id > ID_MAX)
    throw new InvalidArgumentError(`id in ${where} must be 0 to ${ID_MAX}, got ${text}`);
  return id;
}

function rows(text: string, fieldsMin: number): (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"))
    .filter((row) => row.length >= Math.min(fieldsMin, 3));
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
