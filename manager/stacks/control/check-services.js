import { InvalidArgumentError, messageOf, SkeinError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import { Service } from "../../../proto/gen/skein/v1/objects.js";
import { UpdateState } from "../../../proto/gen/skein/v1/types.js";
import { isLeaving } from "../../control/find-object.js";
import { refuseWithoutIngress } from "../../control/ingress-network.js";
import { refuseTakenPorts, resolveReferences } from "../../control/service-references.js";
import { serviceSpecFaults } from "../../control/service-validation.js";
import { compareServiceSpecs, pullAuthOf, withPullAuth } from "../../control/spec-comparison.js";
import { chosenPorts, conflictingPortKeys, portKey } from "../../store/index-keys.js";
import { versionKey } from "./check-files.js";
import { labelled, namedSpec, storedSpec } from "./definition-form.js";
import { checkOwner } from "./object-owner.js";
import { SupposedTx } from "./supposed-tx.js";
export function checkServices(services, check) {
    const found = services.flatMap((service) => {
        const checked = check.faults.attempt("service", service.key, () => ownService(service, check));
        if (checked !== undefined)
            check.supposed.put("service", { ...checked.after, endpoint: undefined });
        return checked === undefined ? [] : [checked];
    });
    refuseSharedPorts(found, check.faults);
    const others = new SupposedTx(check.supposed);
    for (const { after } of found)
        others.remove("service", after.id);
    for (const { form, after } of found) {
        const { spec } = after;
        if (spec === undefined)
            continue;
        for (const rule of [refuseTakenPorts, refuseWithoutIngress])
            check.faults.attempt("service", form.key, () => rule(others, spec, after.id));
    }
    return found;
}
function refuseSharedPorts(services, faults) {
    const holders = new Map();
    for (const { form, after } of services) {
        const ports = chosenPorts(after.spec);
        for (const port of ports) {
            const holder = conflictingPortKeys(port).flatMap((key) => holders.get(key) ?? [])[0];
            if (holder !== undefined)
                faults.add("service", form.key, `port '${port.publishedPort}' is published by service ${holder}, too`);
        }
        for (const port of ports)
            holders.set(portKey(port), form.key);
    }
}
function ownService(service, check) {
    const { tx, supposed, stackName, random, faults } = check;
    const { key } = service;
    if (service.spec === undefined)
        throw new InvalidArgumentError("it needs a specification");
    const faultsBefore = faults.count;
    for (const rule of serviceSpecFaults(service.spec))
        faults.add("service", key, rule);
    const annotations = labelled(service.spec.annotations, stackName);
    const before = tx
        .list("service", { by: "name", name: annotations.name })
        .find((other) => !isLeaving(other));
    faults.attempt("service", key, () => checkOwner("service", before?.spec?.annotations, stackName));
    for (const rule of missingReferences(service.spec, check))
        faults.add("service", key, rule);
    if (faults.count > faultsBefore)
        return undefined;
    const pullAuth = service.registryAuth || pullAuthOf(service.spec) || pullAuthOf(before?.spec);
    const task = withPullAuth(withOwnVersions(service.spec.task, check), pullAuth);
    const changed = before?.spec?.mode?.$case === service.spec.mode?.$case ? before : undefined;
    const stored = storedSpec(supposed, { ...service.spec, annotations, task }, changed?.spec);
    const form = { ...service, spec: namedSpec(supposed, stored), registryAuth: "" };
    if (changed?.spec !== undefined) {
        const { same, merged } = compareServiceSpecs(changed.spec, stored);
        const isSame = same && !isPaused(changed);
        return { form, before, after: same ? changed : changedService(changed, merged), same: isSame };
    }
    if (before !== undefined)
        supposed.remove("service", before.id);
    const id = newId(random);
    const after = Service.fromPartial({ id, spec: stored, specVersion: { index: 1 } });
    return { form, before, after, same: false };
}
function isPaused({ updateStatus }) {
    return updateStatus?.state === UpdateState.PAUSED || updateStatus?.state === UpdateState.ROLLBACK_PAUSED;
}
function withOwnVersions(task, { versions }) {
    if (task?.container === undefined)
        return task;
    const { container } = task;
    const secrets = container.secrets.map((reference) => {
        const version = versions.get(versionKey("secret", reference.secretName || reference.secretId));
        return version === undefined ? reference : { ...reference, version };
    });
    const configs = container.configs.map((reference) => {
        const version = versions.get(versionKey("config", reference.configName || reference.configId));
        return version === undefined ? reference : { ...reference, version };
    });
    return { ...task, container: { ...container, secrets, configs } };
}
function changedService(before, spec) {
    return {
        ...before,
        spec,
        specVersion: { index: (before.meta?.version?.index ?? 0) + 1 },
        previousSpec: before.spec,
        previousSpecVersion: before.specVersion,
        updateStatus: undefined,
    };
}
function missingReferences(spec, { supposed }) {
    const { task } = spec;
    if (task === undefined)
        return [];
    const { container } = task;
    const alone = [
        ...task.networks.map((network) => ({ ...task, networks: [network], container: undefined })),
        ...[...(container?.secrets ?? [])].map((secret) => ({
            ...task,
            networks: [],
            container: container && { ...container, secrets: [secret], configs: [] },
        })),
        ...[...(container?.configs ?? [])].map((config) => ({
            ...task,
            networks: [],
            container: container && { ...container, secrets: [], configs: [config] },
        })),
        task,
    ];
    const rules = new Set();
    for (const part of alone) {
        if (part === task && rules.size > 0)
            break;
        try {
            resolveReferences(supposed, part);
        }
        catch (error) {
            if (!(error instanceof SkeinError))
                throw error;
            rules.add(messageOf(error));
        }
    }
    return [...rules];
}
//# sourceMappingURL=check-services.js.map