/**
 * Rules for a service as a whole: name, mode, update settings, ports.
 * Pure.
 */
import { InvalidArgumentError, messageOf, SkeinError } from "../../base/errors/errors.js";
import { parseAddress } from "../../net-overlay/ipam/cidr.js";
import { isAddress, isInterfaceName, isSubnet } from "../../net-overlay/ipam/host-addresses.js";
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import {
  BalancePolicy,
  EndpointMode,
  type EndpointSpec,
  type PortConfig,
  PortProtocol,
  PublishMode,
  type ServiceSpec,
  SourceMode,
  type UpdateConfig,
  UpdateOrder,
} from "../../proto/gen/skein/v1/types.js";
import { checkServiceName } from "./annotations.js";
import { checkTaskSpec } from "./task-spec-validation.js";

/** Tasks one service may ask for. */
export const REPLICAS_MAX = 100_000;
const PORT_MAX = 65_535;
/** Of one port: they stand in the ruleset of every node. */
const HOST_ADDRESSES_MAX = 32;
const ALLOWED_SOURCES_MAX = 256;
/** The connection table counts seconds, and with a thousand ticks to the second no more than 2^31 of these. */
const IDLE_TIMEOUT_MIN_MS = 1_000;
const IDLE_TIMEOUT_MAX_MS = 20 * 86_400_000;

/** @throws {InvalidArgumentError} {NotImplementedError} naming the field and the rule. */
export function checkServiceSpec(spec: ServiceSpec): void {
  for (const check of SERVICE_CHECKS) check(spec);
}

const SERVICE_CHECKS: readonly ((spec: ServiceSpec) => void)[] = [
  ({ annotations }) => checkServiceName(annotations),
  ({ task }) => checkTaskSpec(task),
  checkMode,
  ({ update }) => checkUpdateConfig(update, "update"),
  ({ rollback }) => checkUpdateConfig(rollback, "rollback"),
  ({ endpoint }) => checkEndpoint(endpoint),
  ({ endpoint }) => checkBalance(endpoint),
  checkVirtualAddresses,
  checkChosenAddresses,
  checkNodeNetworks,
];

/** @returns what each of the checks says, not the first alone; empty: all is well. */
export function serviceSpecFaults(spec: ServiceSpec): readonly string[] {
  return SERVICE_CHECKS.flatMap((check) => {
    try {
      check(spec);
      return [];
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      return [messageOf(error)];
    }
  });
}

function checkMode(spec: ServiceSpec): void {
  const { mode } = spec;
  switch (mode?.$case) {
    case "replicated":
      checkCount("replicas", mode.value.replicas);
      break;
    case "replicatedJob":
      checkCount("total completions", mode.value.totalCompletions);
      checkCount("max concurrent", mode.value.maxConcurrent);
      break;
    case "global":
    case "globalJob":
      break;
    case undefined:
      throw new InvalidArgumentError(
        "a service needs a mode: replicated, global, replicated-job or global-job",
      );
  }
  if (mode.$case === "replicatedJob" || mode.$case === "globalJob") {
    if (spec.update !== undefined) throw new InvalidArgumentError("update config is not allowed for a job");
    if (spec.rollback !== undefined)
      throw new InvalidArgumentError("rollback config is not allowed for a job");
  }
}

function checkCount(name: string, count: number): void {
  if (!Number.isInteger(count) || count < 0 || count > REPLICAS_MAX) {
    throw new InvalidArgumentError(`${name} must be an integer from 0 to ${REPLICAS_MAX}, got ${count}`);
  }
}

function checkUpdateConfig(config: UpdateConfig | undefined, name: "update" | "rollback"): void {
  if (config === undefined) return;
  if (config.delayMs < 0) throw new InvalidArgumentError(`TaskSpec: ${name}-delay cannot be negative`);
  if ((config.monitorMs ?? 0) < 0)
    throw new InvalidArgumentError(`TaskSpec: ${name}-monitor cannot be negative`);
  if (!(config.maxFailureRatio >= 0 && config.maxFailureRatio <= 1)) {
    throw new InvalidArgumentError(
      `TaskSpec: ${name}-maxfailureratio cannot be less than 0 or bigger than 1`,
    );
  }
  if (name === "rollback" && config.failureAction === "FAILURE_ACTION_ROLLBACK") {
    throw new InvalidArgumentError(
      "TaskSpec: a failed rollback cannot be rolled back: want pause or continue",
    );
  }
}

/** A task in its node's network has no place of its own where anything could be published or named. */
function checkNodeNetworks({ task, endpoint }: ServiceSpec): void {
  const networks = task?.networks ?? [];
  const own = networks.find(({ target }) => isNodeNetwork(target));
  if (own === undefined) return;
  const name = `network ${own.target} of the node`;
  if (networks.length > 1) throw new InvalidArgumentError(`${name} excludes other networks`);
  if ((endpoint?.ports.length ?? 0) > 0)
    throw new InvalidArgumentError(
      `${name} excludes published ports: a task's own are those of its node, or none`,
    );
  if ((endpoint?.virtualAddresses ?? []).length > 0)
    throw new InvalidArgumentError(`${name} excludes virtual addresses`);
  if (own.aliases.length > 0 || own.addresses.length > 0)
    throw new InvalidArgumentError(`${name} gives neither aliases nor addresses`);
}

function checkVirtualAddresses({ endpoint, task }: ServiceSpec): void {
  const { mode, virtualAddresses = [] } = endpoint ?? {};
  if (virtualAddresses.length === 0) return;
  if (mode === EndpointMode.DNSRR)
    throw new InvalidArgumentError("EndpointSpec: a service in dnsrr mode has no virtual address to choose");
  if ((task?.networks.length ?? 0) === 0)
    throw new InvalidArgumentError("EndpointSpec: a virtual address needs a network of the service");
  const values = new Set(virtualAddresses.map((address) => parseAddress(address).value));
  if (values.size < virtualAddresses.length)
    throw new InvalidArgumentError("EndpointSpec: a virtual address is given more than once");
}

/** An address that a task chooses is for one task at a time. */
function checkChosenAddresses({ task, mode, update, rollback }: ServiceSpec): void {
  const chosen = (task?.networks ?? []).filter(({ addresses }) => addresses.length > 0);
  if (chosen.length === 0) return;
  for (const { addresses } of chosen) {
    const wrong = addresses.find((address) => !isAddress(address));
    if (wrong !== undefined)
      throw new InvalidArgumentError(`TaskSpec: address of a network must be an IP address, got "${wrong}"`);
    const families = new Set(addresses.map((address) => address.includes(":")));
    if (families.size < addresses.length)
      throw new InvalidArgumentError("TaskSpec: a network gives a task one address of each family");
  }
  const several =
    mode?.$case === "global" ||
    mode?.$case === "globalJob" ||
    (mode?.$case === "replicated" && mode.value.replicas > 1) ||
    (mode?.$case === "replicatedJob" && (mode.value.maxConcurrent || mode.value.totalCompletions) > 1);
  if (several)
    throw new InvalidArgumentError("TaskSpec: a chosen address is for one task: the service asks for more");
  if ([update, rollback].some((config) => config?.order === UpdateOrder.START_FIRST))
    throw new InvalidArgumentError(
      "TaskSpec: a chosen address contradicts order start-first: the successor would wait for it without end",
    );
}

function checkBalance(endpoint: EndpointSpec | undefined): void {
  if (endpoint === undefined) return;
  const { balance, idleTimeoutMs, mode, ports } = endpoint;
  if (balance === BalancePolicy.UNRECOGNIZED) {
    throw new InvalidArgumentError("EndpointSpec: balance must be roundrobin, sourcehash or localfirst");
  }
  if (mode === EndpointMode.DNSRR && balance !== BalancePolicy.ROUND_ROBIN) {
    throw new InvalidArgumentError(
      "EndpointSpec: balance can't be chosen with dnsrr mode, whose clients choose among the addresses themselves",
    );
  }
  if (idleTimeoutMs === undefined) return;
  if (!(idleTimeoutMs >= IDLE_TIMEOUT_MIN_MS && idleTimeoutMs <= IDLE_TIMEOUT_MAX_MS)) {
    throw new InvalidArgumentError(
      `EndpointSpec: idle timeout must be from 1s to ${IDLE_TIMEOUT_MAX_MS / 3_600_000}h, got ${idleTimeoutMs} ms`,
    );
  }
  if (mode === EndpointMode.DNSRR && ports.length === 0) {
    throw new InvalidArgumentError(
      "EndpointSpec: idle timeout is of connections to virtual addresses and published ports; " +
        "with dnsrr mode and no ports there are none",
    );
  }
}

/** Where a port is open, for whom, and what its tasks see of a client. */
function checkAdmission({ hostAddresses, allowedSources, ...port }: PortConfig): void {
  const name = `port ${port.publishedPort || port.targetPort}`;
  if (hostAddresses.length > HOST_ADDRESSES_MAX || allowedSources.length > ALLOWED_SOURCES_MAX) {
    throw new InvalidArgumentError(
      `EndpointSpec: ${name} may have at most ${HOST_ADDRESSES_MAX} host addresses and ` +
        `${ALLOWED_SOURCES_MAX} allowed sources`,
    );
  }
  const wrongPlace = hostAddresses.find((place) => !isAddress(place) && !isInterfaceName(place));
  if (wrongPlace !== undefined) {
    throw new InvalidArgumentError(
      `EndpointSpec: host address of ${name} must be an IP address or the name of an interface, ` +
        `got "${wrongPlace}"`,
    );
  }
  const wrongSource = allowedSources.find((subnet) => !isSubnet(subnet));
  if (wrongSource !== undefined) {
    throw new InvalidArgumentError(
      `EndpointSpec: allowed source of ${name} must be a subnet such as 10.0.0.0/8, got "${wrongSource}"`,
    );
  }
  if (port.sourceMode === SourceMode.UNRECOGNIZED) {
    throw new InvalidArgumentError(`EndpointSpec: source mode of ${name} must be keep, snat or proxy`);
  }
  if (port.sourceMode !== SourceMode.PROXY) return;
  if (port.protocol !== PortProtocol.TCP || port.publishMode !== PublishMode.INGRESS) {
    throw new InvalidArgumentError(
      `EndpointSpec: source mode proxy of ${name} needs protocol tcp and publish mode ingress`,
    );
  }
}

function checkEndpoint(endpoint: EndpointSpec | undefined): void {
  const published = new Set<string>();
  for (const port of endpoint?.ports ?? []) {
    const { targetPort, publishedPort, protocol, publishMode } = port;
    checkAdmission(port);
    if (targetPort < 1 || targetPort > PORT_MAX) {
      throw new InvalidArgumentError(
        `EndpointSpec: target port must be from 1 to ${PORT_MAX}, got ${targetPort}`,
      );
    }
    if (publishedPort > PORT_MAX) {
      throw new InvalidArgumentError(
        `EndpointSpec: published port must be at most ${PORT_MAX}, got ${publishedPort}`,
      );
    }
    if (publishMode === PublishMode.INGRESS && endpoint?.mode === EndpointMode.DNSRR) {
      throw new InvalidArgumentError(
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
      );
    }
    const key = `${protocol}/${publishedPort}`;
    if (publishedPort !== 0 && published.has(key)) {
      throw new InvalidArgumentError(`EndpointSpec: duplicate published ports provided: ${publishedPort}`);
    }
    published.add(key);
  }
}
