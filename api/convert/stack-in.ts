/**
 * What a client asks of a stack: the shapes of proto/stack-api.ts, with bodies of the Engine API inside, to a
 * definition. Pure.
 * @throws {InvalidArgumentError} with the path of the field, the rule and the value.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import {
  StackCondition,
  type StackDefinition,
  type StackDependency,
  StackFile,
  type StackNetwork,
  StackOnFailure,
  type StackService,
} from "../../proto/gen/skein/v1/stack_types.js";
import type { DeployStackRequest, RollbackStackRequest } from "../../proto/gen/skein/v1/stacks.js";
import { NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import { base64In } from "./base64-in.js";
import { clusterNetworkIn } from "./cluster-network-in.js";
import type { Fields } from "./fields.js";
import { serviceSpecIn } from "./service-spec-in.js";

const CONDITIONS = {
  started: StackCondition.STARTED,
  healthy: StackCondition.HEALTHY,
  completed: StackCondition.COMPLETED,
};
const ON_FAILURE = { rollback: StackOnFailure.GO_BACK, keep: StackOnFailure.KEEP };

export function deployStackIn(name: string, body: Fields): DeployStackRequest {
  return {
    name,
    definition: definitionIn(body),
    prune: body.bool("Prune"),
    ...askedIn(body),
    dryRun: false,
  };
}

export function rollbackStackIn(name: string, body: Fields): RollbackStackRequest {
  return { name, revision: body.integer("Revision"), ...askedIn(body) };
}

function askedIn(body: Fields): Pick<DeployStackRequest, "onFailure" | "timeoutMs" | "madeBy"> {
  return {
    onFailure: body.oneOf("OnFailure", ON_FAILURE),
    timeoutMs: body.integer("Timeout"),
    madeBy: body.string("By"),
  };
}

function definitionIn(body: Fields): StackDefinition {
  return {
    networks: body.objects("Networks").map(networkIn),
    secrets: body.objects("Secrets").map(fileIn),
    configs: body.objects("Configs").map(fileIn),
    services: body.objects("Services").map(serviceIn),
  };
}

function inner(fields: Fields, key: string): Fields {
  const found = fields.object(key);
  if (found === undefined) throw new InvalidArgumentError(`${fields.path}.${key} must be a JSON object`);
  return found;
}

function networkIn(fields: Fields): StackNetwork {
  const key = fields.string("Key");
  const external = fields.bool("External");
  const body = inner(fields, "Spec");
  if (external) {
    const annotations = { name: body.string("Name") || key, labels: {} };
    return { key, external, spec: NetworkSpec.fromPartial({ annotations }) };
  }
  const spec = clusterNetworkIn(body, (settings) => {
    throw new InvalidArgumentError(
      `${body.path}.ConfigFrom: settings of a node's own network (${settings}) cannot be used in a stack`,
    );
  });
  return { key, external, spec };
}

function fileIn(fields: Fields): StackFile {
  const key = fields.string("Key");
  const external = fields.bool("External");
  const body = inner(fields, "Spec");
  const annotations = { name: body.string("Name") || key, labels: body.stringMap("Labels") };
  if (external) return StackFile.fromPartial({ key, external, annotations: { name: annotations.name } });
  const driver = body.object("Driver");
  return StackFile.fromPartial({
    ...{ key, external, annotations },
    data: base64In(body, "Data"),
    driverName: driver?.string("Name") ?? "",
    driverOptions: driver?.stringMap("Options") ?? {},
    templateDriver: body.object("Templating")?.string("Name") ?? "",
  });
}

function serviceIn(fields: Fields): StackService {
  return {
    key: fields.string("Key"),
    spec: serviceSpecIn(inner(fields, "Spec")),
    dependsOn: fields.objects("DependsOn").map(dependencyIn),
    registryAuth: fields.string("RegistryAuth"),
  };
}

function dependencyIn(fields: Fields): StackDependency {
  return {
    service: fields.string("Service"),
    condition: fields.oneOf("Condition", CONDITIONS),
    restart: fields.bool("Restart"),
    optional: !(fields.optionalBool("Required") ?? true),
  };
}
