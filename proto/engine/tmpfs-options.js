const TMPFS_OPTION = new RegExp("^(defaults|r[ow]|(no)?(suid|dev|exec|atime|diratime|relatime|strictatime|mand)|a?sync|dirsync|remount|" +
    "r?(bind|private|shared|slave|unbindable)|(size|mode|uid|gid|nr_inodes|nr_blocks|mpol)=.*)?$");
export function tmpfsOptionWords(options) {
    return options === "" ? [] : options.split(",");
}
export function wrongTmpfsOption(words) {
    return words.find((word) => !TMPFS_OPTION.test(word));
}
export function tmpfsParts(text) {
    const at = text.indexOf(":");
    return at < 0 ? { target: text, options: "" } : { target: text.slice(0, at), options: text.slice(at + 1) };
}
//# sourceMappingURL=tmpfs-options.js.map