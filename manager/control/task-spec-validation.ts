/**
 * Rules for what a task is made of, apart from references to other objects.
 * Pure. Source: the refusals Docker users know.
 */
import { InvalidArgumentError, NotImplementedError } from "../../base/errors/errors.js";
import type {
  ContainerSpec,
  HealthConfig,
  Mount,
  ResourceRequirements,
  Resources,
  RestartPolicy,
  TaskSpec,
} from "../../proto/gen/skein/v1/types.js";
import { parseConstraint } from "../scheduler/constraint.js";
import { checkHostOptions } from "./host-options-validation.js";

const MEMORY_BYTES_MIN = 4 * 1024 * 1024;
const NANO_CPUS_MIN = 1_000_000;

/** Domain and port, path, tag, digest. Source: the grammar of github.com/distribution/reference. */
const DOMAIN = "(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?";
const PATH_PART = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const TAG = "[\\w][\\w.-]{0,127}";
const DIGEST = "[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
const IMAGE = new RegExp(`^(?:${DOMAIN}/)?${PATH_PART}(?:/${PATH_PART})*(?::${TAG})?(?:@${DIGEST})?$`);

/** @throws {InvalidArgumentError} {NotImplementedError} naming the field and the rule. */
export function checkTaskSpec(spec: TaskSpec | undefined): void {
  if (spec?.container === undefined)
    throw new InvalidArgumentError("TaskSpec: a container specification must be provided");
  checkContainer(spec.container);
  checkHostOptions(spec, spec.container);
  checkResources(spec.resources);
  checkRestart(spec.restart);
  for (const constraint of spec.placement?.constraints ?? []) parseConstraint(constraint);
}

function checkContainer(container: ContainerSpec): void {
  if (container.image === "")
    throw new InvalidArgumentError("ContainerSpec: image reference must be provided");
  if (!IMAGE.test(container.image)) {
    throw new InvalidArgumentError(`ContainerSpec: "${container.image}" is not a valid repository/tag`);
  }
  checkMounts(container.mounts);
  checkHealth(container.healthcheck);
  if ((container.stopGracePeriodMs ?? 0) < 0) {
    throw new InvalidArgumentError("ContainerSpec: the stop grace period cannot be negative");
  }
  const unnamed = container.env.find((entry) => entry === "" || entry.startsWith("="));
  if (unnamed !== undefined) throw new InvalidArgumentError(`invalid environment variable: "${unnamed}"`);
  for (const host of container.hosts) {
    if (host.trim().split(/\s+/).length < 2)
      throw new InvalidArgumentError(`invalid host entry "${host}": want "IP name"`);
  }
}

function checkMounts(mounts: readonly Mount[]): void {
  const targets = new Set<string>();
  for (const { type, source, target } of mounts) {
    if (type === "npipe" || type === "cluster")
      throw new NotImplementedError(`mount type ${type} is not supported on Linux nodes here`);
    if (!["bind", "volume", "tmpfs", "image"].includes(type))
      throw new InvalidArgumentError(`invalid mount type "${type}"`);
    if (!target.startsWith("/")) {
      throw new InvalidArgumentError(`invalid mount target, must be an absolute path: ${target}`);
    }
    if (type === "bind" && !source.startsWith("/")) {
      throw new InvalidArgumentError(`invalid bind mount source, must be an absolute path: ${source}`);
    }
    if (type === "tmpfs" && source !== "")
      throw new InvalidArgumentError("invalid tmpfs source, source must be empty");
    const place = target.replace(/\/+$/, "");
    if (targets.has(place)) throw new InvalidArgumentError(`ContainerSpec: duplicate mount point: ${target}`);
    targets.add(place);
  }
}

function checkHealth(health: HealthConfig | undefined): void {
  if (health === undefined) return;
  for (const [name, ms] of [
    ["Interval", health.intervalMs],
    ["Timeout", health.timeoutMs],
    ["StartPeriod", health.startPeriodMs],
    ["StartInterval", health.startIntervalMs],
  ] as const) {
    if (ms < 0 || (ms > 0 && ms < 1)) {
      throw new InvalidArgumentError(
        `ContainerSpec: ${name} in HealthConfig cannot be less than one millisecond`,
      );
    }
  }
  const [kind] = health.test;
  if (kind !== undefined && !["NONE", "CMD", "CMD-SHELL"].includes(kind)) {
    throw new InvalidArgumentError(
      `ContainerSpec: unknown type of health check "${kind}": want NONE, CMD or CMD-SHELL`,
    );
  }
}

function checkResources(requirements: ResourceRequirements | undefined): void {
  checkAmounts(requirements?.limits);
  checkAmounts(requirements?.reservations);
  const { limits, reservations } = requirements ?? {};
  for (const [what, limit, reserved] of [
    ["memory", limits?.memoryBytes ?? 0, reservations?.memoryBytes ?? 0],
    ["cpu", limits?.nanoCpus ?? 0, reservations?.nanoCpus ?? 0],
  ] as const) {
    if (limit > 0 && reserved > limit) {
      throw new InvalidArgumentError(
        `the ${what} reservation must not be above the limit, got ${reserved} and ${limit}`,
      );
    }
  }
}

function checkAmounts(resources: Resources | undefined): void {
  if (resources === undefined) return;
  const { memoryBytes, nanoCpus } = resources;
  if (memoryBytes !== 0 && memoryBytes < MEMORY_BYTES_MIN) {
    throw new InvalidArgumentError(`invalid memory value ${memoryBytes}: Must be at least 4MiB`);
  }
  if (nanoCpus !== 0 && nanoCpus < NANO_CPUS_MIN) {
    throw new InvalidArgumentError(`invalid cpu value ${nanoCpus / 1e9}: Must be at least 0.001`);
  }
}

function checkRestart(restart: RestartPolicy | undefined): void {
  if ((restart?.delayMs ?? 0) < 0)
    throw new InvalidArgumentError("TaskSpec: restart-delay cannot be negative");
  if ((restart?.windowMs ?? 0) < 0)
    throw new InvalidArgumentError("TaskSpec: restart-window cannot be negative");
}
