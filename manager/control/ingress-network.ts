/**
 * The network that stands for the routing mesh: at most one, and a service that publishes by the mesh needs
 * it.
 * Pure over a read of the store. Source: SwarmKit's rules and words.
 */
import { AlreadyExistsError, FailedPreconditionError } from "../../base/errors/errors.js";
import type { Network } from "../../proto/gen/skein/v1/objects.js";
import { PublishMode, type ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import type { ReadTx } from "../store/types.js";

export function needsIngress(spec: ServiceSpec | undefined): boolean {
  return (spec?.endpoint?.ports ?? []).some(({ publishMode }) => publishMode === PublishMode.INGRESS);
}

export function ingressNetworkOf(networks: readonly Network[]): Network | undefined {
  return networks.find(({ spec, pendingDelete }) => spec?.ingress === true && !pendingDelete);
}

/** @throws {AlreadyExistsError} */
export function refuseSecondIngress(networks: readonly Network[]): void {
  const other = ingressNetworkOf(networks);
  if (other !== undefined) throw new AlreadyExistsError(`ingress network (${other.id}) is already present`);
}

/** @throws {FailedPreconditionError} */
export function refuseWithoutIngress(tx: ReadTx, spec: ServiceSpec | undefined): void {
  if (!needsIngress(spec) || ingressNetworkOf(tx.list("network")) !== undefined) return;
  throw new FailedPreconditionError("service needs ingress network, but no ingress network is present");
}
