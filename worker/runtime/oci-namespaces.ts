/**
 * Which namespaces a container has of its own, shares with another, or with the host. Pure.
 * Source: namespaces(7), Docker's --ipc, --pid, --uts, --cgroupns.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { absolutePath } from "./oci-path.js";
import type { OciSpec } from "./oci-types.js";

/** path: the one behind a file of /proc/<pid>/ns. */
export type NamespaceChoice = "own" | "host" | { readonly path: string };

export interface Namespaces {
  readonly network: NamespaceChoice;
  readonly pid: NamespaceChoice;
  readonly ipc: NamespaceChoice;
  readonly uts: "own" | "host";
  readonly cgroup: "own" | "host";
}

export function ociNamespaces(choice: Namespaces): OciSpec["linux"]["namespaces"] {
  const rows: readonly (readonly [type: string, choice: NamespaceChoice])[] = [
    ["pid", choice.pid],
    ["ipc", choice.ipc],
    ["uts", choice.uts],
    ["mount", "own"],
    ["cgroup", choice.cgroup],
    ["network", choice.network],
  ];
  return rows.flatMap(([type, wanted]) => {
    if (wanted === "host") return [];
    if (wanted === "own") return [{ type }];
    return [{ type, path: absolutePath(wanted.path, `${type} namespace`) }];
  });
}

export type IpcMode = "private" | "shareable" | "none" | "host" | { readonly container: string };

function otherContainer(mode: string): string | undefined {
  const id = mode.startsWith("container:") ? mode.slice("container:".length) : undefined;
  return id === "" ? undefined : id;
}

/** @throws {InvalidArgumentError} an unknown mode, here and below. */
export function ipcMode(mode: string): IpcMode {
  if (mode === "" || mode === "private") return "private";
  if (mode === "shareable" || mode === "none" || mode === "host") return mode;
  const container = otherContainer(mode);
  if (container === undefined) throw new InvalidArgumentError(`invalid IPC mode: ${mode}`);
  return { container };
}

export function pidMode(mode: string): "own" | "host" | { readonly container: string } {
  if (mode === "" || mode === "private") return "own";
  if (mode === "host") return "host";
  const container = otherContainer(mode);
  if (container === undefined) throw new InvalidArgumentError(`invalid PID mode: ${mode}`);
  return { container };
}

export function utsMode(mode: string): "own" | "host" {
  if (mode === "" || mode === "private") return "own";
  if (mode === "host") return "host";
  throw new InvalidArgumentError(`invalid UTS mode: ${mode}`);
}

/** Docker's default: the host's where groups are of version 1, an own one where they are of version 2. */
export function cgroupnsMode(mode: string, cgroupVersion: 1 | 2): "own" | "host" {
  if (mode === "") return cgroupVersion === 2 ? "own" : "host";
  if (mode === "private") return "own";
  if (mode === "host") return "host";
  throw new InvalidArgumentError(`invalid cgroup namespace mode: ${mode}`);
}

/** There is no mapping of user ids: with or without the word, the host's ids are used. */
export function checkUsernsMode(mode: string): void {
  if (mode !== "" && mode !== "host") throw new InvalidArgumentError(`invalid user namespace mode: ${mode}`);
}
