/**
 * TLS connections that go through a proxy where one is set.
 * Edge: to node:http, node:https, node:tls. Invariant: the proxy sees the name of the server and encrypted
 * bytes, nothing else; credentials for the proxy go to the proxy alone.
 * Source: RFC 9110 9.3.6 (CONNECT), RFC 7617 (basic).
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { Agent, type AgentOptions, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { UnavailableError } from "../../base/errors/errors.js";
import { type ProxySettings, proxyFor } from "./registry-proxy.js";

const HTTPS_PORT = 443;
const CONNECT_TIMEOUT_MS = 30_000;

type Done = (error: Error | null, socket: Duplex) => void;

export class ProxyingAgent extends Agent {
  readonly #proxies: ProxySettings;

  constructor(options: AgentOptions, proxies: ProxySettings) {
    super(options);
    this.#proxies = proxies;
  }

  override createConnection(options: AgentOptions & ConnectionOptions, done: Done): Duplex | undefined {
    const host = options.host ?? "";
    const port = Number(options.port ?? HTTPS_PORT);
    const proxy = proxyFor({ host, port }, this.#proxies);
    // Node's own types leave this method of the base class out.
    if (proxy === undefined) return (super.createConnection as Connect)(options, done);
    void openTunnel(proxy, host, port).then(
      (socket) => {
        const secure = connectTls({ ...options, socket, servername: options.servername ?? host });
        secure.once("error", (error) => done(error, secure));
        secure.once("secureConnect", () => done(null, secure));
      },
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error)), undefined as never),
    );
    return undefined;
  }
}

type Connect = (options: AgentOptions & ConnectionOptions, done: Done) => Duplex | undefined;

/** @throws {UnavailableError} the proxy cannot be reached, or refuses. */
function openTunnel(proxy: URL, host: string, port: number): Promise<Socket> {
  const target = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const secret = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const authorization =
    proxy.username === "" ? {} : { "proxy-authorization": `Basic ${Buffer.from(secret).toString("base64")}` };
  const send = proxy.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const failed = (words: string, cause?: unknown): void =>
      reject(new UnavailableError(`proxy ${proxy.host}, asked for ${target}: ${words}`, { cause }));
    const request = send({
      host: proxy.hostname.replace(/^\[|\]$/g, ""),
      port: proxy.port === "" ? undefined : Number(proxy.port),
      method: "CONNECT",
      path: target,
      headers: { host: target, ...authorization },
      timeout: CONNECT_TIMEOUT_MS,
      agent: false,
    });
    request.once("connect", (answer: IncomingMessage, socket: Socket) => {
      if (answer.statusCode === 200) {
        socket.setTimeout(0);
        resolve(socket);
        return;
      }
      socket.destroy();
      failed(`it answered with status ${answer.statusCode}`);
    });
    request.once("response", (answer) => {
      answer.destroy();
      failed(`it answered with status ${answer.statusCode}`);
    });
    request.once("timeout", () => request.destroy(new Error("it is silent")));
    request.on("error", (error) => failed(error.message, error));
    request.end();
  });
}
