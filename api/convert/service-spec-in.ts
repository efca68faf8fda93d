/**
 * Docker's ServiceSpec (API 1.24 to 1.56) to ours. Pure.
 * @throws {InvalidArgumentError} with the path of the field, the rule and the value.
 */
import {
  EndpointMode,
  EndpointSpec,
  FailureAction,
  PortProtocol,
  PublishMode,
  type ServiceSpec,
  UpdateConfig,
  UpdateOrder,
} from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "./fields.js";
import { SOURCE_MODES, subnetOf, withPublishLabels } from "./publish-labels.js";
import { BALANCE_POLICIES, withEndpointLabels, withServiceLabels } from "./service-labels.js";
import { attachmentsIn, taskSpecIn } from "./task-spec-in.js";

const FAILURE_ACTIONS = {
  pause: FailureAction.PAUSE,
  continue: FailureAction.CONTINUE,
  rollback: FailureAction.ROLLBACK,
};
const ORDERS = { "stop-first": UpdateOrder.STOP_FIRST, "start-first": UpdateOrder.START_FIRST };
const ENDPOINT_MODES = { vip: EndpointMode.VIP, dnsrr: EndpointMode.DNSRR };
export const PROTOCOLS = { tcp: PortProtocol.TCP, udp: PortProtocol.UDP, sctp: PortProtocol.SCTP };
export const PUBLISH_MODES = { ingress: PublishMode.INGRESS, host: PublishMode.HOST };

function modeIn(fields: Fields | undefined): NonNullable<ServiceSpec["mode"]> {
  const replicated = fields?.object("Replicated");
  const replicatedJob = fields?.object("ReplicatedJob");
  if (fields?.object("Global") !== undefined) return { $case: "global", value: {} };
  if (fields?.object("GlobalJob") !== undefined) return { $case: "globalJob", value: {} };
  if (replicatedJob !== undefined) {
    const maxConcurrent = replicatedJob.optionalInteger("MaxConcurrent") ?? 1;
    const totalCompletions = replicatedJob.optionalInteger("TotalCompletions") ?? maxConcurrent;
    return { $case: "replicatedJob", value: { maxConcurrent, totalCompletions } };
  }
  return { $case: "replicated", value: { replicas: replicated?.optionalInteger("Replicas") ?? 1 } };
}

function updateConfigIn(fields: Fields | undefined): UpdateConfig | undefined {
  if (fields === undefined) return undefined;
  return UpdateConfig.fromPartial({
    parallelism: fields.integer("Parallelism"),
    delayMs: fields.optionalDurationMs("Delay") ?? 0,
    failureAction: fields.oneOf("FailureAction", FAILURE_ACTIONS),
    monitorMs: fields.optionalDurationMs("Monitor"),
    maxFailureRatio: fields.optionalNumber("MaxFailureRatio") ?? 0,
    order: fields.oneOf("Order", ORDERS),
  });
}

function endpointIn(fields: Fields | undefined): EndpointSpec | undefined {
  if (fields === undefined) return undefined;
  const idleTimeoutMs = fields.optionalDurationMs("IdleTimeout") || undefined; // 0 asks for the kernel's
  return EndpointSpec.fromPartial({
    mode: fields.oneOf("Mode", ENDPOINT_MODES),
    balance: fields.oneOf("Balance", BALANCE_POLICIES),
    virtualAddresses: fields.strings("VirtualAddresses"),
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ports: fields.objects("Ports").map((port) => ({
      name: port.string("Name"),
      protocol: port.oneOf("Protocol", PROTOCOLS),
      targetPort: port.integer("TargetPort"),
      publishedPort: port.integer("PublishedPort"),
      publishMode: port.oneOf("PublishMode", PUBLISH_MODES),
      hostAddresses: port.strings("HostAddresses"),
      allowedSources: port.strings("AllowedSources").map(subnetOf),
      sourceMode: port.oneOf("SourceMode", SOURCE_MODES),
    })),
  });
}

export function serviceSpecIn(fields: Fields): ServiceSpec {
  const oldNetworks = attachmentsIn(fields, "Networks"); // where clients before 1.44 put them
  const labels = fields.stringMap("Labels");
  const task = withServiceLabels(taskSpecIn(fields.object("TaskTemplate")), labels);
  return {
    annotations: { name: fields.string("Name"), labels },
    task: task.networks.length > 0 ? task : { ...task, networks: oldNetworks },
    mode: modeIn(fields.object("Mode")),
    update: updateConfigIn(fields.object("UpdateConfig")),
    rollback: updateConfigIn(fields.object("RollbackConfig")),
    endpoint: withPublishLabels(
      withEndpointLabels(endpointIn(fields.object("EndpointSpec")), labels),
      labels,
    ),
  };
}
