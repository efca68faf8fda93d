import { NetworkSpec, } from "../../../proto/gen/skein/v1/types.js";
import { dataOfVersion } from "../../control/data-versions.js";
import { resolveReferences } from "../../control/service-references.js";
import { STACK_LABEL } from "../../store/index-keys.js";
export function labelled(annotations, stackName) {
    const { name = "", labels = {} } = annotations ?? {};
    return { name, labels: { ...labels, [STACK_LABEL]: stackName } };
}
export function stackOf(annotations) {
    return annotations?.labels[STACK_LABEL] ?? "";
}
export function networkName({ spec }) {
    return spec?.annotations?.name ?? "";
}
export function fileName({ annotations }) {
    return annotations?.name ?? "";
}
export function networkForm(spec, stackName) {
    return {
        ...(spec ?? NetworkSpec.fromPartial({})),
        annotations: labelled(spec?.annotations, stackName),
        driver: "overlay",
        scope: "swarm",
    };
}
export function namedSpec(tx, spec) {
    const { task } = spec;
    if (task === undefined)
        return spec;
    const { container } = task;
    const networks = task.networks.map((attachment) => ({
        ...attachment,
        target: tx.get("network", attachment.target)?.spec?.annotations?.name ?? attachment.target,
    }));
    const secrets = (container?.secrets ?? []).map((reference) => ({
        ...reference,
        secretId: "",
        secretName: tx.get("secret", reference.secretId)?.annotations?.name ?? reference.secretName,
    }));
    const configs = (container?.configs ?? []).map((reference) => ({
        ...reference,
        configId: "",
        configName: tx.get("config", reference.configId)?.annotations?.name ?? reference.configName,
    }));
    return {
        ...spec,
        task: {
            ...task,
            networks,
            forceUpdate: 0,
            container: container && { ...container, secrets, configs },
        },
    };
}
export function storedSpec(tx, spec, before) {
    const { task } = spec;
    if (task === undefined)
        return spec;
    const resolved = resolveReferences(tx, task, before);
    return {
        ...spec,
        task: {
            ...withVersions(tx, resolved, task),
            forceUpdate: task.forceUpdate || (before?.task?.forceUpdate ?? 0),
        },
    };
}
function withVersions(tx, resolved, asked) {
    const { container } = resolved;
    if (container === undefined)
        return resolved;
    const secrets = container.secrets.map((reference, at) => ({
        ...reference,
        version: versionOr(reference.version, asked.container?.secrets[at]?.version, tx.get("secret", reference.secretId)),
    }));
    const configs = container.configs.map((reference, at) => ({
        ...reference,
        version: versionOr(reference.version, asked.container?.configs[at]?.version, tx.get("config", reference.configId)),
    }));
    return { ...resolved, container: { ...container, secrets, configs } };
}
function versionOr(otherwise, wanted, object) {
    if (wanted === undefined || wanted === 0 || object === undefined)
        return otherwise;
    return dataOfVersion(object, wanted) === undefined ? otherwise : wanted;
}
export function versionWith(object, data) {
    const newest = object.dataVersion || 1;
    if (Buffer.compare(object.data, data) === 0)
        return newest;
    return object.oldVersions.findLast((version) => Buffer.compare(version.data, data) === 0)?.number;
}
export function isOfStack(object, stackName) {
    return stackOf("spec" in object ? object.spec?.annotations : object.annotations) === stackName;
}
//# sourceMappingURL=definition-form.js.map