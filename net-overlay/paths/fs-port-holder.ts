/**
 * Who has a port of the host. Edge: to /proc.
 * Looked at only when something collides, in slices: a machine has thousands of processes with tens of
 * descriptors each. Source: proc(5), proc_pid_fd(5); the socket tables of the kernel (net/udp, net/tcp).
 */
import { readFileSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import type { Linux } from "../../base/linux/linux-ports.js";

/** A socket that no process has is the kernel's own. */
const TUNNEL = "a tunnel of the kernel, as docker's swarm or another skeind has one";

export interface PortHolders {
  /** @returns words for who has the port: "nginx (pid 12)". */
  holderOf(protocol: "udp" | "tcp", port: number): Promise<string>;
  /** The same for a socket in the abstract namespace, named without its leading NUL. */
  holderOfName(name: string): Promise<string>;
}

/** @param netnsPath of the namespace that plays the host; undefined: the daemon's own. */
export function createPortHolders(linux: Linux, netnsPath: string | undefined): PortHolders {
  return {
    async holderOf(protocol, port): Promise<string> {
      const tables = readTables(linux, { netnsPath, names: [protocol, `${protocol}6`] });
      const inodes = tables.flatMap((table) => inodesOfPort(table, port));
      return (await processWith(inodes)) ?? TUNNEL;
    },
    async holderOfName(name): Promise<string> {
      const [table = ""] = readTables(linux, { netnsPath, names: ["unix"] });
      return (await processWith(inodesOfName(table, name))) ?? "another program";
    },
  };
}

function readTables(
  linux: Linux,
  { netnsPath, names }: { netnsPath: string | undefined; names: readonly string[] },
): string[] {
  const read = (): string[] =>
    names.map((name) => {
      try {
        return readFileSync(`/proc/thread-self/net/${name}`, "utf8");
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return ""; // no IPv6
        throw error;
      }
    });
  return netnsPath === undefined ? read() : linux.inNetns(netnsPath, read);
}

/** Pure. @param table of /proc/net/udp or its like. */
export function inodesOfPort(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) === true)
    .flatMap((fields) => fields[9] ?? []);
}

/** Pure. @param table of /proc/net/unix; the kernel pads names with "@" there. */
export function inodesOfName(table: string, name: string): string[] {
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[7]?.replace(/@+$/, "") === `@${name}`)
    .flatMap((fields) => fields[6] ?? []);
}

/** A process may end while it is looked at: then it is not the one. */
async function processWith(inodes: readonly string[]): Promise<string | undefined> {
  const sockets = new Set(inodes.filter((inode) => inode !== "0").map((inode) => `socket:[${inode}]`));
  if (sockets.size === 0) return undefined;
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const folder = `/proc/${pid}/fd`;
    for (const fd of await orNothing(readdir(folder), [])) {
      if (!sockets.has(await orNothing(readlink(`${folder}/${fd}`), ""))) continue;
      const name = (await orNothing(readFile(`/proc/${pid}/comm`, "utf8"), "a process")).trim();
      return `${name} (pid ${pid})`;
    }
  }
  return undefined;
}

async function orNothing<T>(work: Promise<T>, nothing: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && "code" in error) return nothing; // gone, or not ours to see
    throw error;
  }
}
