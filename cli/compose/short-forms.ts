/**
 * Short forms of ports and volumes: "8080:80/udp", "data:/var/lib/data:ro". Pure.
 * @throws {InvalidArgumentError} the rule, without the place: the caller knows it.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { MountDoc, PortDoc } from "./model.js";

function range(text: string): [number, number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match === null || from > to || to > 65_535)
    throw new InvalidArgumentError(`must name a port of 0 to 65535 or a range, got ${JSON.stringify(text)}`);
  return [from, to];
}

export interface ShortPorts {
  readonly ports: readonly PortDoc[];
  /** "" when none was given. */
  readonly hostIp: string;
}

/** [HOST-IP:][PUBLISHED:]TARGET[/PROTOCOL], ports or ranges of the same length. */
export function shortPorts(text: string): ShortPorts {
  const match = /^(?:(\[[^\]]+\]|[^:[\]]*[^:[\]\d-][^:[\]]*):)?(?:([\d-]*):)?([\d-]+)(?:\/(\w+))?$/.exec(
    text,
  );
  if (match === null)
    throw new InvalidArgumentError(`must be PUBLISHED:TARGET[/PROTOCOL], got ${JSON.stringify(text)}`);
  const [, hostIp = "", publishedText = "", targetText = "", protocol = "tcp"] = match;
  if (!["tcp", "udp", "sctp"].includes(protocol))
    throw new InvalidArgumentError(`must have the protocol tcp, udp or sctp, got ${JSON.stringify(text)}`);
  const [first, last] = range(targetText);
  if (first === 0)
    throw new InvalidArgumentError(`must name a target port of 1 to 65535, got ${JSON.stringify(text)}`);
  const published = publishedText === "" ? undefined : range(publishedText);
  if (published !== undefined && published[1] - published[0] !== last - first) {
    throw new InvalidArgumentError(`must have ranges of the same length, got ${JSON.stringify(text)}`);
  }
  const ports = Array.from({ length: last - first + 1 }, (_, i) => ({
    target: first + i,
    ...(published === undefined ? {} : { published: published[0] + i }),
    protocol,
    mode: "ingress",
  }));
  return { ports, hostIp };
}

const PROPAGATIONS = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
const CONSISTENCIES = ["consistent", "cached", "delegated"];
/** Accepted and without effect: SELinux labels, and "read-write", which is the default. */
const SILENT = ["rw", "z", "Z"];

const isPath = (source: string): boolean => /^(\/|\.{1,2}(\/|$)|~(\/|$))/.test(source);

/** [SOURCE:]TARGET[:OPTIONS]; a source that begins with /, . or ~ is a path of the node. */
export function shortMount(text: string): MountDoc {
  const parts = text.split(":");
  const [first = "", second, third, ...more] = parts;
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
    else if (option === "nocopy") result = { ...result, volume: { nocopy: true } };
    else if (PROPAGATIONS.includes(option)) result = { ...result, bind: { propagation: option } };
    else if (CONSISTENCIES.includes(option)) result = { ...result, consistency: option };
    else if (!SILENT.includes(option))
      throw new InvalidArgumentError(
        `has the unknown option ${JSON.stringify(option)} in ${JSON.stringify(text)}`,
      );
  }
  return result;
}
