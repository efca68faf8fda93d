/**
 * The addresses of a node that comes back: where its interface, or its operator, says that it is now.
 * Pure. Invariant: an address that no interface of this machine ever held (behind address translation) is
 * left as it was said; what follows the advertised address goes on following it.
 */
import { formatHostPort, parseHostPort } from "./address.js";
import { DEFAULT_PORT } from "./swarm-addresses.js";
import type { SwarmState } from "./swarm-files.js";

export interface MachineAddress {
  /** Of the interface. */
  readonly name: string;
  readonly address: string;
}

/**
 * @param advertised IP, with or without port, that the operator names at this start; undefined: nothing.
 * @returns the same object when nothing has moved.
 */
export function movedAddresses(
  state: SwarmState,
  machine: readonly MachineAddress[],
  advertised: string | undefined,
): SwarmState {
  const before = parseHostPort(state.advertiseAddress, DEFAULT_PORT);
  const said = advertised === undefined ? undefined : parseHostPort(advertised, before.port);
  const now = said ?? { host: whereNow(before.host, state.advertiseInterface, machine), port: before.port };
  const advertiseAddress = formatHostPort(now);
  const follow = (host: string): string => (host === before.host ? now.host : host);
  const listen = parseHostPort(state.listenAddress, DEFAULT_PORT);
  const moved: SwarmState = {
    ...state,
    advertiseAddress,
    advertiseInterface: machine.find(({ address }) => address === now.host)?.name ?? state.advertiseInterface,
    listenAddress: formatHostPort({ host: follow(listen.host), port: listen.port }),
    dataPathAddress: follow(state.dataPathAddress),
    managers: state.managers.map((each) => (each === state.advertiseAddress ? advertiseAddress : each)),
  };
  return advertiseAddress === state.advertiseAddress ? state : moved;
}

/** The interface's address of now, when it has lost the one it had. */
function whereNow(ip: string, interfaceName: string, machine: readonly MachineAddress[]): string {
  if (interfaceName === "" || machine.some(({ address }) => address === ip)) return ip;
  return machine.find(({ name }) => name === interfaceName)?.address ?? ip;
}
