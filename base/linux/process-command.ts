/**
 * Runs the commands of linux-spawn.ts and reads errno names out of their words. Edge: to child processes.
 * Invariant: words are English (LC_ALL=C) and every run is bounded in time and output.
 * Source: the messages of util-linux and coreutils.
 */
import { execFile, spawnSync } from "node:child_process";
import { FailedPreconditionError, InternalError } from "../errors/errors.js";

const TIMEOUT_MS = 20_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * libmount's newer calls cut long options (the layers of an overlay) at 256 bytes on older kernels; mount(2)
 * does not.
 */
const ENVIRONMENT = {
  PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C",
  LIBMOUNT_FORCE_MOUNT2: "always",
};

/** Packages as Debian names them. */
const PACKAGES: Readonly<Record<string, string>> = {
  mount: "mount",
  umount: "mount",
  nsenter: "util-linux",
  unshare: "util-linux",
  nft: "nftables",
  setfattr: "attr",
  mknod: "coreutils",
  mkfifo: "coreutils",
};

/** The first phrase that a command's words hold tells what the kernel said. */
const PHRASES: readonly (readonly [phrase: string, errno: string])[] = [
  ["no mount point specified", "ENOENT"],
  ["mount point does not exist", "ENOENT"],
  ["No such file or directory", "ENOENT"],
  ["Directory nonexistent", "ENOENT"],
  ["not mounted", "EINVAL"],
  ["wrong fs type, bad option", "EINVAL"],
  ["Invalid argument", "EINVAL"],
  ["target is busy", "EBUSY"],
  ["Device or resource busy", "EBUSY"],
  ["unknown filesystem type", "ENODEV"],
  ["Operation not supported", "EOPNOTSUPP"],
  ["Operation not permitted", "EPERM"],
  ["must be superuser", "EPERM"],
  ["Permission denied", "EACCES"],
  ["Read-only file system", "EROFS"],
  ["File exists", "EEXIST"],
  ["Not a directory", "ENOTDIR"],
  ["No space left on device", "ENOSPC"],
];

/** What is attempted, in the words of the port's errors. */
export interface Attempt {
  readonly call: string;
  readonly target: string;
}

function refusalOf(attempt: Attempt, words: string): InternalError {
  const errno = PHRASES.find(([phrase]) => words.includes(phrase))?.[1];
  const said = words.trim().split("\n")[0] ?? "";
  return new InternalError(
    `${attempt.call} of ${attempt.target} failed: ${said}${errno === undefined ? "" : `: ${errno}`}`,
  );
}

function notRun(attempt: Attempt, command: string, error: Error & { code?: unknown }): Error {
  if (error.code === "ENOENT") {
    const remedy = `the command ${command}: install ${PACKAGES[command] ?? command}`;
    return new FailedPreconditionError(`${attempt.call} of ${attempt.target} needs ${remedy}`, {
      cause: error,
    });
  }
  return new InternalError(`${attempt.call} of ${attempt.target} failed: ${error.message}`, { cause: error });
}

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to the end while the event loop waits. @param argv the command and its arguments: nothing secret. */
export function runToEnd(attempt: Attempt, argv: readonly [string, ...string[]], input = ""): CommandResult {
  const [command, ...args] = argv;
  const done = spawnSync(command, args, {
    input,
    env: ENVIRONMENT,
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
    killSignal: "SIGKILL",
  });
  if (done.error !== undefined) throw notRun(attempt, command, done.error);
  return { status: done.status ?? -1, stdout: done.stdout, stderr: done.stderr };
}

/**
 * @throws {InternalError} when it ends with anything but 0.
 * @throws {FailedPreconditionError} when it is not installed.
 */
export function run(attempt: Attempt, argv: readonly [string, ...string[]], input = ""): string {
  const { status, stdout, stderr } = runToEnd(attempt, argv, input);
  if (status !== 0) throw refusalOf(attempt, stderr);
  return stdout;
}

/** The same without stopping the event loop. @returns what it wrote. */
export function runAside(
  attempt: Attempt,
  argv: readonly [string, ...string[]],
  input = "",
): Promise<string> {
  const [command, ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { env: ENVIRONMENT, timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX, killSignal: "SIGKILL" },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else if (typeof error.code === "number") reject(refusalOf(attempt, stderr));
        else reject(notRun(attempt, command, error));
      },
    );
    child.stdin?.on("error", () => undefined); // it ended before it read all: its words say why
    child.stdin?.end(input);
  });
}

/** nft(8) in a namespace, for texts that would hold the event loop. @returns what it wrote. */
export function nftAside(
  netnsPath: string | undefined,
  args: readonly string[],
  input = "",
): Promise<string> {
  const enter = netnsPath === undefined ? [] : ["nsenter", `--net=${netnsPath}`];
  const [command = "nft", ...rest] = [...enter, "nft", ...args];
  return runAside({ call: "nft", target: netnsPath ?? "this network namespace" }, [command, ...rest], input);
}
