/**
 * Keeps a container's root mounted while somebody looks into it. Pure (coordination alone).
 * Invariants: the root is unmounted only when neither the container nor a holder needs it; a holder never
 * unmounts what the container runs on, and the container's end never unmounts what is being read: two mounts
 * of one writable layer would disturb each other.
 */
import type { ImageStore } from "../../images/image-store.js";

export interface RootfsHolds {
  /** @returns the mounted root. Each hold needs its release. */
  hold(imageId: string, containerId: string): Promise<string>;
  release(containerId: string): Promise<void>;
}

interface Root {
  holders: number;
  /** The container runs on it, or is about to. */
  used: boolean;
}

/** @returns the store for the container manager, and the holds beside it. */
export function holdRoots<S extends ImageStore>(images: S): { images: S; holds: RootfsHolds } {
  const roots = new Map<string, Root>();
  const rootOf = (containerId: string): Root => {
    const known = roots.get(containerId) ?? { holders: 0, used: false };
    roots.set(containerId, known);
    return known;
  };
  const settle = async (containerId: string, root: Root): Promise<void> => {
    if (root.holders > 0 || root.used) return;
    roots.delete(containerId);
    await images.unmountRootfs(containerId);
  };
  const overrides: Pick<ImageStore, "mountRootfs" | "unmountRootfs" | "removeRootfs"> = {
    mountRootfs: (imageId, containerId) => {
      rootOf(containerId).used = true;
      return images.mountRootfs(imageId, containerId);
    },
    unmountRootfs: (containerId) => {
      const root = rootOf(containerId);
      root.used = false;
      return settle(containerId, root);
    },
    removeRootfs: (containerId) => {
      roots.delete(containerId);
      return images.removeRootfs(containerId);
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
        const root = rootOf(containerId);
        root.holders += 1;
        try {
          return await images.mountRootfs(imageId, containerId);
        } catch (error) {
          root.holders -= 1;
          throw error;
        }
      },
      async release(containerId) {
        const root = roots.get(containerId);
        if (root === undefined) return; // removed meanwhile
        root.holders -= 1;
        await settle(containerId, root);
      },
    },
  };
}
