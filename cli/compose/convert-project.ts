/**
 * A compose project as the objects of a stack: bodies for the API, by kind, in the order of the file. Pure.
 */
import { given, type Json } from "../service/flag-values.js";
import { nonEmpty } from "./convert-container.js";
import { serviceSpec } from "./convert-service.js";
import type { ComposeDoc, FileDoc, NetworkDoc } from "./model.js";
import { namingOf, stackLabels } from "./naming.js";

export interface StackNetwork {
  readonly name: string;
  readonly external: boolean;
  /** Body of POST /networks/create. */
  readonly body: Json;
}

export interface StackFile {
  readonly name: string;
  readonly external: boolean;
  /** Body of POST /secrets/create or /configs/create without its data. */
  readonly body: Json;
  /** Where the data comes from; none for external ones and for those a driver supplies. */
  readonly source?: { readonly kind: "file" | "environment" | "content"; readonly value: string };
}

export interface StackObjects {
  /** Only those that some service uses. */
  readonly networks: readonly StackNetwork[];
  readonly secrets: readonly StackFile[];
  readonly configs: readonly StackFile[];
  /** Bodies of POST /services/create. */
  readonly services: readonly Json[];
}

function network(stack: string, name: string, doc: NetworkDoc): StackNetwork {
  const configs = (doc.ipam?.config ?? []).map((config) =>
    given({
      Subnet: config.subnet,
      IPRange: config.ip_range,
      Gateway: config.gateway,
      AuxiliaryAddresses: config.aux_addresses,
    }),
  );
  return {
    name,
    external: doc.external === true,
    body: given({
      Name: name,
      Driver: doc.driver ?? "overlay",
      Internal: doc.internal === true ? true : undefined,
      Attachable: doc.attachable === true ? true : undefined,
      EnableIPv6: doc.enable_ipv6 === true ? true : undefined,
      IPAM: nonEmpty(
        given({ Driver: doc.ipam?.driver, Options: nonEmpty(doc.ipam?.options), Config: nonEmpty(configs) }),
      ),
      Options: nonEmpty(doc.driver_opts),
      Labels: stackLabels(stack, doc.labels),
    }),
  };
}

function file(stack: string, name: string, doc: FileDoc): StackFile {
  const source = (["file", "environment", "content"] as const).flatMap((kind) =>
    doc[kind] === undefined ? [] : [{ kind, value: doc[kind] }],
  )[0];
  return {
    name,
    external: doc.external === true,
    body: given({
      Name: name,
      Labels: stackLabels(stack, doc.labels),
      Driver: doc.driver === undefined ? undefined : { Name: doc.driver, Options: doc.driver_opts ?? {} },
      Templating: doc.template_driver === undefined ? undefined : { Name: doc.template_driver },
    }),
    ...(source === undefined ? {} : { source }),
  };
}

export function stackObjects(stack: string, project: ComposeDoc): StackObjects {
  const naming = namingOf(stack, project);
  const used = new Set(
    Object.values(project.services).flatMap(({ networks }) =>
      Object.keys(networks ?? {}).length === 0 ? ["default"] : Object.keys(networks ?? {}),
    ),
  );
  const files = (kind: "secrets" | "configs"): StackFile[] =>
    Object.entries(project[kind]).map(([key, doc]) => file(stack, naming.nameOf(kind, key), doc));
  return {
    networks: [...used]
      .sort()
      .map((key) => network(stack, naming.nameOf("networks", key), project.networks[key] ?? {})),
    secrets: files("secrets"),
    configs: files("configs"),
    services: Object.keys(project.services).map((key) => serviceSpec(key, project, naming)),
  };
}
