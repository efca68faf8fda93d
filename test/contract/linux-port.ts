/**
 * What every Linux must do. Edge: to node:test, and to the kernel.
 */
import { filePromises } from "./linux-port-files.js";
import { type LinuxWorld, promising } from "./linux-port-lab.js";
import { networkPromises } from "./linux-port-network.js";

export function linuxPortContract(name: string, world: LinuxWorld): void {
  const promise = promising(name, world);
  networkPromises(promise);
  filePromises(promise);
}
