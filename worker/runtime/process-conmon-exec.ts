/**
 * A command with a terminal in a running container, under a monitor of its own. Edge: to child processes.
 * The monitor holds the terminal and its size; the command starts once we are connected, so that nothing of
 * its output is missed.
 * Source: conmon(8); the hand-shake of its start, attach and sync pipes as conmon 2.1 has it: a byte makes
 * the socket, {"data":0} tells that it is there, a second byte starts the command, {"data":pid} follows, or
 * {"data":-1,"message":…}; at the end {"data":exit code}.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { isErrno } from "./linux-process.js";
import { HELPER_ENV, spawnPiped } from "./process-run.js";

const RUNTIME_LOG = "runtime.log";
const LINE_BYTES_MAX = 64 * 1024;

export interface ConmonExecOptions {
  readonly conmon: string;
  readonly runtime: string;
  readonly stateDir: string;
  readonly containerId: string;
  readonly execId: string;
  /** Of this command alone: sockets, fifos and exit files are made in it. */
  readonly folder: string;
  readonly processFile: string;
  readonly stdin: boolean;
  readonly linux: Pick<Linux, "keepDescriptors">;
  /** The attach socket is there. */
  readonly onSocket: () => void;
  readonly onStarted: (pid: number) => void;
  /** Once; `failure` holds the runtime's words when the command was not run. */
  readonly onEnd: (end: { exitCode: number; failure: string | undefined }) => void;
}

export function startConmonExec(options: ConmonExecOptions): void {
  const { folder, containerId, execId } = options;
  options.linux.keepDescriptors();
  const args = [
    ...["--api-version", "1", "-c", containerId, "-u", execId, "-n", containerId],
    ...["-r", options.runtime, "--runtime-arg", `--root=${options.stateDir}`],
    ...["--runtime-arg", `--log=${join(folder, RUNTIME_LOG)}`],
    ...["-b", folder, "-p", `${folder}/pid`, "--exit-dir", folder, "--persist-dir", folder],
    ...["--full-attach", "-l", "off", "--log-level", "error", "--no-new-keyring"],
    ...["-e", "--exec-attach", "--exec-process-spec", options.processFile, "-t"],
    ...(options.stdin ? ["-i", "--leave-stdin-open"] : []),
  ];
  const child = spawnPiped(options.conmon, args, {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe", "pipe"],
    env: { ...HELPER_ENV, _OCI_SYNCPIPE: "3", _OCI_STARTPIPE: "4", _OCI_ATTACHPIPE: "5" },
    cwd: folder,
    detached: true,
  });
  const pipes: readonly unknown[] = child.stdio; // asked for as pipes above
  const sync = pipes[3] as Readable;
  const start = pipes[4] as Writable;
  const attach = pipes[5] as Readable;
  let pid = 0;
  let ended = false;
  const end = (exitCode: number, failure: string | undefined): void => {
    if (ended) return;
    ended = true;
    for (const pipe of [sync, start, attach]) pipe.destroy();
    // In a terminal the runtime's last words go to the terminal; they stand in its log, too.
    options.onEnd({ exitCode, failure: failure === undefined ? undefined : runtimeLog(folder) || failure });
  };
  child.once("error", (error) => end(-1, messageOf(error)));
  for (const pipe of [sync, start, attach]) pipe.on("error", () => undefined); // "close" of sync tells all
  onLines(attach, () => {
    options.onSocket();
    start.write("\0");
  });
  onLines(sync, (line) => {
    const answer = parseAnswer(line);
    if (pid > 0) end(answer.data, undefined);
    else if (answer.data > 0) {
      pid = answer.data;
      options.onStarted(pid);
    } else end(-1, answer.message);
  });
  sync.once("close", () => end(-1, pid > 0 ? undefined : "the monitor gave no answer"));
  start.write("\0");
}

function runtimeLog(folder: string): string {
  try {
    return readFileSync(join(folder, RUNTIME_LOG), "utf8").slice(0, LINE_BYTES_MAX).trim();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}

function parseAnswer(line: string): { data: number; message: string } {
  try {
    const answer: unknown = JSON.parse(line);
    const fields = typeof answer === "object" && answer !== null ? answer : {};
    return {
      data: "data" in fields ? Number(fields.data) : -1,
      message: "message" in fields ? String(fields.message) : "",
    };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { data: -1, message: line };
  }
}

function onLines(stream: Readable, listener: (line: string) => void): void {
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      listener(text.slice(0, end));
      text = text.slice(end + 1);
    }
    if (text.length > LINE_BYTES_MAX) stream.destroy();
  });
}
