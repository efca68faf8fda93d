import { InvalidArgumentError, TooLargeError } from "../../../base/errors/errors.js";
import { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import { checkFiles } from "./check-files.js";
import { checkNetworks } from "./check-networks.js";
import { checkServices } from "./check-services.js";
import { DefinitionFaults } from "./definition-faults.js";
import { fileName, networkName } from "./definition-form.js";
import { checkDependencies } from "./dependency-graph.js";
import { leftOverOf } from "./left-over.js";
import { SupposedTx } from "./supposed-tx.js";
export const DEFINITION_BYTES_MAX = 900 * 1024;
const OBJECTS_MAX = 500;
const STACK_NAME = /^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9])*$/;
const STACK_NAME_LENGTH_MAX = 63;
export function isStackName(name) {
    return name.length <= STACK_NAME_LENGTH_MAX && STACK_NAME.test(name);
}
export function checkStackName(name) {
    if (isStackName(name))
        return;
    throw new InvalidArgumentError(`invalid stack name ${JSON.stringify(name)}: 1 to ${STACK_NAME_LENGTH_MAX} letters, digits, "-" and "_" ` +
        "are allowed, the first and the last one a letter or a digit");
}
export function checkDefinition(tx, options) {
    const { name, definition, prune, random } = options;
    checkStackName(name);
    const faults = new DefinitionFaults();
    checkCounts(definition);
    checkKeysAndNames(definition, faults);
    const supposed = new SupposedTx(tx);
    const check = { tx, supposed, stackName: name, random, faults, versions: new Map() };
    const leftOver = leftOverOf(tx, name, definition);
    if (prune)
        for (const { kind, id } of leftOver)
            if (kind === "service")
                supposed.remove(kind, id);
    const networks = checkNetworks(definition.networks, check);
    const files = [
        ...checkFiles("secret", definition.secrets, check),
        ...checkFiles("config", definition.configs, check),
    ];
    const services = checkServices(definition.services, check);
    checkDependencies(definition, faults);
    faults.throwIfAny();
    const form = {
        networks: networks.map((network) => network.form),
        secrets: files.filter(({ kind }) => kind === "secret").map((file) => file.form),
        configs: files.filter(({ kind }) => kind === "config").map((file) => file.form),
        services: services.map((service) => service.form),
    };
    checkSize(form);
    const writes = files.flatMap(({ write }) => (write === undefined ? [] : [write]));
    return { definition: form, networks, files, services, writes, leftOver, supposed };
}
function checkCounts({ networks, secrets, configs, services }) {
    if (services.length === 0)
        throw new InvalidArgumentError("a stack needs at least one service");
    for (const [what, { length }] of Object.entries({ networks, secrets, configs, services })) {
        if (length > OBJECTS_MAX)
            throw new InvalidArgumentError(`a stack may have at most ${OBJECTS_MAX} ${what}, got ${length}`);
    }
}
function checkSize(definition) {
    const bytes = StackDefinition.encode(definition).finish().length;
    if (bytes <= DEFINITION_BYTES_MAX)
        return;
    throw new TooLargeError(`a stack may have ${DEFINITION_BYTES_MAX} bytes beside the data of its secrets and configs, ` +
        `got ${bytes}: put some of its services into a stack of their own`);
}
function checkKeysAndNames(definition, faults) {
    const kinds = [
        ["network", definition.networks.map((one) => ({ key: one.key, name: networkName(one) }))],
        ["secret", definition.secrets.map((one) => ({ key: one.key, name: fileName(one) }))],
        ["config", definition.configs.map((one) => ({ key: one.key, name: fileName(one) }))],
        ["service", definition.services.map(({ key, spec }) => ({ key, name: spec?.annotations?.name ?? "" }))],
    ];
    for (const [kind, objects] of kinds) {
        const keys = new Set();
        const names = new Map();
        for (const { key, name } of objects) {
            if (key === "")
                faults.add(kind, name, `a ${kind} needs a key`);
            if (keys.has(key))
                faults.add(kind, key, "the key is given twice");
            const holder = names.get(name.toLowerCase());
            if (name !== "" && holder !== undefined)
                faults.add(kind, key, `its name ${name} is that of ${holder}, too`);
            keys.add(key);
            names.set(name.toLowerCase(), key);
        }
    }
}
//# sourceMappingURL=check-definition.js.map