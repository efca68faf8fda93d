import { normalEndpoint, normalMode, normalTask, normalUpdate } from "../../orchestrator/spec-normal.js";
import { CONTAINER_PATHS, PLACEMENT_PATHS, RESOURCE_PATHS, TEXTS } from "./field-words.js";
import { asFields, flatten, snakeCase } from "./flat-fields.js";
export function serviceFields(spec) {
    const sink = { fields: new Map(), texts: TEXTS };
    const task = asFields(normalTask(spec.task));
    const { container, resources, restart, placement, networks, logDriver, forceUpdate, ...others } = task;
    containerFields(asFields(container), sink);
    networkFields(listOf(networks), sink);
    flatten(portsOf(spec), "", sink);
    flatten(logDriver, "logging", sink);
    modeFields(spec, sink);
    renamed(asFields(resources), "deploy.resources", RESOURCE_PATHS, sink);
    flatten(restart, "deploy.restart_policy", sink);
    renamed(asFields(placement), "deploy.placement", PLACEMENT_PATHS, sink);
    flatten(normalUpdate(spec.update), "deploy.update_config", sink);
    flatten(normalUpdate(spec.rollback), "deploy.rollback_config", sink);
    flatten(spec.annotations?.labels, "deploy.labels", sink);
    flatten(others, "", sink);
    return sink.fields;
}
export function networkSpecFields(spec) {
    const sink = { fields: new Map(), texts: {} };
    const { annotations, driver, scope, driverOptions, ipamConfigs, ipamDriver, ipamOptions, ...others } = asFields(spec ?? {});
    flatten(asFields(annotations)["labels"], "labels", sink);
    flatten(driverOptions, "driver_opts", sink);
    flatten({ driver: ipamDriver === "default" ? "" : ipamDriver, options: ipamOptions }, "ipam", sink);
    for (const config of listOf(ipamConfigs)) {
        const { subnet, ...rest } = config;
        flatten({ ...rest, subnet }, `ipam.config.${String(subnet)}`, sink);
    }
    flatten(others, "", sink);
    return sink.fields;
}
function containerFields(container, sink) {
    const { env, mounts, secrets, configs, ulimits, host, healthcheck, privileges, dnsConfig, ...plain } = container;
    const { image, ...rest } = plain;
    flatten({ image }, "", sink);
    envFields(env, sink);
    renamed({ ...rest, pullAuth: undefined }, "", CONTAINER_PATHS, sink);
    for (const mount of listOf(mounts)) {
        const { target, type, source, readOnly, ...more } = mount;
        const how = `${String(type)}${source === "" ? "" : ` ${String(source)}`}${readOnly === true ? " (read only)" : ""}`;
        sink.fields.set(`volumes.${String(target)}`, how);
        flatten(more, `volumes.${String(target)}`, sink);
    }
    fileFields("secrets", "secretName", secrets, sink);
    fileFields("configs", "configName", configs, sink);
    for (const { name, soft, hard } of listOf(ulimits))
        sink.fields.set(`ulimits.${String(name)}`, soft === hard ? String(soft) : `${String(soft)}:${String(hard)}`);
    flatten(healthcheck, "healthcheck", sink);
    const { seccompProfile, otherJson, ...security } = asFields(privileges);
    flatten({ ...security, seccompProfile: bytesText(seccompProfile) }, "security", sink);
    flatten({ other: bytesText(otherJson) }, "security", sink);
    const { nameservers, search, options } = asFields(dnsConfig);
    flatten({ dns: nameservers, dnsSearch: search, dnsOpt: options }, "", sink);
    renamed(asFields(host), "", CONTAINER_PATHS, sink);
}
function bytesText(bytes) {
    return bytes instanceof Uint8Array && bytes.length > 0
        ? `${bytes.length} bytes, ${Buffer.from(bytes).toString("base64").slice(0, 24)}…`
        : "";
}
function envFields(env, { fields }) {
    const variables = Array.isArray(env) ? env.map(String) : [];
    const names = new Set(variables.map((variable) => variable.split("=", 1)[0]));
    if (names.size < variables.length) {
        fields.set("environment", variables.join(", "));
        return;
    }
    for (const variable of variables) {
        const at = variable.indexOf("=");
        if (at < 0)
            fields.set(`environment.${variable}`, "(unset)");
        else
            fields.set(`environment.${variable.slice(0, at)}`, variable.slice(at + 1) || '""');
    }
}
function fileFields(path, nameKey, references, sink) {
    for (const reference of listOf(references)) {
        const name = String(reference[nameKey]);
        const { file } = reference;
        const { name: target = "", uid, gid, mode, ...more } = asFields(file);
        const own = sink.fields.has(`${path}.${name}`)
            ? `${path}.${name} at ${String(target)}`
            : `${path}.${name}`;
        sink.fields.set(own, `version ${String(reference["version"])}`);
        if (target !== name)
            sink.fields.set(`${own}.target`, String(target));
        if (file === undefined)
            continue;
        flatten({ uid: uid === "0" ? "" : uid, gid: gid === "0" ? "" : gid, ...more }, own, sink);
        if (typeof mode === "number")
            sink.fields.set(`${own}.mode`, `0${mode.toString(8)}`);
    }
}
function networkFields(networks, sink) {
    for (const { target, aliases, addresses, driverAttachmentOpts } of networks) {
        const path = `networks.${String(target)}`;
        sink.fields.set(path, "attached");
        flatten({ aliases, addresses, driverOpts: driverAttachmentOpts }, path, sink);
    }
}
function portsOf(spec) {
    const { ports, mode, ...others } = asFields(normalEndpoint(spec.endpoint));
    const named = new Map();
    for (const port of listOf(ports)) {
        const { targetPort, publishedPort, protocol, publishMode, ...more } = port;
        const word = (value, prefix) => String(value).replace(prefix, "").toLowerCase();
        const key = `${String(publishedPort || "any")}:${String(targetPort)}/${word(protocol, "PORT_PROTOCOL_")}`;
        const inner = { fields: new Map(), texts: TEXTS };
        flatten(more, "", inner);
        const rest = [...inner.fields].map(([path, text]) => `${path} ${text}`);
        const mode = word(publishMode, "PUBLISH_MODE_");
        const name = named.has(key) ? `${key} ${mode}` : key;
        named.set(name, [mode, ...rest].join(", "));
    }
    return {
        ports: Object.fromEntries(named),
        deploy: { endpointMode: mode === "ENDPOINT_MODE_DNSRR" ? mode : "", ...others },
    };
}
function modeFields(spec, sink) {
    const mode = normalMode(spec.mode);
    sink.fields.set("deploy.mode", snakeCase(mode?.$case ?? "").replaceAll("_", "-"));
    if (mode?.$case === "replicated")
        sink.fields.set("deploy.replicas", String(mode.value.replicas));
    if (mode?.$case !== "replicatedJob")
        return;
    sink.fields.set("deploy.replicas", String(mode.value.totalCompletions));
    sink.fields.set("deploy.max_concurrent", String(mode.value.maxConcurrent));
}
function renamed(fields, path, words, sink) {
    const at = (name) => (path === "" ? name : `${path}.${name}`);
    for (const [name, word] of Object.entries(words))
        flatten(fields[name], at(word), sink);
    for (const [name, value] of Object.entries(fields))
        if (!Object.hasOwn(words, name))
            flatten(value, at(snakeCase(name)), sink);
}
function listOf(value) {
    return Array.isArray(value) ? value.map(asFields) : [];
}
//# sourceMappingURL=spec-fields.js.map