/**
 * Keeps a container's root mounted while somebody needs it, and a little longer. Pure (coordination; the
 * clock is handed in).
 * Invariants: the root is unmounted only when neither the container nor a holder needs it; a holder never
 * unmounts what the container runs on, and the container's end never unmounts what is being read. Two
 * mounts of one writable layer would disturb each other, and the kernel takes its time to let go of a
 * container's own mount: so what is not needed any more lingers, and who comes back meanwhile finds it.
 */
import type { Clock, Timer } from "../../../base/clock/clock.js";
import { messageOf } from "../../../base/errors/errors.js";
import type { Logger } from "../../../base/log/logger.js";
import type { ImageStore } from "../../images/image-store.js";

export interface RootfsHolds {
  /** @returns the mounted root. Each hold needs its release. */
  hold(imageId: string, containerId: string): Promise<string>;
  release(containerId: string): Promise<void>;
  /** Unmounts what lingers. */
  close(): Promise<void>;
}

export interface LingerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** @default 2_000 */
  readonly lingerMs?: number;
}

interface Root {
  holders: number;
  /** The container runs on it, or is about to. */
  used: boolean;
  timer: Timer | undefined;
  /** Under way: who wants it mounted waits for its end. */
  unmounting: Promise<void> | undefined;
}

const LINGER_MS = 2_000;

/**
 * @param linger undefined: unmounted at once.
 * @returns the store for the container manager, and the holds beside it.
 */
export function holdRoots<S extends ImageStore>(
  images: S,
  linger?: LingerOptions,
): { images: S; holds: RootfsHolds } {
  const roots = new Roots(images, linger);
  const overrides: Pick<ImageStore, "mountRootfs" | "unmountRootfs" | "removeRootfs"> = {
    mountRootfs: (imageId, containerId) => {
      roots.get(containerId).used = true;
      return roots.mount(imageId, containerId);
    },
    unmountRootfs: (containerId) => {
      roots.get(containerId).used = false;
      return roots.settle(containerId);
    },
    removeRootfs: async (containerId) => {
      await roots.forget(containerId);
      await images.removeRootfs(containerId);
    },
  };
  const held = new Proxy(images, {
    get(target, name): unknown {
      if (Object.hasOwn(overrides, name)) return Reflect.get(overrides, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return {
    images: held,
    holds: {
      async hold(imageId, containerId) {
        const root = roots.get(containerId);
        root.holders += 1;
        try {
          return await roots.mount(imageId, containerId);
        } catch (error) {
          root.holders -= 1;
          throw error;
        }
      },
      async release(containerId) {
        if (roots.drop(containerId)) await roots.settle(containerId);
      },
      close: () => roots.close(),
    },
  };
}

class Roots {
  readonly #images: ImageStore;
  readonly #linger: LingerOptions | undefined;
  readonly #roots = new Map<string, Root>();

  constructor(images: ImageStore, linger: LingerOptions | undefined) {
    this.#images = images;
    this.#linger = linger;
  }

  get(containerId: string): Root {
    const root = this.#roots.get(containerId) ?? {
      holders: 0,
      used: false,
      timer: undefined,
      unmounting: undefined,
    };
    this.#roots.set(containerId, root);
    return root;
  }

  async mount(imageId: string, containerId: string): Promise<string> {
    const root = this.get(containerId);
    root.timer?.cancel();
    root.timer = undefined;
    await root.unmounting;
    return await this.#images.mountRootfs(imageId, containerId);
  }

  /** @returns false when it was removed meanwhile. */
  drop(containerId: string): boolean {
    const root = this.#roots.get(containerId);
    if (root === undefined) return false;
    root.holders -= 1;
    return true;
  }

  /** Unmounts what nobody needs, at once or after a while. */
  async settle(containerId: string): Promise<void> {
    const root = this.get(containerId);
    if (root.holders > 0 || root.used || root.timer !== undefined) return;
    if (this.#linger === undefined) {
      await this.#unmount(containerId, root);
      return;
    }
    const { clock, log, lingerMs = LINGER_MS } = this.#linger;
    root.timer = clock.setTimer(lingerMs, () => {
      root.timer = undefined;
      this.#unmount(containerId, root).then(undefined, (error: unknown) =>
        log.error("unmounting a root failed", { container: containerId, error: messageOf(error) }),
      );
    });
  }

  async forget(containerId: string): Promise<void> {
    const root = this.#roots.get(containerId);
    this.#roots.delete(containerId);
    root?.timer?.cancel();
    await root?.unmounting;
  }

  async close(): Promise<void> {
    for (const [containerId, root] of [...this.#roots]) {
      if (root.timer === undefined) continue;
      root.timer.cancel();
      root.timer = undefined;
      await this.#unmount(containerId, root);
    }
  }

  async #unmount(containerId: string, root: Root): Promise<void> {
    if (root.holders > 0 || root.used) return;
    root.unmounting = this.#images.unmountRootfs(containerId);
    try {
      await root.unmounting;
    } finally {
      root.unmounting = undefined;
      const unneeded = root.holders === 0 && !root.used && root.timer === undefined;
      if (unneeded && this.#roots.get(containerId) === root) this.#roots.delete(containerId);
    }
  }
}
