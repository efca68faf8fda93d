/**
 * 32 connections to a service from within a network namespace: kept, or a new one for each request. Edge: to
 * processes: wrk, or where that is not installed a client of our own (request-load.ts).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RequestLoad } from "./request-load.js";
import { attempt } from "./shell.js";

export type Connections = "kept" | "new";

export interface HeavyResult {
  readonly requests: number;
  /** Words of the load; empty: no request failed. */
  readonly failures: readonly string[];
}

const CONNECTIONS = 32;
/**
 * A connection's pause before its next request, in milliseconds: so that a minute of new connections stays
 * below the ports a client has towards one address.
 */
const PAUSE_MS: Readonly<Record<Connections, number>> = { kept: 5, new: 40 };

export interface HeavyLoadOptions {
  readonly connections: Connections;
  /** wrk without pauses: as fast as it goes. @default false */
  readonly fullSpeed?: boolean;
}
const PER_SECOND_WITHOUT_WRK = 300;
const LENGTH_MAX = "600s";
const ANSWER_WAIT = "10s";

export async function hasWrk(): Promise<boolean> {
  return (await attempt("wrk", ["--version"])).code !== 127;
}

/** @param namespace as nsenter names it. The connections are shared out among the URLs. */
export async function startHeavyLoad(
  namespace: string,
  urls: readonly string[],
  options: HeavyLoadOptions,
): Promise<{ stop(): Promise<HeavyResult> }> {
  if (await hasWrk()) return new WrkLoad(namespace, urls, options);
  const perSecond = PER_SECOND_WITHOUT_WRK;
  const keep = options.connections === "kept" ? { connectionsKept: CONNECTIONS } : {};
  const load = new RequestLoad(namespace, { perSecond, urls, ...keep });
  await load.begun;
  return {
    stop: async () => {
      const { sent, failures } = await load.stop();
      return { requests: sent, failures };
    },
  };
}

class WrkLoad {
  readonly #folder = mkdtempSync(join(tmpdir(), "skein-wrk-"));
  readonly #running: { readonly url: string; readonly child: ChildProcess; output: string }[];

  constructor(namespace: string, urls: readonly string[], { connections, fullSpeed }: HeavyLoadOptions) {
    const script = join(this.#folder, "pause.lua");
    const pauseMs = fullSpeed === true ? 0 : PAUSE_MS[connections];
    writeFileSync(script, `function delay() return ${pauseMs} end\n`);
    const header = connections === "new" ? ["-H", "Connection: close"] : [];
    this.#running = urls.map((url, i) => {
      const count = Math.floor((CONNECTIONS + i) / urls.length);
      const options = ["-t1", `-c${count}`, `-d${LENGTH_MAX}`, "--timeout", ANSWER_WAIT, "-s", script];
      const child = spawn("nsenter", [namespace, "wrk", ...options, ...header, url], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const one = { url, child, output: "" };
      child.stdout?.on("data", (chunk: Buffer) => {
        one.output += chunk.toString();
      });
      return one;
    });
  }

  async stop(): Promise<HeavyResult> {
    const closed = this.#running.map(({ child }) =>
      child.exitCode === null ? once(child, "close") : undefined,
    );
    for (const { child } of this.#running) child.kill("SIGINT"); // it tells what came of it, and ends
    await Promise.all(closed);
    rmSync(this.#folder, { recursive: true });
    let requests = 0;
    const failures: string[] = [];
    for (const { url, output } of this.#running) {
      const done = /(\d+) requests in/.exec(output)?.[1];
      if (done === undefined) failures.push(`${url}: wrk told nothing: ${output}`);
      requests += Number(done ?? 0);
      const words = [...output.matchAll(/Socket errors:.*|Non-2xx.*/g)].map(([line]) => `${url}: ${line}`);
      failures.push(...words);
    }
    return { requests, failures };
  }
}
