/**
 * Devices of the host, as a container's configuration names them. Edge: to /dev.
 * Source: stat(2), makedev(3).
 */
import type { BigIntStats } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { DeviceMapping } from "../../proto/engine/containers.js";
import { devicePermissions } from "./device-rules.js";
import { isErrno } from "./linux-process.js";
import type { BlockDevices } from "./oci-resources.js";
import type { OciDevice, OciDeviceRule } from "./oci-types.js";

/** Made by the runtime itself, or no devices of the machine. */
const NOT_HANDED_ON = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
const DEVICES_MAX = 4_096;

export interface HostDevices {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
}

/** One mapping: a device, or all below a folder. @throws {InvalidArgumentError} no such device. */
export async function mappedDevices(mapping: DeviceMapping): Promise<HostDevices> {
  const { pathOnHost, pathInContainer } = mapping;
  const access = devicePermissions(mapping.permissions);
  const target = pathInContainer === "" ? pathOnHost : pathInContainer;
  let devices: readonly OciDevice[];
  try {
    const source = await realpath(pathOnHost);
    const info = await stat(source, { bigint: true });
    devices = info.isDirectory()
      ? await devicesBelow(source, target, () => false)
      : [deviceOf(info, target)].filter((device) => device !== undefined);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP")) throw error;
    throw new InvalidArgumentError(
      `error gathering device information while adding custom device "${pathOnHost}": ` +
        (isErrno(error, "ENOENT") ? "no such file or directory" : messageOf(error)),
      { cause: error },
    );
  }
  if (devices.length === 0)
    throw new InvalidArgumentError(
      `error gathering device information while adding custom device "${pathOnHost}": not a device node`,
    );
  const rules = devices.map(({ type, major, minor }) => ({ allow: true, type, major, minor, access }));
  return { devices, rules };
}

/** Every device of the machine, for a privileged container. */
export function allDevices(): Promise<readonly OciDevice[]> {
  return devicesBelow(
    "/dev",
    "/dev",
    (name, top) => top && (NOT_HANDED_ON.includes(name) || name === "console"),
  );
}

/** @throws {InvalidArgumentError} a path that is no block device. */
export async function blockDeviceNumbers(paths: readonly string[]): Promise<BlockDevices> {
  const numbers = new Map<string, { major: number; minor: number }>();
  for (const path of new Set(paths)) {
    try {
      numbers.set(path, numbersOf((await stat(path, { bigint: true })).rdev));
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR", "EACCES")) throw error;
      throw new InvalidArgumentError(`stat ${path}: no such file or directory`, { cause: error });
    }
  }
  return numbers;
}

async function devicesBelow(
  folder: string,
  target: string,
  leavesOut: (name: string, top: boolean) => boolean,
): Promise<readonly OciDevice[]> {
  const found: OciDevice[] = [];
  const pending = [{ folder, target, top: true }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const entry of await readdir(next.folder, { withFileTypes: true })) {
      if (leavesOut(entry.name, next.top)) continue;
      const path = join(next.folder, entry.name);
      const place = join(next.target, entry.name);
      if (entry.isDirectory()) pending.push({ folder: path, target: place, top: false });
      if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue;
      const device = await statDevice(path, place);
      if (device !== undefined) found.push(device);
      if (found.length > DEVICES_MAX)
        throw new InvalidArgumentError(`more than ${DEVICES_MAX} devices below ${folder}`);
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** undefined: it went away meanwhile. */
async function statDevice(path: string, target: string): Promise<OciDevice | undefined> {
  try {
    return deviceOf(await stat(path, { bigint: true }), target);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function deviceOf(info: BigIntStats, path: string): OciDevice | undefined {
  if (!info.isCharacterDevice() && !info.isBlockDevice()) return undefined;
  return {
    type: info.isBlockDevice() ? "b" : "c",
    path,
    ...numbersOf(info.rdev),
    fileMode: Number(info.mode & 0o7777n),
    uid: Number(info.uid),
    gid: Number(info.gid),
  };
}

function numbersOf(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    minor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}
