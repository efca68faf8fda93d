/**
 * What a client that does not know of it leaves as it is: when Docker's own sends a service back that it was
 * shown, what a task asks of its node and the addresses it chose are missing, and nobody meant that.
 * Pure. Rule: without HostConfig in an update both stay; with it, and be it empty, all is as the update says.
 */
import type { NetworkAttachmentConfig, ServiceSpec } from "../../proto/gen/skein/v1/types.js";

/** Whether an update leaves something to be taken from the specification before. */
export function leavesWishes(update: ServiceSpec): boolean {
  return update.task?.container !== undefined && update.task.container.host === undefined;
}

export function withKeptWishes(update: ServiceSpec, before: ServiceSpec | undefined): ServiceSpec {
  const { task } = update;
  if (!leavesWishes(update) || task?.container === undefined) return update;
  const chosen = new Map((before?.task?.networks ?? []).map(({ target, addresses }) => [target, addresses]));
  const keep = (attachment: NetworkAttachmentConfig): NetworkAttachmentConfig =>
    attachment.addresses.length > 0
      ? attachment
      : { ...attachment, addresses: chosen.get(attachment.target) ?? [] };
  const host = before?.task?.container?.host;
  return {
    ...update,
    task: { ...task, container: { ...task.container, host }, networks: task.networks.map(keep) },
  };
}
