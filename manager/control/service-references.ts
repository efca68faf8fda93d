/**
 * Turns names in a service specification into ids, and refuses what does not exist or cannot be used.
 * Pure over a read of the store. Invariant: a stored service refers by id only, but for
 * networks of the node, which have none.
 */
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { cidrContains, formatCidr, parseAddress, parseCidr } from "../../net-overlay/ipam/cidr.js";
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import type { Network, Service } from "../../proto/gen/skein/v1/objects.js";
import {
  type ConfigReference,
  type FileTarget,
  type NetworkAttachmentConfig,
  type PortConfig,
  PortProtocol,
  PublishMode,
  type SecretReference,
  type ServiceSpec,
  type TaskSpec,
} from "../../proto/gen/skein/v1/types.js";
import { conflictingPortKeys, portKey } from "../store/index-keys.js";
import type { ReadTx } from "../store/types.js";
import { versionFor } from "./data-rollout.js";
import { findObject } from "./find-object.js";

/**
 * @param before the specification whose versions of secrets and configs are kept; undefined: the newest are
 * taken.
 * @throws {NotFoundError} {InvalidArgumentError} {FailedPreconditionError}
 */
export function resolveReferences(tx: ReadTx, task: TaskSpec, before?: ServiceSpec): TaskSpec {
  const { container } = task;
  const networks = task.networks.map((attachment) => resolveNetwork(tx, attachment));
  const twice = networks.find(
    ({ target }, at) => networks.findIndex((other) => other.target === target) !== at,
  );
  if (twice !== undefined)
    throw new InvalidArgumentError(`network ${twice.target} is attached more than once`);
  if (container === undefined) return { ...task, networks };
  const secrets = container.secrets.map((reference) => resolveSecret(tx, reference, before));
  const configs = container.configs.map((reference) => resolveConfig(tx, reference, before));
  refuseSameTarget(
    "secret",
    secrets.map(({ secretName, file }) => ({ name: secretName, file })),
  );
  refuseSameTarget(
    "config",
    configs.map(({ configName, file }) => ({ name: configName, file })),
  );
  return { ...task, networks, container: { ...container, secrets, configs } };
}

function resolveNetwork(tx: ReadTx, attachment: NetworkAttachmentConfig): NetworkAttachmentConfig {
  if (isNodeNetwork(attachment.target)) return attachment; // no network of the cluster may have such a name
  const network = findObject(tx, "network", attachment.target);
  const name = network.spec?.annotations?.name ?? network.id;
  if (network.spec?.ingress === true) {
    throw new FailedPreconditionError(
      `network ${name} is the routing mesh: publish a port instead of attaching to it`,
    );
  }
  checkInSubnets(attachment, network);
  return { ...attachment, target: network.id, aliases: [...new Set(attachment.aliases)] };
}

/** What is in no subnet would be waited for without end. A network that has none yet is let pass. */
function checkInSubnets({ addresses }: NetworkAttachmentConfig, { ipam, spec }: Network): void {
  const subnets = (ipam.length > 0 ? ipam : (spec?.ipamConfigs ?? []))
    .filter(({ subnet }) => subnet !== "")
    .map(({ subnet }) => parseCidr(subnet));
  for (const text of addresses) {
    const address = parseAddress(text);
    const own = subnets.filter(({ family }) => family === address.family);
    if (own.length > 0 && !own.some((subnet) => cidrContains(subnet, address)))
      throw new InvalidArgumentError(
        `TaskSpec: address ${text} is in no subnet of network ${spec?.annotations?.name ?? ""}: ` +
          own.map(formatCidr).join(", "),
      );
  }
}

function resolveSecret(
  tx: ReadTx,
  reference: SecretReference,
  before: ServiceSpec | undefined,
): SecretReference {
  const secret =
    tx.get("secret", reference.secretId) ??
    tx.list("secret", { by: "name", name: reference.secretName || reference.secretId })[0];
  if (secret === undefined)
    throw new NotFoundError(`secret ${reference.secretName || reference.secretId} not found`);
  const secretName = secret.annotations?.name ?? "";
  const file = fileTarget(reference.file, secretName);
  return { secretId: secret.id, secretName, file, version: versionFor("secret", secret, before) };
}

function resolveConfig(
  tx: ReadTx,
  reference: ConfigReference,
  before: ServiceSpec | undefined,
): ConfigReference {
  const config =
    tx.get("config", reference.configId) ??
    tx.list("config", { by: "name", name: reference.configName || reference.configId })[0];
  if (config === undefined)
    throw new NotFoundError(`config ${reference.configName || reference.configId} not found`);
  const configName = config.annotations?.name ?? "";
  // Without a file a config is for the runtime only (credential specs).
  const file = reference.file === undefined ? undefined : fileTarget(reference.file, configName);
  return { configId: config.id, configName, file, version: versionFor("config", config, before) };
}

/** Owner root and mode 0444 unless the reference says otherwise. */
function fileTarget(file: FileTarget | undefined, name: string): FileTarget {
  if (file === undefined) return { name, uid: "0", gid: "0", mode: 0o444 };
  return { ...file, name: file.name || name, uid: file.uid || "0", gid: file.gid || "0" };
}

function refuseSameTarget(
  kind: "secret" | "config",
  references: readonly { readonly name: string; readonly file: FileTarget | undefined }[],
): void {
  const seen = new Map<string, string>();
  for (const { name, file } of references) {
    if (file === undefined) continue;
    const other = seen.get(file.name);
    if (other !== undefined) {
      throw new InvalidArgumentError(
        `${kind} references '${other}' and '${name}' have a conflicting target: '${file.name}'`,
      );
    }
    seen.set(file.name, name);
  }
}

/**
 * @throws {InvalidArgumentError} when another service has one of the published ports, chosen or given to it.
 */
export function refuseTakenPorts(tx: ReadTx, spec: ServiceSpec, ownId: string): void {
  const ports = (spec.endpoint?.ports ?? []).filter(({ publishedPort }) => publishedPort !== 0);
  if (ports.length === 0) return;
  refuseClusterPorts(tx, ports);
  const wanted = new Map(
    ports.flatMap((port) => conflictingPortKeys(port).map((key) => [key, port.publishedPort] as const)),
  );
  for (const other of tx.list("service")) {
    if (other.id === ownId || other.pendingDelete) continue;
    for (const port of publishedPorts(other)) {
      const number = wanted.get(portKey(port));
      if (number === undefined) continue;
      const name = other.spec?.annotations?.name ?? "";
      const how = port.publishMode === PublishMode.INGRESS ? "an ingress port" : "a host-published port";
      throw new InvalidArgumentError(
        `port '${number}' is already in use by service '${name}' (${other.id}) as ${how}`,
      );
    }
  }
}

/** Publishing a port that the nodes themselves talk through would cut the cluster off from itself. */
function refuseClusterPorts(tx: ReadTx, ports: readonly PortConfig[]): void {
  const vxlan = tx.list("cluster")[0]?.vxlanUdpPort;
  const managers = new Set(
    tx
      .list("node")
      .flatMap(({ managerStatus }) => Number(/:(\d+)$/.exec(managerStatus?.address ?? "")?.[1] ?? [])),
  );
  for (const { protocol, publishedPort } of ports) {
    const taken =
      (protocol === PortProtocol.TCP && managers.has(publishedPort)) ||
      (protocol === PortProtocol.UDP && publishedPort === vxlan);
    if (taken)
      throw new InvalidArgumentError(
        `port '${publishedPort}' is used by the swarm itself and cannot be published`,
      );
  }
}

function publishedPorts(service: Service): NonNullable<Service["endpoint"]>["ports"] {
  const given = service.endpoint?.ports ?? [];
  return [...(service.spec?.endpoint?.ports ?? []), ...given].filter(
    ({ publishedPort }) => publishedPort !== 0,
  );
}
