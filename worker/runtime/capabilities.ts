/**
 * Capability sets: Docker's default set, and what adding and dropping make of it.
 * Pure.
 * Source: capabilities(7), Docker's run reference.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

/** In order of their kernel numbers. */
export const CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
].map((name) => `CAP_${name}`);

/** What a container has when nobody says otherwise. */
export const DEFAULT_CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "NET_RAW",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
].map((name) => `CAP_${name}`);

/**
 * `ALL` added: all but the dropped ones; else `ALL` dropped: only the added ones; else Docker's set without
 * the dropped ones, and then the added ones.
 * @param available what the daemon may hand on: `ALL` stops there.
 * @throws {InvalidArgumentError} naming an unknown capability. @returns names with CAP_, in kernel order.
 */
export function capabilitySet(
  change: { readonly add: readonly string[]; readonly drop: readonly string[] },
  available: readonly string[] = CAPABILITIES,
): readonly string[] {
  const add = change.add.map((name) => normalise(name, "CapAdd"));
  const drop = change.drop.map((name) => normalise(name, "CapDrop"));
  const kept = (name: string): boolean => {
    if (add.includes("ALL")) return available.includes(name) && !drop.includes(name);
    if (add.includes(name)) return true;
    return !drop.includes("ALL") && !drop.includes(name) && DEFAULT_CAPABILITIES.includes(name);
  };
  return CAPABILITIES.filter(kept);
}

function normalise(given: string, field: string): string {
  const upper = given.toUpperCase();
  if (upper === "ALL" || upper === "CAP_ALL") return "ALL";
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!CAPABILITIES.includes(name))
    throw new InvalidArgumentError(`invalid ${field}: unknown capability: ${JSON.stringify(name)}`);
  return name;
}
