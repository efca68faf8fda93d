/**
 * Under which secondary keys an object can be found.
 * Pure. Invariant: a lookup's key is among an object's keys exactly when the lookup should find the object.
 */
import {
  type PortConfig,
  PublishMode,
  type ServiceSpec,
  type TaskSpec,
} from "../../proto/gen/skein/v1/types.js";
import type { TableRow } from "./tables.js";
import type { Lookup, TableName, Tables } from "./types.js";

/** The label that says which stack an object belongs to, as Docker's CLI writes it. */
export const STACK_LABEL = "com.docker.stack.namespace";

/** Names are compared without regard to case, as SwarmKit does. */
export function nameKey(name: string): string {
  return `name:${name.toLowerCase()}`;
}

/** @returns the key of a published port: protocol, port number and mode. */
export function portKey(port: Pick<PortConfig, "protocol" | "publishedPort" | "publishMode">): string {
  return `port:${port.protocol}/${port.publishedPort}/${port.publishMode}`;
}

/** Published ports chosen by the user; 0 (chosen later) conflicts with nothing. */
export function chosenPorts(spec: ServiceSpec | undefined): readonly PortConfig[] {
  return (spec?.endpoint?.ports ?? []).filter((port) => port.publishedPort !== 0);
}

/** Keys that a port of this kind may not meet in another service: ingress takes the number everywhere. */
export function conflictingPortKeys(port: PortConfig): readonly string[] {
  const ingress = portKey({ ...port, publishMode: PublishMode.INGRESS });
  return port.publishMode === PublishMode.INGRESS
    ? [ingress, portKey({ ...port, publishMode: PublishMode.HOST })]
    : [ingress];
}

function addTaskSpecKeys(keys: Set<string>, spec: TaskSpec | undefined): void {
  for (const network of spec?.networks ?? []) keys.add(`network:${network.target}`);
  for (const secret of spec?.container?.secrets ?? []) keys.add(`secret:${secret.secretId}`);
  for (const config of spec?.container?.configs ?? []) keys.add(`config:${config.configId}`);
}

function refersToOthers(spec: TaskSpec | undefined): boolean {
  if (spec === undefined) return false;
  const { container, networks } = spec;
  const files = container === undefined ? 0 : container.secrets.length + container.configs.length;
  return files + networks.length > 0;
}

/** The name an object goes by, or "". Nodes go by the host name they report. */
export function nameOf<K extends TableName>(table: K, object: Tables[K]): string {
  const row = { $case: table, value: object } as TableRow; // K and its own Tables[K] always form a row
  switch (row.$case) {
    case "node":
      return row.value.description?.hostname ?? "";
    case "cluster":
    case "service":
    case "network":
      return row.value.spec?.annotations?.name ?? "";
    case "secret":
    case "config":
    case "volume":
    case "stack":
    case "stackRevision":
      return row.value.annotations?.name ?? "";
    case "task":
    case "lease":
      return "";
  }
}

function labelsOf<K extends TableName>(table: K, object: Tables[K]): Readonly<Record<string, string>> {
  const row = { $case: table, value: object } as TableRow; // as above
  switch (row.$case) {
    case "service":
    case "network":
      return row.value.spec?.annotations?.labels ?? {};
    case "secret":
    case "config":
      return row.value.annotations?.labels ?? {};
    default:
      return {};
  }
}

function stackKeys<K extends TableName>(table: K, object: Tables[K]): readonly string[] {
  const stack = labelsOf(table, object)[STACK_LABEL] ?? "";
  return stack === "" ? [] : [`stackName:${stack}`];
}

/** All secondary keys of an object, each once. */
export function indexKeys<K extends TableName>(table: K, object: Tables[K]): readonly string[] {
  const row = { $case: table, value: object } as TableRow; // as above
  switch (row.$case) {
    case "task": {
      const task = row.value;
      const own: string[] = [];
      if (task.serviceId !== "") {
        own.push(`service:${task.serviceId}`, `slot:${task.serviceId}/${task.slot}`);
      }
      if (task.nodeId !== "") own.push(`node:${task.nodeId}`);
      if (task.networks.length === 0 && !refersToOthers(task.spec)) return own;
      const keys = new Set(own);
      addTaskSpecKeys(keys, task.spec);
      for (const attachment of task.networks) keys.add(`network:${attachment.networkId}`);
      return [...keys];
    }
    case "service": {
      const keys = new Set<string>();
      const name = nameOf("service", row.value);
      if (name !== "") keys.add(nameKey(name));
      addTaskSpecKeys(keys, row.value.spec?.task);
      for (const port of chosenPorts(row.value.spec)) keys.add(portKey(port));
      for (const key of stackKeys("service", row.value)) keys.add(key);
      return [...keys];
    }
    case "stackRevision":
      return [nameKey(nameOf("stackRevision", row.value)), `stack:${row.value.stackId}`];
    default: {
      const name = nameOf(table, object);
      return [...(name === "" ? [] : [nameKey(name)]), ...stackKeys(table, object)];
    }
  }
}

/**
 * Compares what the keys are made of by identity: a new version mostly shares it with the old one.
 * @returns true only when `indexKeys` of both are surely the same.
 */
export function haveSameKeys<K extends TableName>(table: K, before: Tables[K], after: Tables[K]): boolean {
  if (table === "task") {
    const [old, now] = [before as Tables["task"], after as Tables["task"]]; // of the table
    return (
      old.spec === now.spec &&
      old.networks === now.networks &&
      old.serviceId === now.serviceId &&
      old.slot === now.slot &&
      old.nodeId === now.nodeId
    );
  }
  if (table === "service") return (before as Tables["service"]).spec === (after as Tables["service"]).spec;
  return (
    nameOf(table, before) === nameOf(table, after) &&
    labelsOf(table, before)[STACK_LABEL] === labelsOf(table, after)[STACK_LABEL]
  );
}

/** @returns the secondary key a lookup asks for; undefined for the primary one (`idPrefix`). */
export function lookupKey(lookup: Lookup): string | undefined {
  switch (lookup.by) {
    case "idPrefix":
      return undefined;
    case "name":
      return nameKey(lookup.name);
    case "serviceId":
      return `service:${lookup.serviceId}`;
    case "nodeId":
      return `node:${lookup.nodeId}`;
    case "slot":
      return `slot:${lookup.serviceId}/${lookup.slot}`;
    case "networkId":
      return `network:${lookup.networkId}`;
    case "secretId":
      return `secret:${lookup.secretId}`;
    case "configId":
      return `config:${lookup.configId}`;
    case "stackId":
      return `stack:${lookup.stackId}`;
    case "stackName":
      return `stackName:${lookup.stackName}`;
  }
}
