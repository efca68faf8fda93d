import { InvalidArgumentError, NotFoundError, NotImplementedError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import { Config, Secret } from "../../../proto/gen/skein/v1/objects.js";
import { checkFileName } from "../../control/annotations.js";
import { CONFIG_BYTES_MAX } from "../../control/configs.js";
import { withFileData } from "../../control/data-rollout.js";
import { dataOfVersion, newestVersion } from "../../control/data-versions.js";
import { checkTemplate, SECRET_BYTES_MAX } from "../../control/secrets.js";
import { dataDigest } from "./data-digest.js";
import { fileName, labelled, versionWith } from "./definition-form.js";
import { checkOwner } from "./object-owner.js";
export function versionKey(kind, name) {
    return `${kind} ${name}`;
}
const BYTES_MAX = { secret: SECRET_BYTES_MAX, config: CONFIG_BYTES_MAX };
export function checkFiles(kind, files, check) {
    return files.flatMap((file) => {
        const found = check.faults.attempt(kind, file.key, () => file.external ? externalFile(kind, file, check) : ownFile(kind, file, check));
        return found === undefined ? [] : [found];
    });
}
function findByName(tx, kind, name) {
    return kind === "secret"
        ? tx.list("secret", { by: "name", name })[0]
        : tx.list("config", { by: "name", name })[0];
}
function externalFile(kind, file, { tx }) {
    const name = fileName(file);
    const object = findByName(tx, kind, name);
    if (object === undefined)
        throw new NotFoundError(`external ${kind} ${name} is not there: create it first, or name another`);
    const form = formOf({ file, annotations: { name, labels: {} }, object });
    return { kind, form: { ...form, version: 0, dataSha256: "" }, before: undefined, write: undefined };
}
function ownFile(kind, file, check) {
    checkFileName(file.annotations, kind);
    checkTemplate(file.templateDriver);
    if (file.driverName !== "")
        throw new NotImplementedError(`${kind} driver "${file.driverName}" is not supported: ${kind}s live in the cluster store`);
    const { tx, stackName, supposed, random, versions } = check;
    const before = findByName(tx, kind, fileName(file));
    checkOwner(kind, before?.annotations, stackName);
    const annotations = labelled(file.annotations, stackName);
    const wanted = { file, annotations };
    const { object, isNew, version } = file.data.length === 0 && file.version > 0
        ? keptVersion(kind, file, before)
        : givenData(kind, { ...wanted, before, tx, id: before?.id ?? newId(random) });
    versions.set(versionKey(kind, fileName(file)), version);
    if (kind === "secret")
        supposed.put("secret", object);
    else
        supposed.put("config", object);
    const write = object === before
        ? undefined
        : kind === "secret"
            ? { kind, object: object, isNew }
            : { kind, object: object, isNew };
    return { kind, form: { ...formOf({ ...wanted, object }), ...digestOf(object, version) }, before, write };
}
function keptVersion(kind, file, before) {
    const data = before === undefined ? undefined : dataOfVersion(before, file.version);
    if (before === undefined || data === undefined) {
        const what = before === undefined ? `the ${kind} was removed` : `version ${file.version} is not kept any more`;
        throw new InvalidArgumentError(`${what}, and its data is not in the revision: deploy the file that has it`);
    }
    if (file.dataSha256 !== "" && dataDigest(data) !== file.dataSha256)
        throw new InvalidArgumentError(`version ${file.version} has other data than it had then: the ${kind} was removed and made anew`);
    return { object: before, isNew: false, version: file.version };
}
function givenData(kind, wanted) {
    const { file, annotations, before, tx, id } = wanted;
    const { data, templateDriver } = file;
    if (data.length === 0 || data.length > BYTES_MAX[kind]) {
        throw new InvalidArgumentError(`${kind} data must be larger than 0 and at most ${BYTES_MAX[kind]} bytes, got ${data.length}`);
    }
    if (before === undefined) {
        const made = { id, annotations, data, templateDriver, dataVersion: 1 };
        const object = kind === "secret" ? Secret.fromPartial(made) : Config.fromPartial(made);
        return { object, isNew: true, version: 1 };
    }
    const known = versionWith(before, data);
    if (known !== undefined)
        return { object: before, isNew: false, version: known };
    const object = kind === "secret"
        ? withFileData(tx, "secret", before, { data, rollsOut: false })
        : withFileData(tx, "config", before, { data, rollsOut: false });
    return { object, isNew: false, version: newestVersion(object) };
}
function formOf(wanted) {
    const { file, annotations, object } = wanted;
    return { ...file, annotations, data: new Uint8Array(), objectId: object.id };
}
function digestOf(object, version) {
    return { version, dataSha256: dataDigest(dataOfVersion(object, version) ?? new Uint8Array()) };
}
//# sourceMappingURL=check-files.js.map