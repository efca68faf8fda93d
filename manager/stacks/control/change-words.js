import { describeSpecChange } from "../../control/spec-change.js";
const NAMES_MAX = 5;
const DETAIL_LENGTH_MAX = 120;
const KINDS = ["service", "network", "secret", "config"];
export function changeWords(changes, isFirst = false) {
    const parts = KINDS.flatMap((kind) => {
        const own = changes.filter((change) => change.kind === kind);
        if (own.length === 0)
            return [];
        const named = own.slice(0, NAMES_MAX).map((change) => (isFirst ? change.key : wordsOf(change)));
        const more = own.length - named.length;
        const noun = own.length === 1 ? kind : `${kind}s`;
        return [`${noun}: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`];
    });
    if (parts.length === 0)
        return "nothing";
    return `${isFirst ? "new: " : ""}${parts.join("; ")}`;
}
function wordsOf(change) {
    if (change.before === undefined)
        return `${change.key} added`;
    if (change.after === undefined)
        return `${change.key} removed`;
    const detail = detailOf(change);
    return `${change.key} changed${detail === "" ? "" : ` (${short(detail)})`}`;
}
function detailOf(change) {
    switch (change.kind) {
        case "service":
            return (describeSpecChange(change.before?.spec, change.after?.spec) || "order in which services are started");
        case "secret":
        case "config":
            return change.before?.dataSha256 === change.after?.dataSha256
                ? ""
                : `version ${change.before?.version} to ${change.after?.version}`;
        case "network":
            return "";
    }
}
function short(text) {
    return text.length <= DETAIL_LENGTH_MAX ? text : `${text.slice(0, DETAIL_LENGTH_MAX - 1)}…`;
}
//# sourceMappingURL=change-words.js.map