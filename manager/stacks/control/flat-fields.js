import { formatBytes } from "../../scheduler/room-filters.js";
export function asFields(value) {
    return typeof value === "object" && value !== null ? value : {};
}
export function flatten(value, path, sink) {
    if (value instanceof Uint8Array) {
        if (value.length > 0)
            sink.fields.set(path, `${value.length} bytes`);
        return;
    }
    if (Array.isArray(value)) {
        const texts = value.map((item) => itemText(item, sink)).filter((text) => text !== "");
        if (texts.length > 0)
            sink.fields.set(path, texts.join(", "));
        return;
    }
    if (typeof value === "object" && value !== null) {
        for (const [name, inner] of Object.entries(value)) {
            const own = ownWord(name, path);
            flatten(inner, path === "" ? own : `${path}.${own}`, sink);
        }
        return;
    }
    const text = scalarText(value, path, sink);
    if (text !== "")
        sink.fields.set(withoutUnit(path), text);
}
function ownWord(name, path) {
    return /(^|\.)(labels|driver_opts|options|sysctls|annotations|storage_opts|ports)$/.test(path)
        ? name
        : snakeCase(name);
}
function itemText(item, sink) {
    if (typeof item !== "object" || item === null)
        return scalarText(item, "", sink);
    const inner = { fields: new Map(), texts: sink.texts };
    flatten(item, "", inner);
    return [...inner.fields].map(([path, text]) => `${path} ${text}`).join(" ");
}
function scalarText(value, path, { texts }) {
    switch (typeof value) {
        case "string":
            return Object.hasOwn(texts, value) ? (texts[value] ?? "") : value;
        case "boolean":
            return value ? "true" : path.endsWith("init") ? "false" : "";
        case "number":
            if (value === 0)
                return "";
            if (path.endsWith("_ms"))
                return durationText(value);
            if (path.endsWith("_bytes") && value > 0)
                return formatBytes(value);
            return path.endsWith("nano_cpus") ? String(value / 1e9) : String(value);
        default:
            return "";
    }
}
function withoutUnit(path) {
    return path
        .replace(/_ms$/, "")
        .replace(/_bytes$/, "")
        .replace(/nano_cpus$/, "cpus");
}
export function durationText(ms) {
    if (ms % 3_600_000 === 0)
        return `${ms / 3_600_000}h`;
    if (ms % 60_000 === 0)
        return `${ms / 60_000}m`;
    return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}
export function snakeCase(name) {
    return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
//# sourceMappingURL=flat-fields.js.map