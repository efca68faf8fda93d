/**
 * A revision's definition as it would be sent again, without data: bodies of the Engine API. Pure.
 */
import {
  StackCondition,
  type StackDefinition,
  type StackFile,
  type StackNetwork,
  type StackService,
} from "../../proto/gen/skein/v1/stack_types.js";
import { ipamOut } from "./cluster-network-out.js";
import { serviceSpecOut } from "./service-out.js";
import { type JsonObject, omitEmpty } from "./shape.js";

const CONDITIONS: Readonly<Record<string, string>> = {
  [StackCondition.STARTED]: "started",
  [StackCondition.HEALTHY]: "healthy",
  [StackCondition.COMPLETED]: "completed",
};

export function definitionOut(definition: StackDefinition): JsonObject {
  return {
    Networks: definition.networks.map(networkOut),
    Secrets: definition.secrets.map(fileOut),
    Configs: definition.configs.map(fileOut),
    Services: definition.services.map(serviceOut),
  };
}

function networkOut({ key, external, spec }: StackNetwork): JsonObject {
  return {
    Key: key,
    ...omitEmpty({ External: external }),
    Spec: {
      Name: spec?.annotations?.name ?? "",
      ...(external
        ? {}
        : {
            Driver: spec?.driver || "overlay",
            ...omitEmpty({
              Labels: spec?.annotations?.labels,
              Options: spec?.driverOptions,
              Internal: spec?.internal,
              Attachable: spec?.attachable,
              EnableIPv6: spec?.ipv6Enabled,
              IPAM: omitEmpty({
                Driver: spec?.ipamDriver,
                Options: spec?.ipamOptions,
                Config: spec?.ipamConfigs.map(ipamOut),
              }),
            }),
            ...(spec?.ipv4Disabled === true ? { EnableIPv4: false } : {}),
          }),
    },
  };
}

function fileOut(file: StackFile): JsonObject {
  const { key, external, annotations, version, templateDriver, driverName, driverOptions, dataSha256 } = file;
  return {
    Key: key,
    ...omitEmpty({ External: external, Version: version, SHA256: dataSha256 }),
    Spec: {
      Name: annotations?.name ?? "",
      ...omitEmpty({
        Labels: annotations?.labels,
        Driver: omitEmpty({ Name: driverName, Options: driverOptions }),
        Templating: omitEmpty({ Name: templateDriver }),
      }),
    },
  };
}

function serviceOut({ key, spec, dependsOn }: StackService): JsonObject {
  return {
    Key: key,
    Spec: spec === undefined ? {} : serviceSpecOut(spec),
    ...omitEmpty({
      DependsOn: dependsOn.map(({ service, condition, restart, optional }) => ({
        Service: service,
        Condition: CONDITIONS[condition] ?? "started",
        ...omitEmpty({ Restart: restart }),
        ...(optional ? { Required: false } : {}),
      })),
    }),
  };
}
