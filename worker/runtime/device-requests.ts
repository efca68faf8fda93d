/**
 * Requests for devices by driver (--gpus, --device vendor/class=name) as names of CDI devices. Pure.
 * Source: Docker's device requests; nvidia's devices have the CDI kind nvidia.com/gpu.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerIsolation } from "../../proto/engine/containers.js";

export type DeviceRequest = NonNullable<ContainerIsolation["deviceRequests"]>[number];

const GPU_KIND = "nvidia.com/gpu";
const GPU_CAPABILITIES = ["gpu", "nvidia"];

/**
 * @param names qualified names of all devices there are.
 * @returns qualified names (vendor/class=name) in order. @throws {InvalidArgumentError} nothing can give
 * them.
 */
export function requestedDevices(
  requests: readonly DeviceRequest[],
  names: readonly string[],
): readonly string[] {
  return [...new Set(requests.flatMap((request) => devicesOf(request, names)))];
}

function devicesOf(request: DeviceRequest, names: readonly string[]): readonly string[] {
  const { driver, deviceIds, count } = request;
  if (driver === "cdi") {
    if (count !== 0) throw new InvalidArgumentError("cannot use CDI with count");
    return deviceIds.map((id) => known(id, names));
  }
  const forGpus =
    driver === "nvidia" ||
    (driver === "" &&
      request.capabilities.some((all) => all.some((name) => GPU_CAPABILITIES.includes(name))));
  const gpus = names.filter((name) => name.startsWith(`${GPU_KIND}=`));
  if (!forGpus || gpus.length === 0) {
    const capabilities = `[${request.capabilities.map((all) => `[${all.join(" ")}]`).join(" ")}]`;
    throw new InvalidArgumentError(
      `could not select device driver "${driver}" with capabilities: ${capabilities}`,
    );
  }
  if (deviceIds.length > 0) return deviceIds.map((id) => known(`${GPU_KIND}=${id}`, names));
  if (count < 0 && gpus.includes(`${GPU_KIND}=all`)) return [`${GPU_KIND}=all`];
  // Numbered ones first, by number; a device that stands for all is none of its own.
  const single = gpus.filter((name) => name !== `${GPU_KIND}=all`);
  const numbered = single.filter((name) => /=\d+$/.test(name)).sort((a, b) => numberOf(a) - numberOf(b));
  const pool = numbered.length > 0 ? numbered : single.sort();
  const wanted = count < 0 ? pool.length : count;
  if (wanted > pool.length)
    throw new InvalidArgumentError(`${wanted} GPUs were asked for, but there are ${pool.length}`);
  return pool.slice(0, wanted);
}

function numberOf(name: string): number {
  return Number(name.slice(name.indexOf("=") + 1));
}

function known(name: string, names: readonly string[]): string {
  if (!names.includes(name))
    throw new InvalidArgumentError(`CDI device injection failed: unresolvable CDI devices ${name}`);
  return name;
}
