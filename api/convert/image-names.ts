/**
 * Names of images as people write them. Pure.
 */

/** Docker shows names without the default registry. */
export function familiarName(reference: string): string {
  return reference.replace(/^docker\.io\/(library\/)?/, "");
}
