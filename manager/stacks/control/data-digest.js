import { createHash } from "node:crypto";
const digests = new WeakMap();
export function dataDigest(data) {
    const known = digests.get(data);
    if (known !== undefined)
        return known;
    const digest = createHash("sha256").update(data).digest("hex");
    digests.set(data, digest);
    return digest;
}
//# sourceMappingURL=data-digest.js.map