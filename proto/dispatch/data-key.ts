/**
 * How a version of a secret or config is named between manager and worker: the id of the Secret or Config in
 * a NodeResource, and of its ResourceKey. Pure. One node may need two versions at once, as during an update.
 */

/** @param version 0, of before there were versions, is the first. @returns "<id>@<version>". */
export function dataKey(id: string, version: number): string {
  return `${id}@${version || 1}`;
}

/** Of data that a driver gives for one task. @param key a `dataKey`. @returns "<id>@<version>.<task id>". */
export function taskDataKey(key: string, taskId: string): string {
  return `${key}.${taskId}`;
}
