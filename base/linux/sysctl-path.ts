/**
 * Where a kernel setting stands as a file. Pure. As sysctl(8) has it: dots part the name, and a slash stands
 * for a dot within a part, e.g. net.ipv4.conf.eth0/100.rp_filter for the link eth0.100.
 */
import { InternalError } from "../errors/errors.js";

/** @throws {InternalError} when the name would lead elsewhere. */
export function sysctlPath(name: string): string {
  const parts = name.split(".").map((part) => part.replaceAll("/", "."));
  if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\0"))) {
    throw new InternalError(`setting must be names parted by dots, got ${JSON.stringify(name)}`);
  }
  return `/proc/sys/${parts.join("/")}`;
}
