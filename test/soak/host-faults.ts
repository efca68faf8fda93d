/**
 * What can happen to one host of the soak, and how it is undone. Edge: to processes, nftables, mounts.
 * Invariant: `undo` works whatever happened meanwhile, and leaves the host as it was; `mend` of all is the
 * last word.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../base/random/random.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { attempt, run } from "../support/lab/shell.js";

export type HostFaultKind =
  | "kill -9 skeind and manager"
  | "kill -9 manager"
  | "kill -9 skeind"
  | "SIGTERM skeind"
  | "SIGSTOP manager"
  | "SIGSTOP skeind and manager"
  | "cut both ways"
  | "cut, nothing comes in"
  | "cut, nothing goes out"
  | "cut from one peer"
  | "link down"
  | "packet loss"
  | "disk full"
  | "disk full, log too";

export interface FaultPlace {
  readonly host: LabHost;
  readonly peers: readonly LabHost[];
  readonly random: Random;
  /** Tells of something that should not be. */
  readonly odd: (what: string) => void;
}

export interface Fault {
  readonly detail: string;
  /** There was nothing to act on, as a process that was just being started again. */
  readonly missed?: boolean;
  undo(): Promise<void>;
}

const TABLE = "soak";
/** Bytes of the small disk that holds a manager's folder: a few log segments of 16 MiB and the state. */
export const DISK_SIZE = "160m";
const FILLER = "filler-of-the-soak";

const nothing = async (): Promise<void> => undefined;

export const HOST_FAULTS: Readonly<Record<HostFaultKind, (place: FaultPlace) => Promise<Fault>>> = {
  "kill -9 skeind and manager": async ({ host, odd }) => {
    await host.killDaemon();
    return { detail: "", undo: () => startAgain(host, odd) };
  },
  "kill -9 manager": async ({ host }) => {
    host.killManager();
    return { detail: "", undo: nothing }; // skeind starts it again
  },
  "kill -9 skeind": async ({ host, odd }) => {
    const pid = host.daemonPid;
    if (pid !== undefined) signal(pid, "SIGKILL");
    return { detail: "", undo: () => startAgain(host, odd) };
  },
  "SIGTERM skeind": async ({ host, odd }) => {
    await host.stop();
    return { detail: "", undo: () => startAgain(host, odd) };
  },
  "SIGSTOP manager": async ({ host }) => freeze(host.managerPids()),
  "SIGSTOP skeind and manager": async ({ host }) =>
    freeze([...host.managerPids(), ...(host.daemonPid === undefined ? [] : [host.daemonPid])]),
  "cut both ways": ({ host }) => cut(host, "", "both"),
  "cut, nothing comes in": ({ host }) => cut(host, "", "in"),
  "cut, nothing goes out": ({ host }) => cut(host, "", "out"),
  "cut from one peer": async ({ host, peers, random }) => {
    const peer = peers[random.int(0, peers.length)];
    const fault = await cut(host, peer === undefined ? "" : peer.address, "both");
    return { ...fault, detail: peer?.name ?? "" };
  },
  "link down": async ({ host }) => {
    await host.partition();
    return { detail: "", undo: () => host.heal() };
  },
  "packet loss": async ({ host, random }) => {
    const percent = random.int(5, 31);
    const lose = `numgen random mod 100 < ${percent} drop`;
    await nft(host, [`iifname "eth0" ${lose}`], [`oifname "eth0" ${lose}`]);
    return { detail: `${percent} %`, undo: () => unCut(host) };
  },
  "disk full": async ({ host }) => fill(host),
  "disk full, log too": async ({ host }) => {
    const punched = await punchLog(host);
    const fault = await fill(host);
    return { ...fault, detail: `${punched} KiB of the log's reserve taken` };
  },
};

/** Whatever faults may have left on a host is taken away, and its daemon runs. */
export async function mend(host: LabHost, odd: (what: string) => void): Promise<void> {
  for (const pid of [...host.managerPids(), ...(host.daemonPid === undefined ? [] : [host.daemonPid])])
    signal(pid, "SIGCONT");
  await attempt("nsenter", [`--net=/run/netns/${host.netns}`, "nft", "delete", "table", "inet", TABLE]);
  await host.heal();
  rmSync(join(host.dataDir, "manager", FILLER), { force: true });
  if (host.daemonPid === undefined) await startAgain(host, odd);
}

/** The manager's folder gets a disk of its own, before the daemon starts. The lab unmounts it. */
export async function mountSmallDisk(host: LabHost): Promise<void> {
  const folder = join(host.dataDir, "manager");
  mkdirSync(folder, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", `size=${DISK_SIZE},mode=0700`, "none", folder]);
}

async function startAgain(host: LabHost, odd: (what: string) => void): Promise<void> {
  for (let tries = 1; host.daemonPid === undefined; tries++) {
    try {
      await host.start();
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      odd(`${host.name} did not start, try ${tries}: ${words}`);
      if (tries === 3) throw error;
    }
  }
}

function freeze(pids: readonly number[]): Fault {
  for (const pid of pids) signal(pid, "SIGSTOP");
  return {
    detail: pids.length === 0 ? "no process" : "",
    missed: pids.length === 0,
    undo: async () => {
      for (const pid of pids) signal(pid, "SIGCONT");
    },
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended meanwhile: nothing is left to stop or to wake.
  }
}

/** Packets are dropped in silence: no reset, no unreachable. */
async function cut(host: LabHost, peer: string, way: "both" | "in" | "out"): Promise<Fault> {
  const from = peer === "" ? 'iifname "eth0" drop' : `ip saddr ${peer} drop`;
  const to = peer === "" ? 'oifname "eth0" drop' : `ip daddr ${peer} drop`;
  await nft(host, way === "out" ? [] : [from], way === "in" ? [] : [to]);
  return { detail: "", undo: () => unCut(host) };
}

async function nft(host: LabHost, incoming: readonly string[], outgoing: readonly string[]): Promise<void> {
  const chain = (hook: string, rules: readonly string[]): string[] => [
    `chain ${hook}_faults {`,
    `type filter hook ${hook} priority -300; policy accept;`,
    ...rules,
    "}",
  ];
  const lines = [`table inet ${TABLE} {`, ...chain("input", incoming), ...chain("output", outgoing), "}", ""];
  await run("nsenter", [`--net=/run/netns/${host.netns}`, "nft", "-f", "-"], { input: lines.join("\n") });
}

async function unCut(host: LabHost): Promise<void> {
  await run("nsenter", [`--net=/run/netns/${host.netns}`, "nft", "delete", "table", "inet", TABLE]);
}

async function fill(host: LabHost): Promise<Fault> {
  const filler = join(host.dataDir, "manager", FILLER);
  await attempt("dd", ["if=/dev/zero", `of=${filler}`, "bs=64k"]); // ends when nothing fits any more
  const bytes = existsSync(filler) ? statSync(filler).size : 0;
  return {
    detail: `${Math.round(bytes / 1024 / 1024)} MiB taken`,
    undo: async () => rmSync(filler, { force: true }),
  };
}

/**
 * What lies ahead in the log's newest segment was reserved when it was made: that space is given back first.
 */
async function punchLog(host: LabHost): Promise<number> {
  let punched = 0;
  for (const path of segmentsUnder(join(host.dataDir, "manager"))) {
    const { size, blocks } = statSync(path);
    const end = await lastByteOf(path);
    const from = Math.ceil((end + 64 * 1024) / 4096) * 4096;
    if (from >= size) continue;
    await run("fallocate", ["--punch-hole", "--offset", String(from), "--length", String(size - from), path]);
    punched += Math.round((blocks - statSync(path).blocks) / 2);
  }
  return punched;
}

function segmentsUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /^wal-\w+\.log$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Offset of the last byte that is not zero, to within 4 KiB; read from the end. */
async function lastByteOf(path: string): Promise<number> {
  const { open } = await import("node:fs/promises");
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const block = Buffer.alloc(4096);
    for (let at = size - block.length; at > 0; at -= block.length) {
      await file.read(block, 0, block.length, at);
      if (block.some((byte) => byte !== 0)) return at + block.length;
    }
    return block.length;
  } finally {
    await file.close();
  }
}
