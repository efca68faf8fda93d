/**
 * The networks of a task here as the API shows them: what its sandbox has, and what the cluster gave and was
 * asked.
 * Pure.
 */
import type { EngineContainerNetwork } from "../api/engine-ports.js";
import type { TaskNetwork } from "../net-overlay/network-plane.js";
import type { Task } from "../proto/gen/skein/v1/objects.js";

/** @param task undefined: not known (any more). */
export function taskNetworks(
  attached: readonly TaskNetwork[],
  task: Task | undefined,
): readonly EngineContainerNetwork[] {
  return attached.map((network) => {
    const addresses = task?.networks.find((one) => one.networkId === network.networkId)?.addresses ?? [];
    const ipv6Address = addresses.find((address) => address.includes(":"));
    const driverOptions = task?.spec?.networks.find(({ target }) => target === network.networkId);
    return {
      ...network,
      ...(ipv6Address === undefined ? {} : { ipv6Address }),
      driverOptions: driverOptions?.driverAttachmentOpts ?? {},
    };
  });
}
