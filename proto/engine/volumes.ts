/**
 * The contract of a node's volumes. Pure (types only).
 * Promise: data of a named volume stays until `remove`; a volume in use is never removed.
 */

export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  /** Where its data is on the host; "" while a plugin has not mounted it. */
  readonly mountpoint: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdMs: number;
  readonly anonymous: boolean;
  readonly status?: Readonly<Record<string, string>>;
}

export interface VolumeRequest {
  /** "" makes an anonymous one, named by 64 hex digits. */
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface VolumeEvent {
  readonly kind: "create" | "mount" | "unmount" | "destroy" | "prune";
  readonly name: string;
  readonly driver: string;
  readonly containerId?: string;
  readonly timeMs: number;
}

export interface VolumeStore {
  /**
   * The volume of that name, made when missing.
   * @throws {InvalidArgumentError} bad name or option; {NotFoundError} unknown driver;
   * {AlreadyExistsError} (409) the name stands for another driver.
   */
  ensure(request: VolumeRequest): Promise<VolumeRecord>;
  find(name: string): VolumeRecord | undefined;
  list(): readonly VolumeRecord[];
  /** Deletes it with its data. @throws {NotFoundError}; {FailedPreconditionError} (409) while it is mounted. */
  remove(name: string, options?: { force?: boolean }): Promise<void>;
  /**
   * Makes its data reachable for a container (NFS and the like are mounted, a plugin is asked).
   * Counted by container: mounting twice is fine. @returns the path on the host.
   */
  mount(name: string, containerId: string): Promise<string>;
  unmount(name: string, containerId: string): Promise<void>;
  /**
   * Fills an empty volume with what the image has at the target, owner and mode of the folder included.
   * Not empty: nothing happens.
   */
  copyUp(name: string, imageFolder: string): Promise<void>;
  /** Bytes it holds, walked in slices. */
  usage(name: string): Promise<number>;
  onEvent(listener: (event: VolumeEvent) => void): () => void;
  close(): Promise<void>;
}
