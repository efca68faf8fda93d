/**
 * What a container runs: the request laid over the image's configuration.
 * Pure. Rules are Docker's: an entrypoint in the request drops the image's command;
 * environment is overridden by name.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ImageConfig } from "../images/image-store.js";
import type { ContainerSpecification, HealthCheck } from "./container-manager.js";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface ContainerProcess {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly stopSignal: string;
  readonly hostname: string;
  /** undefined: none, or switched off. */
  readonly healthcheck: HealthCheck | undefined;
  readonly shell: readonly string[];
}

/** What of a specification decides the process; the rest of it may be anything. */
export type ProcessRequest = Pick<
  ContainerSpecification,
  "entrypoint" | "args" | "env" | "workingDir" | "user" | "hostname" | "tty" | "stopSignal" | "healthcheck"
>;

/** @throws {InvalidArgumentError} when neither names a command. */
export function containerProcess(id: string, request: ProcessRequest, image: ImageConfig): ContainerProcess {
  const hostname = request.hostname === "" ? id.slice(0, 12) : request.hostname;
  const entrypoint = request.entrypoint.length > 0 ? request.entrypoint : image.entrypoint;
  const args = request.args.length > 0 ? request.args : request.entrypoint.length > 0 ? [] : image.cmd;
  const line = [...entrypoint, ...args];
  if (line.length === 0 || line[0] === "") throw new InvalidArgumentError("no command specified");
  return {
    args: line,
    env: mergeEnv(
      [`PATH=${DEFAULT_PATH}`, `HOSTNAME=${hostname}`, ...(request.tty ? ["TERM=xterm"] : [])],
      image.env,
      request.env,
    ),
    cwd: request.workingDir || image.workingDir || "/",
    user: request.user === "" ? image.user : request.user,
    stopSignal: request.stopSignal || image.stopSignal || "SIGTERM",
    hostname,
    healthcheck: mergeHealthcheck(request.healthcheck, image.healthcheck),
    shell: image.shell.length > 0 ? image.shell : ["/bin/sh", "-c"],
  };
}

/** Later lists win by name; a name without "=" removes the variable. The first place of a name is kept. */
export function mergeEnv(...lists: readonly (readonly string[])[]): readonly string[] {
  const values = new Map<string, string>();
  for (const entry of lists.flat()) {
    const at = entry.indexOf("=");
    if (at === 0 || entry === "")
      throw new InvalidArgumentError(`invalid environment variable: ${JSON.stringify(entry)}`);
    if (at < 0) values.delete(entry);
    else values.set(entry.slice(0, at), entry);
  }
  return [...values.values()];
}

const HEALTH_DEFAULTS = {
  intervalMs: 30_000,
  timeoutMs: 30_000,
  startPeriodMs: 0,
  startIntervalMs: 5_000,
  retries: 3,
};

function mergeHealthcheck(
  request: HealthCheck | undefined,
  image: HealthCheck | undefined,
): HealthCheck | undefined {
  const test = request !== undefined && request.test.length > 0 ? request.test : (image?.test ?? []);
  if (test.length === 0 || test[0] === "NONE") return undefined;
  if (test[0] !== "CMD" && test[0] !== "CMD-SHELL") {
    throw new InvalidArgumentError(
      `health check must begin with NONE, CMD or CMD-SHELL, got ${JSON.stringify(test[0])}`,
    );
  }
  const pick = (key: keyof typeof HEALTH_DEFAULTS): number =>
    request?.[key] || image?.[key] || HEALTH_DEFAULTS[key];
  return {
    test,
    intervalMs: pick("intervalMs"),
    timeoutMs: pick("timeoutMs"),
    startPeriodMs: pick("startPeriodMs"),
    startIntervalMs: pick("startIntervalMs"),
    retries: pick("retries"),
  };
}
