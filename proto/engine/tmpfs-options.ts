/**
 * Options of a tmpfs as `--tmpfs TARGET:OPTIONS` has them. Pure. Source: mount(8), dockerd's list.
 */

/** Flags of mount(8) that mean something here, and what tmpfs itself takes with a value. */
const TMPFS_OPTION = new RegExp(
  "^(defaults|r[ow]|(no)?(suid|dev|exec|atime|diratime|relatime|strictatime|mand)|a?sync|dirsync|remount|" +
    "r?(bind|private|shared|slave|unbindable)|(size|mode|uid|gid|nr_inodes|nr_blocks|mpol)=.*)?$",
);

/** The words of "rw,size=64m"; none for "". */
export function tmpfsOptionWords(options: string): readonly string[] {
  return options === "" ? [] : options.split(",");
}

/** @returns the first that is no option. */
export function wrongTmpfsOption(words: readonly string[]): string | undefined {
  return words.find((word) => !TMPFS_OPTION.test(word));
}

/** "TARGET[:OPTIONS]" in its two parts. */
export function tmpfsParts(text: string): { readonly target: string; readonly options: string } {
  const at = text.indexOf(":");
  return at < 0 ? { target: text, options: "" } : { target: text.slice(0, at), options: text.slice(at + 1) };
}
