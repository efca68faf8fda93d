/**
 * Networks of a definition against the rules and the store.
 * Pure over a read of the store. Invariant: what is supposed is what `deployment/stack-networks.ts` makes.
 */
import { FailedPreconditionError, NotFoundError, SkeinError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import { isNodeNetwork } from "../../../proto/engine/node-networks.js";
import { Network } from "../../../proto/gen/skein/v1/objects.js";
import type { StackNetwork } from "../../../proto/gen/skein/v1/stack_types.js";
import type { IpamConfig, NetworkSpec } from "../../../proto/gen/skein/v1/types.js";
import { checkNetworkName } from "../../control/annotations.js";
import { isLeaving } from "../../control/find-object.js";
import { checkAddedSubnets, checkNetworkSpec } from "../../control/network-validation.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { networkChange, otherUser } from "../deployment/stack-networks.js";
import type { FileCheck } from "./check-files.js";
import { networkForm, networkName } from "./definition-form.js";
import { checkOwner } from "./object-owner.js";

export interface CheckedNetwork {
  readonly form: StackNetwork;
  /** As it is; undefined: it is new, or external. */
  readonly before: Network | undefined;
  /** As it is to be; undefined: external. */
  readonly after: Network | undefined;
}

export function checkNetworks(
  networks: readonly StackNetwork[],
  check: FileCheck,
): readonly CheckedNetwork[] {
  return networks.flatMap((network) => {
    const found = check.faults.attempt("network", network.key, () =>
      network.external ? externalNetwork(network, check) : ownNetwork(network, check),
    );
    return found === undefined ? [] : [found];
  });
}

function externalNetwork(network: StackNetwork, { supposed }: FileCheck): CheckedNetwork {
  const name = networkName(network);
  // each node has its own
  if (isNodeNetwork(name)) return { form: network, before: undefined, after: undefined };
  const found = supposed.list("network", { by: "name", name }).find((object) => !isLeaving(object));
  if (found === undefined)
    throw new NotFoundError(`external network ${name} is not there: create it first, or name another`);
  return { form: network, before: undefined, after: undefined };
}

function ownNetwork(network: StackNetwork, check: FileCheck): CheckedNetwork {
  const { tx, supposed, stackName } = check;
  checkNetworkName(network.spec?.annotations);
  const spec = networkForm(network.spec, stackName);
  const name = networkName(network);
  const before = tx.list("network", { by: "name", name }).find((object) => !isLeaving(object));
  checkOwner("network", before?.spec?.annotations, stackName);
  const change = before === undefined ? "replace" : networkChange(before.spec, spec);
  const after =
    before !== undefined && change === "same"
      ? before
      : before !== undefined && change === "adjust"
        ? adjusted(before, spec, check)
        : madeAnew(before, spec, check);
  supposed.put("network", after);
  return { form: { ...network, spec }, before, after };
}

function adjusted(before: Network, spec: NetworkSpec, { supposed }: FileCheck): Network {
  const added = addedSubnets(before.spec, spec);
  const networks = supposed.list("network").filter(({ id }) => id !== before.id);
  checkAddedSubnets(added, { network: before, networks });
  const ipamConfigs = [...(before.spec?.ipamConfigs ?? []), ...added];
  return { ...before, spec: before.spec && { ...before.spec, annotations: spec.annotations, ipamConfigs } };
}

/** One that is there keeps its addresses until the last service has moved to the new one. */
function madeAnew(before: Network | undefined, spec: NetworkSpec, check: FileCheck): Network {
  const { tx, supposed, stackName, random } = check;
  const networks = supposed.list("network");
  try {
    checkNetworkSpec(spec, { networks, nodes: () => tx.list("node") });
  } catch (error) {
    if (before === undefined || !(error instanceof SkeinError)) throw error;
    throw new FailedPreconditionError(
      `it has to be made anew, as what changes of it cannot be changed, and beside the old one: ${error.message}`,
      { cause: error },
    );
  }
  if (before !== undefined) {
    const other = otherUser({ tx, stackName }, before);
    if (other !== "")
      throw new FailedPreconditionError(
        `it has to be made anew, as what changes of it cannot be changed, and ${other} uses it, too`,
      );
    supposed.remove("network", before.id);
  }
  return Network.fromPartial({ id: newId(random), spec });
}

function addedSubnets(before: NetworkSpec | undefined, after: NetworkSpec): readonly IpamConfig[] {
  const there = before?.ipamConfigs ?? [];
  return after.ipamConfigs.filter((config) => !there.some((other) => deepEqual(other, config)));
}
