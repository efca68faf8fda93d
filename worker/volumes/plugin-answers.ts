/**
 * Answers of volume plugins, checked. Pure. A plugin is a program of somebody else: nothing of its words is
 * believed before it was looked at.
 * Source: Docker's volume plugin protocol.
 */
import { InternalError } from "../../base/errors/errors.js";

type Fields = Readonly<Record<string, unknown>>;

/** @returns "" when there is none. @throws {InternalError} it is no absolute path. */
export function answeredPath(fields: Fields, method: string): string {
  const path = fields["Mountpoint"];
  if (path === undefined || path === null || path === "") return "";
  if (typeof path !== "string" || !path.startsWith("/") || path.includes("\0") || path.length > 4_096)
    throw new InternalError(`${method}: the plugin's mountpoint is no absolute path`);
  return path;
}

/** Whether it offers volumes. */
export function implementsVolumes(fields: Fields): boolean {
  const names = fields["Implements"];
  return Array.isArray(names) && names.includes("VolumeDriver");
}

export function answeredScope(fields: Fields): "local" | "global" {
  const capabilities = fields["Capabilities"];
  if (typeof capabilities !== "object" || capabilities === null || !("Scope" in capabilities)) return "local";
  return String(capabilities.Scope).toLowerCase() === "global" ? "global" : "local";
}

/** Of VolumeDriver.Get: whether the volume is there, and where. */
export function answeredVolume(fields: Fields, method: string): { readonly mountpoint: string } | undefined {
  const volume = fields["Volume"];
  if (typeof volume !== "object" || volume === null || Array.isArray(volume)) return undefined;
  return { mountpoint: answeredPath(volume as Fields, method) }; // just checked: an object
}
