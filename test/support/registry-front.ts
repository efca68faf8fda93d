/**
 * A server in front of a registry for tests: asks for bearer tokens, and does to answers what a test wants.
 * Edge: HTTP on loopback.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface RegistryFront {
  /** localhost:port */
  readonly host: string;
  /** Method and path of each request, in order. */
  readonly seen: readonly string[];
  close(): Promise<void>;
}

export interface RegistryFrontOptions {
  /** host:port of the registry behind. */
  readonly behind: string;
  /** Asks for a token; the token server is part of the front. */
  readonly token?: { readonly username: string; readonly password: string };
  /**
   * Answers a request itself, by returning true;
   * called with the number of requests for the same path before it.
   */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse, before: number) => boolean;
  /** Cuts the connection after so many bytes of the answer's body; undefined lets it pass. */
  readonly cutAfterBytes?: (path: string, before: number) => number | undefined;
}

export async function startFront(options: RegistryFrontOptions): Promise<RegistryFront> {
  const seen: string[] = [];
  const token = "a-token-of-the-test";
  let origin = "";
  const server = createServer((incoming, response) => {
    const path = incoming.url ?? "";
    const before = seen.filter((one) => one === `${incoming.method} ${path}`).length;
    seen.push(`${incoming.method} ${path}`);
    if (path.startsWith("/token")) return answerToken(incoming, response, options, token);
    if (options.token !== undefined && incoming.headers.authorization !== `Bearer ${token}`) {
      const scope = `repository:${path.split("/").slice(2, -2).join("/")}:pull`;
      response.writeHead(401, {
        "www-authenticate": `Bearer realm="${origin}/token",service="test registry",scope="${scope}"`,
      });
      response.end(
        JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: "authentication required" }] }),
      );
      return;
    }
    if (options.intercept?.(incoming, response, before) === true) return;
    forward(incoming, response, options.behind, options.cutAfterBytes?.(path, before));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // a TCP server's address is an AddressInfo
  const host = `localhost:${(server.address() as AddressInfo).port}`;
  origin = `http://${host}`;
  return {
    host,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answerToken(
  incoming: IncomingMessage,
  response: ServerResponse,
  options: RegistryFrontOptions,
  token: string,
): void {
  const { username, password } = options.token ?? { username: "", password: "" };
  if (incoming.headers.authorization === `Basic ${btoa(`${username}:${password}`)}`) {
    response.end(JSON.stringify({ token }));
    return;
  }
  response.writeHead(401);
  response.end(JSON.stringify({ details: "incorrect username or password" }));
}

function forward(
  incoming: IncomingMessage,
  response: ServerResponse,
  behind: string,
  cutAfterBytes: number | undefined,
): void {
  const headers = { ...incoming.headers, host: behind };
  delete headers.authorization;
  const out = request(
    `http://${behind}${incoming.url}`,
    { method: incoming.method ?? "GET", headers },
    (answer) => {
      const { location } = answer.headers; // uploads go on through the front
      if (location !== undefined)
        answer.headers.location = location.replace(behind, incoming.headers.host ?? "");
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      if (cutAfterBytes === undefined) {
        answer.pipe(response);
        return;
      }
      let left = cutAfterBytes;
      answer.on("data", (chunk: Buffer) => {
        if (left <= 0) return;
        const part = chunk.subarray(0, left);
        left -= part.length;
        response.write(part, () => {
          if (left <= 0) response.destroy();
        });
      });
    },
  );
  out.on("error", () => response.destroy());
  incoming.pipe(out);
}
