/**
 * How builds inside a lab, whose hosts reach no other network, come to Debian's packages: an HTTP proxy
 * at the lab's switch, which fetches through this machine and keeps packages for the tests after it.
 * A build gets it as the build argument http_proxy, as behind any company's firewall.
 * Edge: to sockets, files and a process in the lab.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import type { Lab } from "../lab/lab.js";
import { attempt } from "../lab/shell.js";
import { cacheFolder } from "./debian-base.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = HERE.includes("/dist/") ? HERE : resolve(HERE, "../../../dist/test/support/examples");
/** The lab's switch, which every host reaches. */
const ADDRESS = "10.99.0.254";
/** What an address names never changes: packages carry their version, lists their checksum. */
const LASTING = /\.deb$|\/by-hash\//;
const AGE_MAX_MS = 7 * 24 * 3_600_000;

export class PackageProxy {
  readonly url: string;
  readonly #server: Server;
  readonly #listener: ChildProcess;

  private constructor(url: string, server: Server, listener: ChildProcess) {
    this.url = url;
    this.#server = server;
    this.#listener = listener;
  }

  static async open(lab: Lab): Promise<PackageProxy> {
    const folder = join(cacheFolder(), "packages");
    mkdirSync(folder, { recursive: true });
    dropOld(folder);
    const upstream = await aptProxy();
    const server = createServer((asked, answer) => void relay({ asked, answer, folder, upstream }));
    server.on("connect", tunnel);
    const socket = join(lab.dir, "packages.sock");
    await new Promise<void>((listening) => server.listen(socket, listening));
    // a listener inside the lab's switch; this process stays outside, where the mirror is
    const listener = spawn(
      "nsenter",
      [`--net=/run/netns/${lab.prefix}-sw`, process.execPath, join(DIST, "relay-main.js"), ADDRESS, socket],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const port = await new Promise<string>((said, failed) => {
      listener.stdout.once("data", (chunk: Buffer) => said(chunk.toString("utf8").trim()));
      listener.once("error", failed);
      listener.once("exit", (code) => failed(new Error(`the relay ended with ${code}`)));
    });
    return new PackageProxy(`http://${ADDRESS}:${port}`, server, listener);
  }

  async close(): Promise<void> {
    this.#listener.kill("SIGKILL");
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}

interface Relayed {
  readonly asked: IncomingMessage;
  readonly answer: ServerResponse;
  readonly folder: string;
  /** The proxy that this machine's apt uses itself. */
  readonly upstream: URL | undefined;
}

async function relay({ asked, answer, folder, upstream }: Relayed): Promise<void> {
  const address = asked.url ?? "";
  const kept = join(folder, createHash("sha256").update(address).digest("hex"));
  try {
    const size = statSync(kept, { throwIfNoEntry: false })?.size;
    if (size !== undefined && asked.headers.range === undefined) {
      answer.writeHead(200, { "content-length": size });
      await pipeline(createReadStream(kept), answer);
      return;
    }
    const found = await fetched(asked, upstream);
    answer.writeHead(found.statusCode ?? 502, found.headers);
    if (found.statusCode !== 200 || !LASTING.test(address)) {
      await pipeline(found, answer);
      return;
    }
    const part = `${kept}.${process.pid}.${Math.random()}`;
    const copy = createWriteStream(part);
    found.on("data", (chunk: Buffer) => copy.write(chunk));
    await pipeline(found, answer);
    await new Promise<void>((done) => copy.end(done));
    renameSync(part, kept);
  } catch (error) {
    if (!answer.headersSent) answer.writeHead(502);
    answer.end(String(error));
  }
}

function fetched(asked: IncomingMessage, upstream: URL | undefined): Promise<IncomingMessage> {
  const target = new URL(asked.url ?? "");
  const { connection: _, "proxy-connection": __, ...headers } = asked.headers;
  return new Promise((found, failed) => {
    const to = upstream ?? target;
    const outgoing = request(
      {
        hostname: to.hostname,
        port: to.port || 80,
        method: asked.method,
        path: upstream === undefined ? `${target.pathname}${target.search}` : asked.url,
        headers: { ...headers, host: target.host },
        timeout: 60_000,
      },
      found,
    );
    outgoing.once("timeout", () => outgoing.destroy(new Error(`${target.host} does not answer`)));
    outgoing.once("error", failed);
    asked.pipe(outgoing);
  });
}

/** For mirrors by https: bytes to and fro. */
function tunnel(asked: IncomingMessage, socket: Socket): void {
  const [host = "", port = "443"] = (asked.url ?? "").split(":");
  const far = connect(Number(port), host, () => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    far.pipe(socket).pipe(far);
  });
  far.once("error", () => socket.destroy());
  socket.once("error", () => far.destroy());
}

async function aptProxy(): Promise<URL | undefined> {
  const { stdout } = await attempt("apt-config", ["shell", "FOUND", "Acquire::http::Proxy"]);
  const set = /^FOUND='(http.*)'$/m.exec(stdout)?.[1] ?? process.env["http_proxy"];
  return set === undefined || set === "" ? undefined : new URL(set);
}

function dropOld(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const found = statSync(path, { throwIfNoEntry: false }); // another test may tidy, too
    if (found !== undefined && Date.now() - found.mtimeMs > AGE_MAX_MS) rmSync(path, { force: true });
  }
}
