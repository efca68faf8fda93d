/**
 * Networks of a definition against the rules and the store.
 * Pure over a read of the store. Invariant: of a network that is there, labels change and subnets are added;
 * nothing else of it can be changed.
 */
import { FailedPreconditionError, NotFoundError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import { Network } from "../../../proto/gen/skein/v1/objects.js";
import type { StackNetwork } from "../../../proto/gen/skein/v1/stack_types.js";
import type { IpamConfig, NetworkSpec } from "../../../proto/gen/skein/v1/types.js";
import { checkNetworkName } from "../../control/annotations.js";
import { isLeaving } from "../../control/find-object.js";
import { checkAddedSubnets, checkNetworkSpec } from "../../control/network-validation.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
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
  const found = supposed.list("network", { by: "name", name }).find((object) => !isLeaving(object));
  if (found === undefined)
    throw new NotFoundError(`external network ${name} is not there: create it first, or name another`);
  return { form: network, before: undefined, after: undefined };
}

function ownNetwork(network: StackNetwork, check: FileCheck): CheckedNetwork {
  const { tx, supposed, stackName, random } = check;
  checkNetworkName(network.spec?.annotations);
  const spec = networkForm(network.spec, stackName);
  const name = networkName(network);
  const before = tx.list("network", { by: "name", name }).find((object) => !isLeaving(object));
  checkOwner("network", before?.spec?.annotations, stackName);
  const networks = supposed.list("network").filter(({ id }) => id !== before?.id);
  let after: Network;
  if (before === undefined) {
    checkNetworkSpec(spec, { networks, nodes: () => tx.list("node") });
    after = Network.fromPartial({ id: newId(random), spec });
  } else {
    after = changedNetwork(before, spec, networks);
  }
  supposed.put("network", after);
  return { form: { ...network, spec }, before, after };
}

/** @returns the same object when it is as asked already. @throws {FailedPreconditionError} it cannot be. */
export function changedNetwork(before: Network, spec: NetworkSpec, others: readonly Network[]): Network {
  const field = fixedDifference(before.spec, spec);
  if (field !== undefined) {
    throw new FailedPreconditionError(
      `network ${before.spec?.annotations?.name} is there with another ${field}, which cannot be changed: ` +
        "give the network another name, and its services move to it, or remove the stack first",
    );
  }
  const added = addedSubnets(before.spec, spec);
  checkAddedSubnets(added, { network: before, networks: others });
  const sameLabels = deepEqual(before.spec?.annotations, spec.annotations);
  if (added.length === 0 && sameLabels) return before;
  return {
    ...before,
    spec: before.spec && {
      ...before.spec,
      annotations: spec.annotations,
      ipamConfigs: [...before.spec.ipamConfigs, ...added],
    },
  };
}

export function addedSubnets(before: NetworkSpec | undefined, after: NetworkSpec): readonly IpamConfig[] {
  const there = before?.ipamConfigs ?? [];
  return after.ipamConfigs.filter(
    (config) => config.subnet !== "" && !there.some((other) => deepEqual(other, config)),
  );
}

/** @returns the name of a field that differs and cannot be changed. */
function fixedDifference(before: NetworkSpec | undefined, after: NetworkSpec): string | undefined {
  if (before === undefined) return "specification";
  const [old, next] = [fixedFields(before), fixedFields(after)];
  return Object.keys(next).find((field) => !deepEqual(old[field], next[field]));
}

export function fixedFields(spec: NetworkSpec): Readonly<Record<string, unknown>> {
  return {
    "driver options": spec.driverOptions,
    "setting of internal": spec.internal,
    "setting of attachable": spec.attachable,
    "setting of IPv6": spec.ipv6Enabled,
    "setting of IPv4": !spec.ipv4Disabled,
    "IPAM driver": spec.ipamDriver || "default",
    "set of IPAM options": spec.ipamOptions,
  };
}
