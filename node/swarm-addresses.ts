/**
 * The three addresses of a node, from the flags of init and join. Edge: through address.ts to node:os.
 */
import { isIPv4 } from "node:net";
import { InvalidArgumentError } from "../base/errors/errors.js";
import { formatHostPort, machineAddresses, parseHostPort, resolveAddress } from "./address.js";

/** Where managers listen unless told otherwise. */
export const DEFAULT_PORT = 2377;

export interface SwarmAddresses {
  /** host:port the manager listens on. */
  readonly listenAddress: string;
  /** host:port other nodes use. */
  readonly advertiseAddress: string;
  /** The interface that holds this address; "": none of this machine. */
  readonly advertiseInterface: string;
  /** IP of the VTEP. */
  readonly dataPathAddress: string;
}

/**
 * @throws {InvalidArgumentError} naming the flag: an unknown interface, several addresses to choose from,
 * a bad port, a data path that is not IPv4.
 */
export function swarmAddresses(request: {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
}): SwarmAddresses {
  const { listenAddr, advertiseAddr, dataPathAddr } = request;
  const listen = parseHostPort(listenAddr === "" ? `0.0.0.0:${DEFAULT_PORT}` : listenAddr, DEFAULT_PORT);
  const listenIp = listen.host === "0.0.0.0" ? "0.0.0.0" : resolveAddress(listen.host, "--listen-addr");
  const wanted =
    advertiseAddr === "" ? { host: "", port: listen.port } : parseHostPort(advertiseAddr, listen.port);
  const fallback = listenIp === "0.0.0.0" ? "" : listenIp;
  const advertiseIp = resolveAddress(wanted.host === "" ? fallback : wanted.host, "--advertise-addr");
  const dataPathIp = dataPathAddr === "" ? advertiseIp : resolveAddress(dataPathAddr, "--data-path-addr");
  if (!isIPv4(dataPathIp)) {
    throw new InvalidArgumentError(
      `--data-path-addr must be an IPv4 address of this host, got ${dataPathIp}`,
    );
  }
  return {
    listenAddress: formatHostPort({ host: listenIp, port: listen.port }),
    advertiseAddress: formatHostPort({ host: advertiseIp, port: wanted.port }),
    advertiseInterface: machineAddresses().find(({ address }) => address === advertiseIp)?.name ?? "",
    dataPathAddress: dataPathIp,
  };
}
