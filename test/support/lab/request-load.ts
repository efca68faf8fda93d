/**
 * Load on services of a lab, from within a network namespace, and what came of it. Edge: to processes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LoadResult } from "./request-load-main.js";

const MAIN = join(dirname(fileURLToPath(import.meta.url)), "request-load-main.js");

export interface RequestLoadOptions {
  readonly perSecond: number;
  /** So many connections, kept and used again. @default 0: a new one for each request */
  readonly connectionsKept?: number;
  readonly urls: readonly string[];
}

export class RequestLoad {
  readonly #child: ChildProcess;
  /** It is asking. */
  readonly begun: Promise<void>;
  #output = "";

  /** @param namespace as nsenter names it: `--net=/run/netns/x` or `--net=/proc/1/ns/net`. */
  constructor(namespace: string, options: RequestLoadOptions) {
    const { perSecond, connectionsKept = 0, urls } = options;
    const args = [namespace, process.execPath, MAIN, `${perSecond}`, `${connectionsKept}`, ...urls];
    this.#child = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"] });
    this.begun = new Promise((resolve, reject) => {
      this.#child.stdout?.on("data", (chunk: Buffer) => {
        this.#output += chunk.toString();
        resolve();
      });
      this.#child.on("close", () => reject(new Error("the load ended before it began")));
    });
  }

  /** Ends the load. @throws {Error} it ended by itself. */
  async stop(): Promise<LoadResult> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGTERM");
    await closed;
    const [, result] = this.#output.split("\n");
    if (!result) throw new Error("the load told nothing");
    return JSON.parse(result) as LoadResult; // written by request-load-main.ts
  }
}
