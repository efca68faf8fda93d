/**
 * What the store asks of the thing behind a volume: the local file system, or a plugin. Pure (interface
 * only).
 */
import type { VolumeRecord } from "./volume-store.js";

export interface VolumeDriver {
  /** Makes it there. Twice is fine. @throws {InvalidArgumentError} an option it does not take. */
  create(name: string, options: Readonly<Record<string, string>>): Promise<void>;
  /** Deletes it with its data. Gone already is fine. */
  remove(name: string): Promise<void>;
  /** @param first nobody else has it mounted. @returns the path on the host. */
  mount(name: string, options: { readonly containerId: string; readonly first: boolean }): Promise<string>;
  /** @param last nobody else has it mounted. */
  unmount(name: string, options: { readonly containerId: string; readonly last: boolean }): Promise<void>;
  /** Where its data is; "" while that is known only when mounted. */
  mountpoint(name: string): string;
  /** May be used from other nodes, too. */
  readonly scope: "local" | "global";
}

export type VolumeOptions = VolumeRecord["options"];
