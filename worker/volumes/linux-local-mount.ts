/**
 * Mounts what the options of a local volume name. Edge: to mount(2), /proc/self/mountinfo and name service.
 */

import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { InternalError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { unescaped } from "../runtime/linux-mountinfo.js";
import { endsWith } from "../runtime/linux-private-mounts.js";
import { type LocalMount, serverName, withServerAddress } from "./local-options.js";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  ENODEV: "no such device",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EINVAL: "invalid argument",
  ENOTBLK: "block device required",
  ENOTDIR: "not a directory",
  EBUSY: "device or resource busy",
  ECONNREFUSED: "connection refused",
  ETIMEDOUT: "connection timed out",
};

/** @throws {InternalError} with the kernel's reason. */
export async function mountLocal(
  linux: Pick<Linux, "mount" | "mountAside">,
  wanted: LocalMount,
  target: string,
): Promise<void> {
  const mount = await resolved(wanted);
  const data = mount.data.join(",");
  try {
    const wait = linux.mountAside ?? ((options) => linux.mount(options));
    await wait({
      source: mount.device,
      target,
      type: mount.flags.includes("bind") || mount.flags.includes("rbind") ? "" : mount.type,
      flags: mount.flags,
      ...(data === "" ? {} : { data }),
    });
    remountReadOnly(linux, mount, target);
  } catch (error) {
    const code = /\b(E[A-Z0-9]+)$/.exec(messageOf(error))?.[1] ?? "";
    const details = data === "" ? "" : `, data: ${data}`;
    throw new InternalError(
      `error while mounting volume '${target}': failed to mount local volume: ` +
        `mount ${mount.device}:${target}${flagsText(mount.flags)}${details}: ${REASONS[code] ?? messageOf(error)}`,
      { cause: error },
    );
  }
}

/** As mount(2) has them, which Docker shows. */
const MS_FLAGS: Readonly<Record<string, number>> = {
  ro: 0x1,
  nosuid: 0x2,
  nodev: 0x4,
  noexec: 0x8,
  sync: 0x10,
  noatime: 0x400,
  bind: 0x1000,
  rbind: 0x5000,
};

function flagsText(flags: readonly string[]): string {
  const bits = flags.reduce((sum, flag) => sum | (MS_FLAGS[flag] ?? 0), 0);
  return bits === 0 ? "" : `, flags: 0x${bits.toString(16)}`;
}

/** A bind mount takes no other flags at first: they need a second look at it. */
function remountReadOnly(linux: Pick<Linux, "mount">, mount: LocalMount, target: string): void {
  const extra = mount.flags.filter((flag) => ["ro", "nosuid", "nodev", "noexec", "noatime"].includes(flag));
  if (extra.length === 0 || !mount.flags.some((flag) => flag === "bind" || flag === "rbind")) return;
  linux.mount({ source: "none", target, type: "", flags: ["remount", "bind", ...extra] });
}

async function resolved(mount: LocalMount): Promise<LocalMount> {
  const name = serverName(mount);
  if (name === undefined || isIP(name) !== 0) return mount;
  try {
    return withServerAddress(mount, (await lookup(name)).address);
  } catch (error) {
    throw new InternalError(`error resolving passed in network volume address: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

export async function unmountLocal(linux: Pick<Linux, "unmount">, target: string): Promise<void> {
  try {
    await linux.unmount(target);
  } catch (error) {
    if (endsWith(error, "EINVAL", "ENOENT")) return; // no mount any more
    if (!endsWith(error, "EBUSY")) throw error;
    await linux.unmount(target, { detach: true });
  }
}

/** Mount points below a folder, read once. */
export function mountPointsBelow(folder: string): ReadonlySet<string> {
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => unescaped(line.split(" ")[4] ?? ""));
  return new Set(points.filter((point) => point.startsWith(`${folder}/`)));
}
