/**
 * At most one skeind makes the mesh of a network namespace: interfaces, rules and tables have fixed names.
 * Edge: to node:net. An abstract socket belongs to its network namespace and ends with its process, however
 * that ends. Source: unix(7), "Abstract sockets".
 */
import { createServer, type Server } from "node:net";
import type { Linux } from "../../base/linux/linux-ports.js";
import { CollisionError } from "./collision.js";

export const MESH_CLAIM = "skein-mesh";

export class MeshClaim {
  readonly #linux: Linux;
  readonly #netnsPath: string | undefined;
  #server: Server | undefined;

  constructor(linux: Linux, netnsPath: string | undefined) {
    this.#linux = linux;
    this.#netnsPath = netnsPath;
  }

  get isHeld(): boolean {
    return this.#server !== undefined;
  }

  /** Whether no other daemon has it; then it is taken. */
  isFree(): boolean {
    try {
      this.take();
      return true;
    } catch (error) {
      if (error instanceof CollisionError) return false;
      throw error;
    }
  }

  /** Idempotent. @throws {CollisionError} another daemon has it. */
  take(): void {
    if (this.#server !== undefined) return;
    const server = createServer((socket) => socket.destroy());
    server.on("error", () => server.close()); // it is taken: told below, at once
    const listen = (): void => {
      server.listen({ path: `\0${MESH_CLAIM}` });
    };
    if (this.#netnsPath === undefined) listen();
    else this.#linux.inNetns(this.#netnsPath, listen);
    if (!server.listening) throw new CollisionError("another skeind has the mesh of this network namespace");
    server.unref();
    this.#server = server;
  }

  release(): void {
    this.#server?.close();
    this.#server = undefined;
  }
}
