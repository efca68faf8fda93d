/**
 * A service of a project as the body of POST /services/create. Pure.
 * Names of networks, secrets and configs stand where the API takes names: the manager knows the ids.
 */
import { given, type Json } from "../service/flag-values.js";
import { containerSpec } from "./convert-container.js";
import { CDI_LABEL, cdiNames } from "./convert-devices.js";
import { attachmentsOf, portsOf } from "./convert-networks.js";
import { resourcesOf } from "./convert-resources.js";
import { pathIn, type ServiceScope } from "./convert-scope.js";
import { durationNs, nonEmpty } from "./convert-values.js";
import type { ServiceDoc, UpdateDoc } from "./model.js";
import { IMAGE_LABEL, stackLabels } from "./naming.js";

/** deploy.restart_policy, else what `restart` says. */
function restartPolicy(scope: ServiceScope, isJob: boolean): Json | undefined {
  const { service, versioned, notes } = scope;
  const policy = service.deploy?.restart_policy;
  if (policy !== undefined)
    return given({
      Condition: policy.condition ?? (isJob ? undefined : "any"),
      Delay: durationNs(policy.delay),
      MaxAttempts: policy.max_attempts,
      Window: durationNs(policy.window),
    });
  const [word, text] = (service.restart ?? "").split(":");
  const attempts = Number(text ?? 0);
  const limit = attempts > 0 ? { MaxAttempts: attempts } : {};
  switch (word) {
    case "no":
      if (!versioned) return { Condition: "none" };
      notes.warn(
        pathIn(scope, "restart"),
        "no has no effect in a file with a version, as with docker stack deploy: " +
          "say it with deploy.restart_policy.condition: none",
      );
      return undefined;
    case "on-failure":
      return { Condition: "on-failure", ...limit };
    case "always":
    case "unless-stopped":
      // a job that ended well is not begun again
      return isJob && !versioned ? { Condition: "on-failure", ...limit } : { Condition: "any", ...limit };
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

function modeOf(scope: ServiceScope, mode: string | undefined): Json {
  const { deploy, scale } = scope.service;
  if (scale !== undefined && deploy?.replicas !== undefined && scale !== deploy.replicas)
    scope.notes.refuse(
      pathIn(scope, "scale"),
      "says something else than deploy.replicas: leave one of them out",
    );
  const replicas = deploy?.replicas ?? scale ?? 1;
  switch (mode) {
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

/** "linux/arm64/v8"; the variant is the image's matter. */
function platforms(platform: string | undefined): Json[] | undefined {
  if (platform === undefined) return undefined;
  const parts = platform.split("/");
  const [os, architecture] = parts.length === 1 ? ["linux", parts[0]] : parts;
  return [given({ OS: os, Architecture: architecture })];
}

function placement({ deploy, platform }: ServiceDoc): Json | undefined {
  const { constraints, preferences = [], max_replicas_per_node: max } = deploy?.placement ?? {};
  return nonEmpty(
    given({
      Constraints: nonEmpty(constraints),
      Preferences: nonEmpty(preferences.map(({ spread }) => ({ Spread: { SpreadDescriptor: spread } }))),
      MaxReplicas: max,
      Platforms: platforms(platform),
    }),
  );
}

function labelsOf({ service, naming, versioned }: ServiceScope, image: string | undefined): Json {
  const devices = cdiNames(service, versioned);
  return given({
    ...stackLabels(naming.stack, service.deploy?.labels),
    ...(devices.length === 0 ? {} : { [CDI_LABEL]: devices.join(",") }),
    [IMAGE_LABEL]: image,
  });
}

export interface ServiceWishes {
  /** The file's image, or the name that its build gives. */
  readonly image: string | undefined;
  /** Others wait for its end, and it has no mode of its own. */
  readonly impliedJob: boolean;
}

/** @throws {InvalidArgumentError} */
export function serviceSpec(scope: ServiceScope, { image, impliedJob }: ServiceWishes): Json {
  const { service, naming, key } = scope;
  const { deploy, logging } = service;
  const mode = impliedJob ? "replicated-job" : deploy?.mode;
  const isJob = mode?.endsWith("-job") === true;
  return given({
    Name: naming.serviceName(key),
    Labels: labelsOf(scope, image),
    TaskTemplate: given({
      ContainerSpec: containerSpec(scope, image),
      Resources: resourcesOf(scope),
      RestartPolicy: restartPolicy(scope, isJob) ?? (impliedJob ? { Condition: "none" } : undefined),
      Placement: placement(service),
      Networks: attachmentsOf(scope),
      LogDriver:
        logging === undefined
          ? undefined
          : given({ Name: logging.driver, Options: nonEmpty(logging.options) }),
    }),
    Mode: modeOf(scope, mode),
    UpdateConfig: updateConfig(deploy?.update_config),
    RollbackConfig: updateConfig(deploy?.rollback_config),
    EndpointSpec: given({ Mode: deploy?.endpoint_mode?.toLowerCase(), Ports: portsOf(scope) }),
  });
}
