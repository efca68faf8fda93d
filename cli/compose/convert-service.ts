/**
 * A service of a compose file as the body of POST /services/create. Pure.
 * Names of networks, secrets and configs stand where the API takes names; ids of secrets and configs are
 * added by the deployment.
 */
import { given, type Json } from "../service/flag-values.js";
import { parseBytes, parseCpus } from "../units.js";
import { containerSpec, durationNs, nonEmpty, optional } from "./convert-container.js";
import type { AmountsDoc, ComposeDoc, DeployDoc, ServiceDoc, UpdateDoc } from "./model.js";
import { IMAGE_LABEL, type Naming, stackLabels } from "./naming.js";

/** Networks of the node itself: nobody has a name of his own in them. */
const NODE_NETWORKS = ["host", "none", "bridge"];

function amounts(doc: AmountsDoc | undefined): Json | undefined {
  const generic = (doc?.generic_resources ?? []).map(({ discrete_resource_spec: spec }) => ({
    DiscreteResourceSpec: { Kind: spec?.kind, Value: spec?.value },
  }));
  return nonEmpty(
    given({
      NanoCPUs: optional(doc?.cpus, (cpus) => parseCpus(String(cpus), "cpus")),
      MemoryBytes: optional(doc?.memory, (memory) => parseBytes(String(memory), "memory")),
      Pids: doc?.pids,
      GenericResources: nonEmpty(generic),
    }),
  );
}

/** deploy.restart_policy, else what `restart` says. */
function restartPolicy(service: ServiceDoc): Json | undefined {
  const policy = service.deploy?.restart_policy;
  if (policy !== undefined) {
    return given({
      Condition: policy.condition ?? "any",
      Delay: durationNs(policy.delay),
      MaxAttempts: policy.max_attempts,
      Window: durationNs(policy.window),
    });
  }
  const [word, attempts] = (service.restart ?? "").split(":");
  switch (word) {
    case "no":
      return { Condition: "none" };
    case "on-failure":
      return given({ Condition: "on-failure", MaxAttempts: optional(attempts, Number) });
    case "always":
    case "unless-stopped":
      return { Condition: "any" };
    default:
      return undefined;
  }
}

function updateConfig(doc: UpdateDoc | undefined): Json | undefined {
  if (doc === undefined) return undefined;
  return given({
    Parallelism: doc.parallelism ?? 1,
    Delay: durationNs(doc.delay),
    FailureAction: doc.failure_action,
    Monitor: durationNs(doc.monitor),
    MaxFailureRatio: doc.max_failure_ratio,
    Order: doc.order,
  });
}

function mode(deploy: DeployDoc | undefined, scale: number | undefined): Json {
  const replicas = deploy?.replicas ?? scale ?? 1;
  switch (deploy?.mode) {
    case "global":
      return { Global: {} };
    case "global-job":
      return { GlobalJob: {} };
    case "replicated-job":
      return { ReplicatedJob: { MaxConcurrent: replicas, TotalCompletions: replicas } };
    default:
      return { Replicated: { Replicas: replicas } };
  }
}

function networks(key: string, service: ServiceDoc, naming: Naming): Json[] {
  const attached =
    Object.keys(service.networks ?? {}).length === 0 ? { default: {} } : (service.networks ?? {});
  return Object.entries(attached)
    .map(([network, { aliases = [], driver_opts: options }]) => {
      const target = naming.nameOf("networks", network);
      const names = NODE_NETWORKS.includes(target) ? aliases : [...new Set([...aliases, key])];
      return given({ Target: target, Aliases: nonEmpty(names), DriverOpts: nonEmpty(options) });
    })
    .sort((a, b) => String(a["Target"]).localeCompare(String(b["Target"])));
}

function endpoint(service: ServiceDoc): Json {
  const ports = (service.ports ?? []).map((port) =>
    given({
      Name: port.name,
      Protocol: port.protocol,
      TargetPort: port.target,
      PublishedPort: port.published,
      PublishMode: port.mode,
    }),
  );
  const published = (port: Json): number => Number(port["PublishedPort"] ?? 0);
  return given({
    Mode: service.deploy?.endpoint_mode,
    Ports: nonEmpty(ports.sort((a, b) => published(a) - published(b))),
  });
}

export function serviceSpec(key: string, project: ComposeDoc, naming: Naming): Json {
  const service = project.services[key] ?? {};
  const { deploy, logging } = service;
  const placement = deploy?.placement;
  return given({
    Name: naming.serviceName(key),
    Labels: { ...stackLabels(naming.stack, deploy?.labels), [IMAGE_LABEL]: service.image },
    TaskTemplate: given({
      ContainerSpec: containerSpec(service, project, naming),
      Resources: nonEmpty(
        given({
          Limits: amounts(deploy?.resources?.limits),
          Reservations: amounts(deploy?.resources?.reservations),
        }),
      ),
      RestartPolicy: restartPolicy(service),
      Placement: nonEmpty(
        given({
          Constraints: nonEmpty(placement?.constraints),
          Preferences: nonEmpty(
            placement?.preferences?.map(({ spread }) => ({ Spread: { SpreadDescriptor: spread } })),
          ),
          MaxReplicas: placement?.max_replicas_per_node,
        }),
      ),
      Networks: networks(key, service, naming),
      LogDriver:
        logging === undefined ? undefined : given({ Name: logging.driver, Options: logging.options }),
    }),
    Mode: mode(deploy, service.scale),
    UpdateConfig: updateConfig(deploy?.update_config),
    RollbackConfig: updateConfig(deploy?.rollback_config),
    EndpointSpec: endpoint(service),
  });
}
