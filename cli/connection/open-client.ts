/**
 * The client of an endpoint, over plain HTTP, TLS or ssh. Edge: to node:https and ssh, each loaded only where
 * it is needed.
 */
import { ApiClient } from "../http-client.js";
import { addressOf, type Endpoint } from "./endpoint.js";

export interface OpenOptions {
  /** ssh may ask for passwords and about host keys. @default true */
  readonly asks?: boolean;
}

/** @throws {InvalidArgumentError} an address that is none. */
export async function openClient(endpoint: Endpoint, { asks = true }: OpenOptions = {}): Promise<ApiClient> {
  const { host, source, tls } = endpoint;
  const address = addressOf(host, tls !== undefined, `the host (named by ${source})`);
  if (address.kind === "ssh") {
    const { SshAgent } = await import("./process-ssh-agent.js");
    return new ApiClient(endpoint, {
      options: { host: "skein", agent: new SshAgent(address, endpoint, asks) },
    });
  }
  if (address.kind === "unix" || !address.secure) return new ApiClient(endpoint);
  const { request, Agent } = await import("node:https");
  const { verify = true, ...pem } = tls ?? {};
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: verify, ...pem });
  return new ApiClient(endpoint, { request, options: { host: address.host, port: address.port, agent } });
}
