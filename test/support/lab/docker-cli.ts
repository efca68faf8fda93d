/**
 * The stock docker CLI against one host of a lab, for tests. Edge: to the docker command.
 */
import assert from "node:assert/strict";
import type { LabHost } from "./lab-host.js";
import { linesOf, must } from "./lab-services.js";
import { runSync } from "./shell.js";

/** For node:test's `skip`: why the CLI cannot be tried here, or false. */
export const skipWithoutDocker = runSync("docker", ["--version"])
  ? false
  : "the docker command is not installed";

/** Includes the five seconds for which the CLI watches a new service by default. */
const TIMEOUT_MS = 40_000;

export class DockerCli {
  readonly #host: LabHost;

  constructor(host: LabHost) {
    this.#host = host;
  }

  /** @throws {Error} when docker fails. @returns the lines of what it printed. */
  async lines(...args: string[]): Promise<string[]> {
    return linesOf(await must(this.#host.docker(args, { timeoutMs: TIMEOUT_MS })));
  }

  /** A command that must be refused. @returns its words. */
  async refused(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#host.docker(args, { timeoutMs: TIMEOUT_MS });
    assert.notEqual(code, 0, `docker ${args.join(" ")} went through: ${stdout}`);
    return stderr.trim();
  }
}

/** Image and command of a task that stays until it is told to end. */
export const STAYING = ["skein-hello:latest", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"];
