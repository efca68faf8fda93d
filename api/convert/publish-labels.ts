/**
 * Labels of a service that say where a published port is open, for whom, and what its tasks see of a client,
 * so that the stock client and compose files can ask for what Docker has no field for. Pure.
 *
 *   skein.publish.<port>[/<protocol>].addresses   addresses or interface names, with commas
 *   skein.publish.<port>[/<protocol>].allow       subnets or addresses of clients, with commas
 *   skein.publish.<port>[/<protocol>].source      keep, snat or proxy
 *
 * A label without a value is refused: whether it means nobody or everybody is no matter for a guess.
 * The port is the published one; without a protocol it means all. What a label says counts, whatever stands
 * in the field: a stock client sends back the one, not the other.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import {
  type EndpointSpec,
  type PortConfig,
  PortProtocol,
  SourceMode,
} from "../../proto/gen/skein/v1/types.js";

export const PUBLISH_LABEL_PREFIX = "skein.publish.";

export const SOURCE_MODES = {
  keep: SourceMode.KEEP,
  snat: SourceMode.SNAT,
  proxy: SourceMode.PROXY,
} as const;

const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  tcp: PortProtocol.TCP,
  udp: PortProtocol.UDP,
  sctp: PortProtocol.SCTP,
};
const LABEL = /^skein\.publish\.(\d{1,5})(?:\/(tcp|udp|sctp))?\.(addresses|allow|source)$/;

/** @throws {InvalidArgumentError} naming the label, the rule and the value. */
export function withPublishLabels(
  endpoint: EndpointSpec | undefined,
  labels: Readonly<Record<string, string>>,
): EndpointSpec | undefined {
  const names = Object.keys(labels).filter((name) => name.startsWith(PUBLISH_LABEL_PREFIX));
  if (names.length === 0) return endpoint;
  let ports = [...(endpoint?.ports ?? [])];
  // what names a protocol comes last, and so counts more than what means all
  for (const name of names.sort((a, b) => Number(a.includes("/")) - Number(b.includes("/")))) {
    const match = LABEL.exec(name);
    if (match === null) {
      throw new InvalidArgumentError(
        `label ${name} must be ${PUBLISH_LABEL_PREFIX}<port>[/<protocol>].addresses, .allow or .source`,
      );
    }
    const [, number, protocol, what = ""] = match;
    const isMeant = (port: PortConfig): boolean =>
      port.publishedPort === Number(number) &&
      (protocol === undefined || port.protocol === PROTOCOLS[protocol]);
    if (!ports.some(isMeant)) {
      const port = `${number}${protocol === undefined ? "" : `/${protocol}`}`;
      throw new InvalidArgumentError(`label ${name}: the service publishes no port ${port}`);
    }
    const change = changeOf(name, what, labels[name] ?? "");
    ports = ports.map((port) => (isMeant(port) ? { ...port, ...change } : port));
  }
  return endpoint === undefined ? undefined : { ...endpoint, ports };
}

function changeOf(name: string, what: string, text: string): Partial<PortConfig> {
  const list = text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
  if (what !== "source" && list.length === 0)
    throw new InvalidArgumentError(`label ${name} names nothing: give a value, or remove the label`);
  if (what === "addresses") return { hostAddresses: list };
  if (what === "allow") return { allowedSources: list.map(subnetOf) };
  const mode = Object.entries(SOURCE_MODES).find(([word]) => word === text)?.[1];
  if (mode === undefined) {
    const known = Object.keys(SOURCE_MODES).join(", ");
    throw new InvalidArgumentError(`label ${name} must be one of ${known}, got "${text}"`);
  }
  return { sourceMode: mode };
}

/** A single address stands for the subnet that holds it alone. */
export function subnetOf(text: string): string {
  if (text.includes("/")) return text;
  return `${text}/${text.includes(":") ? 128 : 32}`;
}
