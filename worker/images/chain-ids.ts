/**
 * Chain ids: the name of a layer together with everything below it, so that equal stacks share one folder.
 * Edge: to node:crypto (a hash, no state). Source: OCI image-spec 1.1 config.md, "Layer ChainID".
 */
import { createHash } from "node:crypto";

/** @returns `sha256:<hex>` of the bytes. */
export function sha256Of(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** @param diffIds lowest first. @returns one chain id per layer, lowest first. */
export function chainIdsOf(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) chain.push(chainIdOf(chain.at(-1), diffId));
  return chain;
}

/** @param below chain id of the layers below; undefined for the lowest. */
export function chainIdOf(below: string | undefined, diffId: string): string {
  return below === undefined ? diffId : sha256Of(`${below} ${diffId}`);
}

/** @returns the hexadecimal part of a digest: a safe file name, because digests are checked when parsed. */
export function hexOf(digest: string): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** @returns the 12 digits people read. */
export function shortIdOf(digest: string): string {
  return hexOf(digest).slice(0, 12);
}
