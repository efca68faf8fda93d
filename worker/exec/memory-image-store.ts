/**
 * Images that are only names: the twin of the real store for tests of what stands above it.
 * Pure. Invariant: `pull` finds what `registry` holds, and nothing else.
 */
import { NotFoundError, NotImplementedError } from "../../base/errors/errors.js";
import type { ImageRecord, ImageStore, RegistryAuth } from "../images/image-store.js";

function recordOf(reference: string): ImageRecord {
  return {
    id: `sha256:${reference}`,
    repoTags: [reference],
    repoDigests: [],
    createdMs: 0,
    sizeBytes: 1,
    architecture: "amd64",
    os: "linux",
    chainIds: [],
    diffIds: [],
    config: {
      user: "",
      env: [],
      entrypoint: [],
      cmd: [],
      workingDir: "",
      labels: {},
      exposedPorts: [],
      volumes: [],
      stopSignal: "",
      shell: [],
      healthcheck: undefined,
    },
    author: "",
    comment: "",
  };
}

export class MemoryImageStore implements ImageStore {
  readonly local = new Map<string, ImageRecord>();
  /** What a pull finds. */
  readonly registry: Set<string>;
  readonly pulls: { readonly reference: string; readonly auth: RegistryAuth | undefined }[] = [];

  constructor(options: { local?: readonly string[]; registry?: readonly string[] } = {}) {
    for (const reference of options.local ?? []) this.local.set(reference, recordOf(reference));
    this.registry = new Set(options.registry ?? []);
  }

  find(reference: string): ImageRecord | undefined {
    return this.local.get(reference);
  }

  list(): readonly ImageRecord[] {
    return [...this.local.values()];
  }

  async pull(reference: string, options: { auth?: RegistryAuth } = {}): Promise<ImageRecord> {
    this.pulls.push({ reference, auth: options.auth });
    await Promise.resolve();
    if (!this.registry.has(reference))
      throw new NotFoundError(`manifest for ${reference} not found: manifest unknown`);
    const record = recordOf(reference);
    this.local.set(reference, record);
    return record;
  }

  describeRemote(): never {
    throw new NotImplementedError("a memory image store has no registry to describe");
  }

  load(): never {
    throw new NotImplementedError("a memory image store cannot load");
  }

  importRootfs(): never {
    throw new NotImplementedError("a memory image store cannot import");
  }

  tag(): never {
    throw new NotImplementedError("a memory image store cannot tag");
  }

  remove(): never {
    throw new NotImplementedError("a memory image store cannot remove");
  }

  mountRootfs(imageId: string, containerId: string): Promise<string> {
    return Promise.resolve(`/rootfs/${imageId}/${containerId}`);
  }

  unmountRootfs(): Promise<void> {
    return Promise.resolve();
  }

  removeRootfs(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
