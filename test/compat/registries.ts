/**
 * Debian's docker-registry beside each daemon: an open one and one with a password, both with the same images
 * at the start. Edge: to processes and the file system.
 *
 *   $REGISTRY/seed:one    Docker's manifest            $REGISTRY/seed:two    the same of another image
 *   $REGISTRY/many:both   an index of two platforms    $REGISTRY/many:other  one of a foreign platform
 *   $LOCKED/seed:one      what `user` with password `secret` may read and write
 */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type BuiltImage, buildImage } from "../support/image-tar.js";
import { pushImage, pushIndex, startRegistry, type TestRegistry } from "../support/registry-process.js";

/** Where they listen in the daemon's namespace; loopback, so that no daemon asks for TLS. */
export const REGISTRY = "127.0.0.1:5000";
export const LOCKED = "127.0.0.1:5001";

function image(word: string, architecture = "amd64"): Promise<BuiltImage> {
  return buildImage({
    architecture,
    layers: [[{ name: "shared", content: "in all\n" }], [{ name: "word", content: `${word}\n` }]],
    config: { Cmd: ["/word"], Env: ["PATH=/bin"], Labels: { word } },
  });
}

/** Fills a registry's folder; the same bytes every time. */
async function seed(storage: string): Promise<void> {
  await using registry = await startRegistry({ storage });
  const to = (path: string, tag: string) => ({ host: registry.host, path, tag });
  const [one, two, arm] = [await image("one"), await image("two"), await image("arm", "arm64")];
  await pushImage(one, to("seed", "one"));
  await pushImage(two, to("seed", "two"));
  const both = [
    { image: one, architecture: "amd64" },
    { image: arm, architecture: "arm64" },
  ];
  await pushIndex(both, to("many", "both"));
  await pushIndex([{ image: await image("far", "s390x"), architecture: "s390x" }], to("many", "other"));
}

/** Closed in one. */
export interface Registries {
  close(): Promise<void>;
}

/** One pair in each network namespace, in folders below `dir`. */
export async function openRegistries(dir: string, namespaces: readonly string[]): Promise<Registries> {
  const origin = join(dir, "registry-seed");
  mkdirSync(origin, { recursive: true });
  await seed(origin);
  const opened: TestRegistry[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((registry) => registry.close()));
  };
  try {
    for (const netns of namespaces) {
      const storage = (name: string): string => {
        const path = join(dir, `${name}-${netns}`);
        cpSync(origin, path, { recursive: true });
        return path;
      };
      const basic = { username: "user", password: "secret" };
      opened.push(await startRegistry({ netns, listen: REGISTRY, storage: storage("open") }));
      opened.push(await startRegistry({ netns, listen: LOCKED, storage: storage("locked"), basic }));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}
