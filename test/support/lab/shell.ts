/**
 * Commands with their output, for the lab and for tests. Edge: to node:child_process.
 */
import { execFile, execFileSync } from "node:child_process";
import { patient } from "../patience.js";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds. @default 60000 */
  readonly timeoutMs?: number;
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
}

/** Never throws for a non-zero exit; code 127 when the command cannot be started, 124 on timeout. */
export function attempt(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      [...args],
      {
        env: options.env ?? process.env,
        cwd: options.cwd,
        timeout: patient(options.timeoutMs ?? 60_000),
        killSignal: "SIGKILL",
        maxBuffer: 64 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        const code =
          error === null ? 0 : typeof error.code === "number" ? error.code : error.killed ? 124 : 127;
        resolve({ code, stdout, stderr });
      },
    );
    if (options.input !== undefined) child.stdin?.end(options.input);
    else child.stdin?.end();
  });
}

/** @throws {Error} with command, code and standard error when the command fails. @returns standard output. */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await attempt(command, args, options);
  if (code !== 0)
    throw new Error(`${command} ${args.join(" ")} exited with ${code}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

/** Synchronous twin for last-resort clean-up; failures are answered with false. */
export function runSync(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, [...args], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
