/**
 * Runs the steps of a case in one shell against one daemon. Edge: to processes and the file system.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { attempt } from "../support/lab/shell.js";
import type { StepOutput } from "./compare.js";
import type { CompatCase } from "./compat-case.js";
import { LOCKED, REGISTRY } from "./registries.js";

export interface Daemon {
  readonly socketPath: string;
  /** Network namespace of the daemon, in which the steps run: its published ports are there. */
  readonly netns: string;
}

/** The newest that the peer speaks: with an older client both take the same paths. */
export const API_VERSION = "1.41";
const CASE_MS_MAX = 120_000;

/** What a step's commands are made of. */
const TOOLS = new URL(
  import.meta.url.includes("/dist/") ? "../../../test/compat/tools.sh" : "./tools.sh",
  import.meta.url,
);

/** One output per step. */
export async function runCase(
  { steps }: CompatCase,
  daemon: Daemon,
  box: { readonly id: string; readonly tar: string },
): Promise<readonly StepOutput[]> {
  const dir = mkdtempSync("/tmp/compat-");
  try {
    mkdirSync(join(dir, "work"));
    mkdirSync(join(dir, "config"));
    const lines = steps.map(({ command }, i) => {
      const out = join(dir, String(i));
      return `{ ${command}\n} >${out}.out 2>${out}.err </dev/null; echo $? >${out}.code`;
    });
    const script = join(dir, "script");
    writeFileSync(script, `. ${fileURLToPath(TOOLS)}\ncd ${join(dir, "work")}\n${lines.join("\n")}\n`);
    const env = {
      PATH: process.env["PATH"],
      HOME: join(dir, "config"),
      DOCKER_HOST: `unix://${daemon.socketPath}`,
      DOCKER_CONFIG: join(dir, "config"),
      DOCKER_API_VERSION: API_VERSION,
      DOCKER_BUILDKIT: "0",
      SOCKET: daemon.socketPath,
      BOX: box.id,
      BOX_TAR: box.tar,
      REGISTRY,
      LOCKED,
    };
    const enter = [`--net=/run/netns/${daemon.netns}`, "sh"];
    await attempt("nsenter", [...enter, script], { env, timeoutMs: CASE_MS_MAX });
    await attempt("nsenter", [...enter, "-c", `. ${fileURLToPath(TOOLS)}; clean_up`], {
      env,
      timeoutMs: CASE_MS_MAX,
    });
    return steps.map((_, i) => {
      const read = (kind: string): string => readOr(join(dir, `${i}.${kind}`), "<did not run>");
      return {
        code: Number(read("code").trim()),
        stdout: read("out").replaceAll(dir, "<DIR>"),
        stderr: read("err").replaceAll(dir, "<DIR>"),
      };
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return otherwise;
    throw error;
  }
}
