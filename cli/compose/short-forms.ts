/**
 * Short forms of ports, volumes and devices: "8080:80/udp", "data:/var/lib/data:ro", "/dev/fuse". Pure.
 * @throws {InvalidArgumentError} the rule, without the place: the caller knows it.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { DeviceDoc, MountDoc, PortDoc } from "./model.js";

function range(text: string): [number, number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match === null || from > to || to > 65_535)
    throw new InvalidArgumentError(`must name a port of 0 to 65535 or a range, got ${JSON.stringify(text)}`);
  return [from, to];
}

/** Longer text is none of these forms, and would cost the square of its length. */
const LENGTH_MAX = 4_096;

function checkLength(text: string): void {
  if (text.length > LENGTH_MAX)
    throw new InvalidArgumentError(`is longer than ${LENGTH_MAX} characters: ${text.slice(0, 40)}…`);
}

/** HOST, an address with or without brackets; PUBLISHED; TARGET; PROTOCOL. */
const PORTS = /^(?:(\[[^\]]+\]|[^:[\]]*[^:[\]\d-][^:[\]]*):)?(?:([\d-]*):)?([\d-]+)(?:\/(\w+))?$/;

/**
 * [HOST-IP:][PUBLISHED:]TARGET[/PROTOCOL], ports or ranges of the same length. A published range before one
 * target stays one entry: one of its ports is meant; in version 3 files it is one entry per published port.
 */
export function shortPorts(text: string, options: { readonly isVersion3: boolean }): PortDoc[] {
  checkLength(text);
  const match = PORTS.exec(text);
  if (match === null)
    throw new InvalidArgumentError(`must be PUBLISHED:TARGET[/PROTOCOL], got ${JSON.stringify(text)}`);
  const [, hostIp = "", publishedText = "", targetText = "", protocol = "tcp"] = match;
  if (!["tcp", "udp", "sctp"].includes(protocol.toLowerCase()))
    throw new InvalidArgumentError(`must have the protocol tcp, udp or sctp, got ${JSON.stringify(text)}`);
  const [first, last] = range(targetText);
  if (first === 0)
    throw new InvalidArgumentError(`must name a target port of 1 to 65535, got ${JSON.stringify(text)}`);
  const published = publishedText === "" ? undefined : range(publishedText);
  const more = {
    ...(hostIp === "" ? {} : { host_ip: hostIp.replace(/^\[(.*)\]$/, "$1") }),
    protocol: protocol.toLowerCase(),
    mode: "ingress",
  };
  const targets = last - first + 1;
  const count = published === undefined ? targets : published[1] - published[0] + 1;
  if (published !== undefined && targets === 1 && count > 1) {
    if (!options.isVersion3) return [{ target: first, published: publishedText, ...more }];
    return Array.from({ length: count }, (_, i) => ({ target: first, published: published[0] + i, ...more }));
  }
  if (count !== targets)
    throw new InvalidArgumentError(`must have ranges of the same length, got ${JSON.stringify(text)}`);
  return Array.from({ length: targets }, (_, i) => ({
    target: first + i,
    ...(published === undefined ? {} : { published: published[0] + i }),
    ...more,
  }));
}

/** 8080, "8080" or "8000-8010" of the long form; undefined for none. */
export function publishedPort(value: unknown): number | string | undefined {
  const text = String(value);
  if (text === "") return undefined;
  const [from, to] = range(text);
  return from === to ? from : text;
}

const PROPAGATIONS = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
const CONSISTENCIES = ["consistent", "cached", "delegated"];

const DRIVE = /^[A-Za-z]:[\\/]/;
/** No name of a volume begins so. */
const isPath = (source: string): boolean => /^[/.~]/.test(source) || DRIVE.test(source);

/** [SOURCE:]TARGET[:OPTIONS]; a source that begins with /, . or ~ is a path of the node. */
export function shortMount(text: string): MountDoc {
  checkLength(text);
  const drive = DRIVE.exec(text)?.[0] ?? "";
  const [start = "", second, third, ...more] = text.slice(drive.length).split(":");
  const first = drive + start;
  if (more.length > 0 || first === "" || second === "")
    throw new InvalidArgumentError(`must be [SOURCE:]TARGET[:OPTIONS], got ${JSON.stringify(text)}`);
  if (second === undefined || (third === undefined && !second.startsWith("/")))
    return withOptions({ type: "volume", target: first }, second, text);
  return withOptions({ type: isPath(first) ? "bind" : "volume", source: first, target: second }, third, text);
}

function withOptions(mount: MountDoc, options: string | undefined, text: string): MountDoc {
  let result = mount;
  for (const option of (options ?? "").split(",").filter((each) => each !== "")) {
    if (option === "ro") result = { ...result, read_only: true };
    else if (option === "nocopy" || option === "volume-nocopy")
      result = { ...result, volume: { ...result.volume, nocopy: true } };
    else if (PROPAGATIONS.includes(option))
      result = { ...result, bind: { ...result.bind, propagation: option } };
    else if (CONSISTENCIES.includes(option)) result = { ...result, consistency: option };
    else if (option === "z" || option === "Z") {
      // labels of a volume are the driver's affair
      if (mount.type === "bind") result = { ...result, bind: { ...result.bind, selinux: option } };
    } else if (option !== "rw")
      throw new InvalidArgumentError(
        `has the unknown option ${JSON.stringify(option)} in ${JSON.stringify(text)}`,
      );
  }
  return result;
}

/** SOURCE[:TARGET[:PERMISSIONS]], or the name of a CDI device: vendor.com/class=name. */
export function shortDevice(text: string): DeviceDoc {
  checkLength(text);
  if (/^[\w.-]+\/[\w.-]+=[\w.:-]+$/.test(text)) return { source: text };
  const [source = "", target, permissions, ...more] = text.split(":");
  if (source === "" || target === "" || more.length > 0)
    throw new InvalidArgumentError(`must be SOURCE[:TARGET[:PERMISSIONS]], got ${JSON.stringify(text)}`);
  // "/dev/fuse:rwm" says permissions alone
  if (target !== undefined && permissions === undefined && /^[rwm]{1,3}$/.test(target))
    return { source, target: source, permissions: target };
  return {
    source,
    target: target ?? source,
    ...(permissions === undefined ? {} : { permissions }),
  };
}
