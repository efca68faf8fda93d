/**
 * Which proxy stands before a server, as the variables HTTPS_PROXY and NO_PROXY say it.
 * Pure. Invariant: loopback is never asked for through a proxy. Plain text goes to near addresses only, which
 * are spoken to directly, so HTTP_PROXY has no part here.
 * Source: the rules of Go's net/http/httpproxy, which the stock daemon follows.
 */
import ipaddr from "ipaddr.js";
import { InvalidArgumentError } from "../../base/errors/errors.js";

export interface ProxySettings {
  /** HTTPS_PROXY: a URL, or host:port. "": none. */
  readonly https: string;
  /** NO_PROXY: hosts, .domains, addresses and ranges, commas between them; "*": everything. */
  readonly none: string;
}

export const NO_PROXIES: ProxySettings = { https: "", none: "" };

/** In either case, as everybody reads them; the upper one counts. */
export function proxiesOfEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): ProxySettings {
  const read = (name: string): string => environment[name] || environment[name.toLowerCase()] || "";
  return { https: read("HTTPS_PROXY"), none: read("NO_PROXY") };
}

/** @returns undefined: directly. @throws {InvalidArgumentError} the setting is no URL. */
export function proxyFor(
  target: { readonly host: string; readonly port: number },
  settings: ProxySettings,
): URL | undefined {
  if (settings.https === "" || isExempt(target, settings.none)) return undefined;
  const text = settings.https.includes("://") ? settings.https : `http://${settings.https}`;
  if (!URL.canParse(text)) throw new InvalidArgumentError("HTTPS_PROXY must be a URL or host:port");
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new InvalidArgumentError(`HTTPS_PROXY must begin with http:// or https://, got ${url.protocol}//`);
  return url;
}

function isExempt({ host, port }: { host: string; port: number }, none: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (name === "localhost") return true;
  const address = ipaddr.isValid(name) ? ipaddr.process(name) : undefined;
  if (address?.range() === "loopback") return true;
  return none
    .toLowerCase()
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .some((entry) => entry === "*" || matches(entry, { name, port, address }));
}

function matches(
  entry: string,
  target: { name: string; port: number; address: ReturnType<typeof ipaddr.process> | undefined },
): boolean {
  if (entry.includes("/")) {
    if (target.address === undefined || !ipaddr.isValidCIDR(entry)) return false;
    const [network, bits] = ipaddr.parseCIDR(entry);
    return network.kind() === target.address.kind() && target.address.match(network, bits);
  }
  const match = /^(\[[^\]]+\]|[^:]+|[0-9a-f:]+)(?::(\d+))?$/.exec(entry);
  const host = (match?.[1] ?? entry).replace(/^\[|\]$/g, "");
  if (match?.[2] !== undefined && Number(match[2]) !== target.port) return false;
  if (target.address !== undefined)
    return ipaddr.isValid(host) && ipaddr.process(host).toString() === target.address.toString();
  const bare = host.replace(/^\*?\./, "");
  if (host.startsWith(".") || host.startsWith("*.")) return target.name.endsWith(`.${bare}`);
  return target.name === bare || target.name.endsWith(`.${bare}`);
}
