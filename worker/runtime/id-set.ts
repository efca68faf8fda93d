/**
 * Sets of CPUs and memory nodes as the kernel writes them: "0-2,4". Pure. Source: cpuset(7), list format.
 */

/** Beyond the largest number of CPUs a kernel is built for. */
const ID_MAX = 8_191;

/** @returns undefined when the text is no such list. */
export function parseIdSet(text: string): ReadonlySet<number> | undefined {
  const ids = new Set<number>();
  for (const part of text.trim().split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    if (match === null) return undefined;
    const from = Number(match[1]);
    const to = match[2] === undefined ? from : Number(match[2]);
    if (to < from || to > ID_MAX) return undefined;
    for (let id = from; id <= to; id += 1) ids.add(id);
  }
  return ids;
}
