/**
 * Conformance of `deploy`. Pure (data).
 */
import type { Table } from "./conformance.js";
import { refused, to, under } from "./conformance-parts.js";

const update = (name: string): Table => ({
  "": to(`Service.${name}`),
  parallelism: to(`Service.${name}.Parallelism`),
  delay: to(`Service.${name}.Delay`),
  failure_action: to(`Service.${name}.FailureAction`),
  monitor: to(`Service.${name}.Monitor`),
  max_failure_ratio: to(`Service.${name}.MaxFailureRatio`),
  order: to(`Service.${name}.Order`),
});

const RESERVED = "Task.Resources.Reservations";

export const DEPLOY_KEYS: Table = under("services.*.deploy", {
  "": to("the keys below"),
  mode: to("Service.Mode"),
  replicas: to("Service.Mode: Replicas, or MaxConcurrent and TotalCompletions of a job"),
  endpoint_mode: to("Service.EndpointSpec.Mode"),
  labels: to("Service.Labels; those that begin with skein. say what Docker has no key for"),
  ...under("update_config", update("UpdateConfig")),
  ...under("rollback_config", update("RollbackConfig")),
  resources: to("Task.Resources"),
  "resources.limits": to("Task.Resources.Limits"),
  "resources.limits.cpus": to("Task.Resources.Limits.NanoCPUs"),
  "resources.limits.memory": to("Task.Resources.Limits.MemoryBytes"),
  "resources.limits.pids": to("Task.Resources.Limits.Pids"),
  "resources.reservations": to(RESERVED),
  "resources.reservations.cpus": to(`${RESERVED}.NanoCPUs`),
  "resources.reservations.memory": to(`${RESERVED}.MemoryBytes`),
  "resources.reservations.generic_resources": to(`${RESERVED}.GenericResources`),
  "resources.reservations.generic_resources[].discrete_resource_spec": to(`${RESERVED}.GenericResources`),
  "resources.reservations.generic_resources[].discrete_resource_spec.kind": to(
    `${RESERVED}.GenericResources[].DiscreteResourceSpec.Kind`,
  ),
  "resources.reservations.generic_resources[].discrete_resource_spec.value": to(
    `${RESERVED}.GenericResources[].DiscreteResourceSpec.Value`,
  ),
  "resources.reservations.devices": to(
    "Host.DeviceRequests; driver cdi: label skein.devices, which placement looks at",
  ),
  "resources.reservations.devices[].capabilities": to("Host.DeviceRequests[].Capabilities"),
  "resources.reservations.devices[].count": to("Host.DeviceRequests[].Count"),
  "resources.reservations.devices[].device_ids": to("Host.DeviceRequests[].DeviceIDs"),
  "resources.reservations.devices[].driver": to("Host.DeviceRequests[].Driver"),
  "resources.reservations.devices[].options": refused("no driver of the nodes has options"),
  restart_policy: to("Task.RestartPolicy"),
  "restart_policy.condition": to("Task.RestartPolicy.Condition"),
  "restart_policy.delay": to("Task.RestartPolicy.Delay"),
  "restart_policy.max_attempts": to("Task.RestartPolicy.MaxAttempts"),
  "restart_policy.window": to("Task.RestartPolicy.Window"),
  placement: to("Task.Placement"),
  "placement.constraints": to("Task.Placement.Constraints"),
  "placement.preferences": to("Task.Placement.Preferences"),
  "placement.preferences[].spread": to("Task.Placement.Preferences[].Spread.SpreadDescriptor"),
  "placement.max_replicas_per_node": to("Task.Placement.MaxReplicas"),
});
