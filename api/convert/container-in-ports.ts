/**
 * Ports of a container: what is exposed and what is published. Pure.
 * Refused is what dockerd refuses, in its words. Source: Docker Engine API 1.51, PortMap.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { PortBinding } from "../../proto/engine/networks.js";
import { Fields } from "./fields.js";
import { isIp } from "./ip-text.js";

type Protocol = PortBinding["protocol"];
const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "sctp"];
const PORT_MAX = 65_535;
/** A range of more is taken for a mistake: each port is a rule of its own. */
const PORTS_EXPOSED_MAX = PORT_MAX;

interface Range {
  readonly first: number;
  readonly last: number;
}

function wrong(text: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid port specification: ${JSON.stringify(text)}`);
}

function rangeIn(text: string): Range {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) throw wrong(text);
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (last < first || last > PORT_MAX) throw wrong(text);
  return { first, last };
}

function protocolIn(text: string): Protocol {
  const protocol = PROTOCOLS.find((each) => each === text.toLowerCase());
  if (protocol === undefined) throw new InvalidArgumentError(`invalid proto: ${text}`);
  return protocol;
}

/** "80-82/tcp": the ports and the protocol, tcp when not said. */
export function portRangeIn(text: string): Range & { readonly protocol: Protocol } {
  const at = text.indexOf("/");
  const ports = at < 0 ? text : text.slice(0, at);
  return { ...rangeIn(ports), protocol: at < 0 ? "tcp" : protocolIn(text.slice(at + 1)) };
}

/** Keys of ExposedPorts as "80/tcp", a range as each of its ports. */
export function exposedPortsIn(keys: readonly string[]): string[] {
  const ports = new Set<string>();
  for (const key of keys) {
    const { first, last, protocol } = portRangeIn(key);
    for (let port = first; port <= last && ports.size < PORTS_EXPOSED_MAX; port++)
      ports.add(`${port}/${protocol}`);
  }
  return [...ports];
}

export function portBindingsIn(value: unknown): PortBinding[] {
  if (value === undefined) return [];
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidArgumentError("HostConfig.PortBindings must be a map of lists");
  return Object.entries(value).flatMap(([key, bindings]) => bindingsOf(key, bindings));
}

function bindingsOf(key: string, bindings: unknown): PortBinding[] {
  const { first, last, protocol } = portRangeIn(key);
  if (first !== last) throw wrong(key);
  const list: unknown = bindings ?? [];
  if (!Array.isArray(list)) throw new InvalidArgumentError(`HostConfig.PortBindings.${key} must be a list`);
  return list.map((item: unknown) => {
    const fields = Fields.of(item, `HostConfig.PortBindings.${key}`);
    const hostAddress = fields.string("HostIp");
    const hostPort = fields.string("HostPort");
    if (hostAddress !== "" && !isIp(hostAddress))
      throw new InvalidArgumentError(`invalid IP address in port binding: ${JSON.stringify(hostAddress)}`);
    const range = hostPort === "" ? { first: 0, last: 0 } : rangeIn(hostPort);
    return {
      containerPort: first,
      protocol,
      hostAddress,
      hostPort: range.first,
      ...(range.last > range.first ? { hostPortEnd: range.last } : {}),
    };
  });
}
