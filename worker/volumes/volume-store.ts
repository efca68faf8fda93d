/**
 * Volumes of one node. Pure (interface only).
 * Promises: data of a named volume stays until `remove`; a volume in use is the caller's to know.
 */

export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  /** Where its data is on the host. */
  readonly mountpoint: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdMs: number;
  readonly anonymous: boolean;
}

export interface VolumeRequest {
  /** "" makes an anonymous one, named by 64 hex digits. */
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface VolumeStore {
  /**
   * The volume of that name, made when missing.
   * @throws {InvalidArgumentError} bad name; {NotImplementedError} unknown driver or option.
   */
  ensure(request: VolumeRequest): Promise<VolumeRecord>;
  find(name: string): VolumeRecord | undefined;
  list(): readonly VolumeRecord[];
  /** Deletes it with its data. @throws {NotFoundError}. */
  remove(name: string): Promise<void>;
  /**
   * Fills an empty volume with what the image has at the target, owner and mode of the folder included.
   * Not empty: nothing happens.
   */
  copyUp(name: string, imageFolder: string): Promise<void>;
}
