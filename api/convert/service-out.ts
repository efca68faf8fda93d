/**
 * Services and tasks as Docker shows them. Pure.
 */
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import type { ServiceCounts } from "../../proto/gen/skein/v1/control.js";
import type { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  BalancePolicy,
  EndpointMode,
  FailureAction,
  type Meta,
  type PortConfig,
  PortProtocol,
  PublishMode,
  type ServiceSpec,
  SourceMode,
  type TaskAttachment,
  TaskState,
  type UpdateConfig,
  UpdateOrder,
  UpdateState,
} from "../../proto/gen/skein/v1/types.js";
import { type JsonObject, nanoseconds, omitEmpty, timeText } from "./shape.js";
import { genericOut, taskSpecOut } from "./task-spec-out.js";

const FAILURE_WORDS: Readonly<Record<string, string>> = {
  [FailureAction.PAUSE]: "pause",
  [FailureAction.CONTINUE]: "continue",
  [FailureAction.ROLLBACK]: "rollback",
};
/** The one that a service has without asking is not shown. */
const BALANCE_WORDS: Readonly<Record<string, string>> = {
  [BalancePolicy.SOURCE_HASH]: "sourcehash",
  [BalancePolicy.LOCAL_FIRST]: "localfirst",
};
const SOURCE_WORDS: Readonly<Record<string, string>> = {
  [SourceMode.SNAT]: "snat",
  [SourceMode.PROXY]: "proxy",
};
const PROTOCOL_WORDS: Readonly<Record<string, string>> = {
  [PortProtocol.TCP]: "tcp",
  [PortProtocol.UDP]: "udp",
  [PortProtocol.SCTP]: "sctp",
};
const UPDATE_WORDS: Readonly<Record<string, string>> = {
  [UpdateState.UPDATING]: "updating",
  [UpdateState.PAUSED]: "paused",
  [UpdateState.COMPLETED]: "completed",
  [UpdateState.ROLLBACK_STARTED]: "rollback_started",
  [UpdateState.ROLLBACK_PAUSED]: "rollback_paused",
  [UpdateState.ROLLBACK_COMPLETED]: "rollback_completed",
};

/** "TASK_STATE_RUNNING" is "running" on the wire, also where Docker's words differ from the enum's. */
export function taskStateWord(state: TaskState): string {
  return state.replace("TASK_STATE_", "").toLowerCase();
}

export function metaOut(meta: Meta | undefined): JsonObject {
  return {
    Version: { Index: meta?.version?.index ?? 0 },
    CreatedAt: timeText(meta?.createdAtMs ?? 0),
    UpdatedAt: timeText(meta?.updatedAtMs ?? 0),
  };
}

function updateConfigOut(update: UpdateConfig | undefined): JsonObject | undefined {
  if (update === undefined) return undefined;
  return {
    Parallelism: update.parallelism,
    ...omitEmpty({ Delay: nanoseconds(update.delayMs) }),
    FailureAction: FAILURE_WORDS[update.failureAction],
    ...omitEmpty({ Monitor: update.monitorMs === undefined ? undefined : nanoseconds(update.monitorMs) }),
    MaxFailureRatio: update.maxFailureRatio,
    Order: update.order === UpdateOrder.START_FIRST ? "start-first" : "stop-first",
  };
}

export function portOut(port: PortConfig): JsonObject {
  return {
    ...omitEmpty({ Name: port.name }),
    Protocol: PROTOCOL_WORDS[port.protocol],
    ...omitEmpty({ TargetPort: port.targetPort, PublishedPort: port.publishedPort }),
    PublishMode: port.publishMode === PublishMode.HOST ? "host" : "ingress",
    ...omitEmpty({
      HostAddresses: port.hostAddresses,
      AllowedSources: port.allowedSources,
      SourceMode: SOURCE_WORDS[port.sourceMode],
    }),
  };
}

function modeOut(spec: ServiceSpec): JsonObject {
  switch (spec.mode?.$case) {
    case "global":
      return { Global: {} };
    case "globalJob":
      return { GlobalJob: {} };
    case "replicatedJob":
      return {
        ReplicatedJob: {
          MaxConcurrent: spec.mode.value.maxConcurrent,
          TotalCompletions: spec.mode.value.totalCompletions,
        },
      };
    default:
      return { Replicated: { Replicas: spec.mode?.value.replicas ?? 0 } };
  }
}

function endpointSpecOut(endpoint: ServiceSpec["endpoint"]): JsonObject {
  return {
    Mode: endpoint?.mode === EndpointMode.DNSRR ? "dnsrr" : "vip",
    ...omitEmpty({
      Ports: endpoint?.ports.map(portOut),
      VirtualAddresses: endpoint?.virtualAddresses,
      Balance: BALANCE_WORDS[endpoint?.balance ?? ""],
      IdleTimeout: endpoint?.idleTimeoutMs === undefined ? undefined : nanoseconds(endpoint.idleTimeoutMs),
    }),
  };
}

export function serviceSpecOut(spec: ServiceSpec): JsonObject {
  return {
    Name: spec.annotations?.name ?? "",
    Labels: spec.annotations?.labels ?? {},
    TaskTemplate: spec.task === undefined ? {} : taskSpecOut(spec.task),
    Mode: modeOut(spec),
    ...omitEmpty({
      UpdateConfig: updateConfigOut(spec.update),
      RollbackConfig: updateConfigOut(spec.rollback),
    }),
    EndpointSpec: endpointSpecOut(spec.endpoint),
  };
}

export function serviceOut(service: Service, counts?: ServiceCounts): JsonObject {
  const { endpoint, updateStatus, jobStatus } = service;
  return {
    ID: service.id,
    ...metaOut(service.meta),
    Spec: service.spec === undefined ? {} : serviceSpecOut(service.spec),
    ...omitEmpty({ PreviousSpec: service.previousSpec && serviceSpecOut(service.previousSpec) }),
    Endpoint: {
      Spec:
        endpoint?.spec === undefined && service.spec?.endpoint === undefined
          ? {}
          : endpointSpecOut(service.spec?.endpoint),
      ...omitEmpty({
        Ports: endpoint?.ports.map(portOut),
        VirtualIPs: endpoint?.virtualIps.map(({ networkId, address }) =>
          omitEmpty({ NetworkID: networkId, Addr: address }),
        ),
      }),
    },
    ...omitEmpty({
      UpdateStatus:
        updateStatus === undefined || updateStatus.state === UpdateState.NONE
          ? undefined
          : {
              State: UPDATE_WORDS[updateStatus.state],
              ...(updateStatus.startedAtMs === 0 ? {} : { StartedAt: timeText(updateStatus.startedAtMs) }),
              ...(updateStatus.completedAtMs === 0
                ? {}
                : { CompletedAt: timeText(updateStatus.completedAtMs) }),
              Message: updateStatus.message,
            },
    }),
    ...(counts === undefined
      ? {}
      : {
          ServiceStatus: {
            RunningTasks: counts.running,
            DesiredTasks: counts.desired,
            CompletedTasks: counts.completed,
          },
        }),
    ...(jobStatus === undefined
      ? {}
      : {
          JobStatus: {
            JobIteration: { Index: jobStatus.iteration },
            LastExecution: timeText(jobStatus.lastExecutionMs),
          },
        }),
  };
}

function taskStatusOut(task: Task): JsonObject {
  const { status } = task;
  const state = taskStateWord(status?.state ?? TaskState.NEW);
  const container = status?.container;
  return {
    Timestamp: timeText(status?.timestampMs ?? 0),
    State: state,
    ...omitEmpty({ Message: status?.message, Err: status?.err }),
    ...(container === undefined
      ? {}
      : {
          ContainerStatus: {
            ContainerID: container.containerId,
            PID: container.pid,
            ExitCode: container.exitCode ?? 0,
          },
        }),
    PortStatus: omitEmpty({ Ports: status?.hostPorts.map(portOut) }),
  };
}

/** Of a container that is no task, on an overlay. */
function plainAttachmentOut({ attached }: Task): JsonObject {
  return attached === undefined
    ? {}
    : { NetworkAttachmentSpec: { ContainerID: attached.id }, Runtime: "attachment" };
}

/** Networks of its node: nobody gives addresses on them. */
function nodeAttachmentsOut({ spec }: Task): JsonObject[] {
  return (spec?.networks ?? [])
    .filter(({ target }) => isNodeNetwork(target))
    .map(({ target }) => ({
      Network: { ID: target, Spec: { Name: target, Scope: "swarm" } },
      Addresses: [],
    }));
}

/** @param networks names by id, for the attachments. */
export function taskOut(task: Task, networks: ReadonlyMap<string, JsonObject> = new Map()): JsonObject {
  const attachmentOut = ({ networkId, addresses }: TaskAttachment): JsonObject => ({
    Network: networks.get(networkId) ?? { ID: networkId },
    Addresses: addresses,
  });
  return {
    ID: task.id,
    ...metaOut(task.meta),
    Labels: {},
    Spec: { ...(task.spec === undefined ? {} : taskSpecOut(task.spec)), ...plainAttachmentOut(task) },
    ...(task.attached === undefined ? { ServiceID: task.serviceId } : {}),
    ...omitEmpty({ Slot: task.slot, NodeID: task.nodeId }),
    Status: taskStatusOut(task),
    DesiredState: taskStateWord(task.desiredState),
    ...omitEmpty({
      NetworksAttachments: [...nodeAttachmentsOut(task), ...task.networks.map(attachmentOut)],
      GenericResources: task.assignedGenericResources.map(genericOut),
    }),
    // A task of a job always has it, also in the first iteration, which is 0: the CLI counts no task without.
    ...(task.jobIteration > 0 || task.desiredState === TaskState.COMPLETE
      ? { JobIteration: { Index: task.jobIteration } }
      : {}),
  };
}
