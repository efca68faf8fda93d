/**
 * A small client of the Docker Engine API for benchmarks: JSON calls, hijacked streams, counted bodies. Edge:
 * to node:http and node:net. Equal for every daemon, so that what is measured is the daemon.
 */
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";

export type Json = Readonly<Record<string, unknown>>;

export class EngineApi {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  get socketPath(): string {
    return this.#socketPath;
  }

  #open(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const archive = body instanceof Uint8Array;
      const text = body === undefined || archive ? body : JSON.stringify(body);
      const type = archive ? "application/x-tar" : "application/json";
      const request = httpRequest(
        {
          socketPath: this.#socketPath,
          method,
          path: `/v1.41${path}`,
          agent: this.#agent,
          headers: text === undefined ? {} : { "content-type": type },
        },
        resolve,
      );
      request.on("error", reject);
      request.end(text);
    });
  }

  /** @throws {Error} with the daemon's words for a status of 400 and more. */
  async call(method: string, path: string, body?: unknown): Promise<Json> {
    const response = await this.#open(method, path, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString("utf8");
    if ((response.statusCode ?? 500) >= 400)
      throw new Error(`${method} ${path} answered ${response.statusCode}: ${text}`);
    return text === "" ? {} : (JSON.parse(text.split("\n")[0] ?? "{}") as Json); // objects where we ask
  }

  /** @param archive a tar as `docker save` makes it. */
  async load(archive: Uint8Array): Promise<void> {
    const response = await this.#open("POST", "/images/load?quiet=1", archive);
    for await (const _ of response);
    if (response.statusCode !== 200) throw new Error(`loading an image answered ${response.statusCode}`);
  }

  async text(path: string): Promise<string> {
    const response = await this.#open("GET", path);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString("utf8");
  }

  /** Bytes of the frames' contents, of a multiplexed stream that is read to its end. */
  async countFrames(path: string): Promise<number> {
    const response = await this.#open("GET", path);
    const header = Buffer.alloc(8);
    let filled = 0;
    let left = 0;
    let payload = 0;
    for await (const part of response) {
      const chunk = part as Buffer;
      for (let at = 0; at < chunk.length; ) {
        if (left > 0) {
          const taken = Math.min(left, chunk.length - at);
          payload += taken;
          left -= taken;
          at += taken;
          continue;
        }
        const copied = chunk.copy(header, filled, at, at + 8 - filled);
        filled += copied;
        at += copied;
        if (filled < 8) break;
        filled = 0;
        left = header.readUInt32BE(4);
      }
    }
    return payload;
  }

  /** Starts an exec and reads its stream to the end. */
  runExec(id: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#socketPath);
      const body = '{"Detach":false,"Tty":false}';
      socket.on("error", reject);
      socket.on("close", () => resolve());
      socket.on("data", () => undefined);
      socket.on("end", () => socket.end());
      socket.write(
        `POST /v1.41/exec/${id}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n` +
          `Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    });
  }

  async create(command: readonly string[], hostConfig: Json = {}): Promise<string> {
    const body = { Image: "box", Cmd: command, HostConfig: hostConfig };
    const { Id } = await this.call("POST", "/containers/create", body);
    return String(Id);
  }

  async start(id: string): Promise<void> {
    await this.call("POST", `/containers/${id}/start`);
  }

  async remove(id: string): Promise<void> {
    await this.call("DELETE", `/containers/${id}?force=1&v=1`);
  }

  close(): void {
    this.#agent.destroy();
  }
}
