/**
 * Capability sets: Docker's default set, and what adding and dropping make of it.
 * Pure. Order: `ALL` first, then single names; a name in both lists is dropped.
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

/** @param lastCapability highest number the kernel knows (/proc/sys/kernel/cap_last_cap): `ALL` stops there.
 *  @throws {InvalidArgumentError} naming an unknown capability. @returns names with CAP_, in kernel order. */
export function capabilitySet(
  change: { readonly add: readonly string[]; readonly drop: readonly string[] },
  lastCapability = CAPABILITIES.length - 1,
): readonly string[] {
  const add = change.add.map(normalise);
  const drop = change.drop.map(normalise);
  const base = add.includes("ALL") ? CAPABILITIES : drop.includes("ALL") ? [] : DEFAULT_CAPABILITIES;
  const kept = new Set<string>(drop.includes("ALL") && add.includes("ALL") ? [] : base);
  for (const name of add) if (name !== "ALL") kept.add(name);
  for (const name of drop) if (name !== "ALL") kept.delete(name);
  return CAPABILITIES.filter((name, number) => kept.has(name) && number <= lastCapability);
}

function normalise(given: string): string {
  const upper = given.toUpperCase();
  if (upper === "ALL" || upper === "CAP_ALL") return "ALL";
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!CAPABILITIES.includes(name))
    throw new InvalidArgumentError(`unknown capability ${JSON.stringify(given)}`);
  return name;
}
