/**
 * CDI devices of this machine: specifications below /etc/cdi and /var/run/cdi, read when a container asks for
 * some. Edge: to the file system.
 * Invariant: of two files that name one device the later folder's wins; a file that cannot be read takes only
 * its own devices away, and is told of in the log.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { type CdiDeviceNode, type CdiEdits, type CdiSpec, cdiSpec } from "./cdi-spec.js";
import { type DeviceRequest, requestedDevices } from "./device-requests.js";
import { mappedDevices } from "./linux-devices.js";
import { isErrno } from "./linux-process.js";
import type { OciDevice, OciDeviceRule, OciHook, OciHookName, OciHooks, OciMount } from "./oci-types.js";

export const CDI_FOLDERS: readonly string[] = ["/etc/cdi", "/var/run/cdi"];
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const FILES_MAX = 256;

/** What devices add to a container's configuration. */
export interface DeviceInjection {
  readonly env: readonly string[];
  readonly mounts: readonly OciMount[];
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
  readonly hooks: OciHooks;
  readonly additionalGids: readonly number[];
}

/** @throws {InvalidArgumentError} a request that nothing here can answer. */
export async function injectDevices(
  requests: readonly DeviceRequest[],
  init: { readonly folders?: readonly string[]; readonly log: Logger },
): Promise<DeviceInjection> {
  const devices = await readDevices(init.folders ?? CDI_FOLDERS, init.log);
  const names = requestedDevices(requests, [...devices.keys()]);
  const edits: CdiEdits[] = [];
  const files = new Set<CdiSpec>();
  for (const name of names) {
    const found = devices.get(name);
    if (found === undefined) continue; // requestedDevices gives known names only
    if (!files.has(found.spec)) edits.push(found.spec.edits);
    files.add(found.spec);
    edits.push(found.edits);
  }
  return joined(edits);
}

/** Bounds what a node tells of itself; a description as a whole may have 64 KiB. */
const DEVICES_TOLD_MAX = 512;
const DEVICE_BYTES_TOLD_MAX = 16 * 1024;

/** Fully qualified names of the devices that containers can ask for here, in order, as many as are told. */
export async function cdiDeviceNames(init: {
  readonly folders?: readonly string[];
  readonly log: Logger;
}): Promise<readonly string[]> {
  const devices = await readDevices(init.folders ?? CDI_FOLDERS, init.log).catch((error: unknown) => {
    init.log.warn("the folders of CDI specifications cannot be read", { error: messageOf(error) });
    return new Map<string, Found>();
  });
  const told: string[] = [];
  let bytes = 0;
  for (const name of [...devices.keys()].sort()) {
    bytes += name.length + 4;
    if (told.length === DEVICES_TOLD_MAX || bytes > DEVICE_BYTES_TOLD_MAX) break;
    told.push(name);
  }
  if (told.length < devices.size)
    init.log.warn("not all CDI devices are told to the swarm", { devices: devices.size, told: told.length });
  return told;
}

interface Found {
  readonly spec: CdiSpec;
  readonly edits: CdiEdits;
}

async function readDevices(folders: readonly string[], log: Logger): Promise<ReadonlyMap<string, Found>> {
  const devices = new Map<string, Found>();
  for (const folder of folders) {
    for (const file of (await specFiles(folder)).slice(0, FILES_MAX)) {
      try {
        const spec = cdiSpec(await parsed(join(folder, file)));
        for (const [name, edits] of spec.devices) devices.set(`${spec.kind}=${name}`, { spec, edits });
      } catch (error) {
        log.warn("a CDI specification cannot be used", { file: join(folder, file), error: messageOf(error) });
      }
    }
  }
  return devices;
}

async function specFiles(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => /\.(json|ya?ml)$/.test(name)).sort();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

async function parsed(path: string): Promise<unknown> {
  if ((await stat(path)).size > FILE_BYTES_MAX)
    throw new InvalidArgumentError(`larger than ${FILE_BYTES_MAX} bytes`);
  const text = await readFile(path, "utf8");
  if (path.endsWith(".json")) return JSON.parse(text);
  const { parse } = await import("yaml"); // only where such a file is: the package is large
  return parse(text, { maxAliasCount: 100 });
}

async function joined(all: readonly CdiEdits[]): Promise<DeviceInjection> {
  const devices: OciDevice[] = [];
  const rules: OciDeviceRule[] = [];
  for (const node of all.flatMap((edits) => edits.deviceNodes)) {
    const made = await nodeOf(node);
    devices.push(made.device);
    rules.push(made.rule);
  }
  const hooks: { [K in OciHookName]?: readonly OciHook[] } = {};
  for (const { name, hook } of all.flatMap((edits) => edits.hooks))
    hooks[name] = [...(hooks[name] ?? []), hook];
  return {
    env: all.flatMap((edits) => edits.env),
    mounts: all.flatMap((edits) => edits.mounts).map(mountOf),
    devices,
    rules,
    hooks,
    additionalGids: [...new Set(all.flatMap((edits) => edits.additionalGids))],
  };
}

function mountOf(mount: CdiEdits["mounts"][number]): OciMount {
  const options = mount.options.length > 0 ? mount.options : ["ro", "nosuid", "nodev"];
  const bound = options.includes("bind") || options.includes("rbind") ? options : ["rbind", ...options];
  return { destination: mount.containerPath, type: "bind", source: mount.hostPath, options: bound };
}

/** Type, numbers, owner and mode: the specification's where it tells them, else the host's. */
async function nodeOf(node: CdiDeviceNode): Promise<{ device: OciDevice; rule: OciDeviceRule }> {
  const { type, major, minor, path, permissions } = node;
  let device: OciDevice;
  if ((type === "c" || type === "b" || type === "u") && major !== undefined && minor !== undefined) {
    device = { type: type === "b" ? "b" : "c", path, major, minor };
  } else {
    const mapping = { pathOnHost: node.hostPath, pathInContainer: path, permissions };
    const found = (await mappedDevices(mapping)).devices[0];
    if (found === undefined) throw new InvalidArgumentError(`${node.hostPath} is no device`);
    device = found;
  }
  return {
    device: {
      ...device,
      ...(node.fileMode === undefined ? {} : { fileMode: node.fileMode }),
      ...(node.uid === undefined ? {} : { uid: node.uid }),
      ...(node.gid === undefined ? {} : { gid: node.gid }),
    },
    rule: { allow: true, type: device.type, major: device.major, minor: device.minor, access: permissions },
  };
}
