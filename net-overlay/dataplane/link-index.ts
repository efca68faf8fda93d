/**
 * The number that the host's end of a veth pair is born with. The kernel gives the other end the number asked
 * for only when this end's is asked for, too; otherwise it counts on, and after an interface was taken away
 * from a container the next one has another number than was planned.
 * Pure. Invariant: the same for the same name and attempt; never one that the kernel counts to by itself.
 */
import { createHash } from "node:crypto";

/** The kernel counts from 1 upwards. */
const INDEX_MIN = 0x4000_0000;
const INDEX_MASK = 0x3fff_ffff;
/** Of names of one network namespace, two may have the same number. */
export const LINK_INDEX_ATTEMPTS = 4;

export function hostEndIndex(name: string, attempt: number): number {
  const digest = createHash("sha256").update(`${name} ${attempt}`).digest();
  return INDEX_MIN + (digest.readUInt32BE(0) & INDEX_MASK);
}
