import { FailedPreconditionError, NotFoundError, SkeinError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import { Network } from "../../../proto/gen/skein/v1/objects.js";
import { checkNetworkName } from "../../control/annotations.js";
import { isLeaving } from "../../control/find-object.js";
import { checkAddedSubnets, checkNetworkSpec } from "../../control/network-validation.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { networkChange, otherUser } from "../deployment/stack-networks.js";
import { networkForm, networkName } from "./definition-form.js";
import { checkOwner } from "./object-owner.js";
export function checkNetworks(networks, check) {
    return networks.flatMap((network) => {
        const found = check.faults.attempt("network", network.key, () => network.external ? externalNetwork(network, check) : ownNetwork(network, check));
        return found === undefined ? [] : [found];
    });
}
function externalNetwork(network, { supposed }) {
    const name = networkName(network);
    const found = supposed.list("network", { by: "name", name }).find((object) => !isLeaving(object));
    if (found === undefined)
        throw new NotFoundError(`external network ${name} is not there: create it first, or name another`);
    return { form: network, before: undefined, after: undefined };
}
function ownNetwork(network, check) {
    const { tx, supposed, stackName } = check;
    checkNetworkName(network.spec?.annotations);
    const spec = networkForm(network.spec, stackName);
    const name = networkName(network);
    const before = tx.list("network", { by: "name", name }).find((object) => !isLeaving(object));
    checkOwner("network", before?.spec?.annotations, stackName);
    const change = before === undefined ? "replace" : networkChange(before.spec, spec);
    const after = before !== undefined && change === "same"
        ? before
        : before !== undefined && change === "adjust"
            ? adjusted(before, spec, check)
            : madeAnew(before, spec, check);
    supposed.put("network", after);
    return { form: { ...network, spec }, before, after };
}
function adjusted(before, spec, { supposed }) {
    const added = addedSubnets(before.spec, spec);
    const networks = supposed.list("network").filter(({ id }) => id !== before.id);
    checkAddedSubnets(added, { network: before, networks });
    const ipamConfigs = [...(before.spec?.ipamConfigs ?? []), ...added];
    return { ...before, spec: before.spec && { ...before.spec, annotations: spec.annotations, ipamConfigs } };
}
function madeAnew(before, spec, check) {
    const { tx, supposed, stackName, random } = check;
    const networks = supposed.list("network");
    try {
        checkNetworkSpec(spec, { networks, nodes: () => tx.list("node") });
    }
    catch (error) {
        if (before === undefined || !(error instanceof SkeinError))
            throw error;
        throw new FailedPreconditionError(`it has to be made anew, as what changes of it cannot be changed, and beside the old one: ${error.message}`, { cause: error });
    }
    if (before !== undefined) {
        const other = otherUser({ tx, stackName }, before);
        if (other !== "")
            throw new FailedPreconditionError(`it has to be made anew, as what changes of it cannot be changed, and ${other} uses it, too`);
        supposed.remove("network", before.id);
    }
    return Network.fromPartial({ id: newId(random), spec });
}
export function addedSubnets(before, after) {
    const there = before?.ipamConfigs ?? [];
    return after.ipamConfigs.filter((config) => !there.some((other) => deepEqual(other, config)));
}
//# sourceMappingURL=check-networks.js.map