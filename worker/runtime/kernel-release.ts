/**
 * Which kernel this is, compared. Pure.
 */

/** Whether "6.1.0-18-amd64" is at least version major.minor; false when it cannot be read. */
export function isLinuxFrom(release: string, major: number, minor: number): boolean {
  const [, first = "0", second = "0"] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}
