/**
 * Devices that a service asks for by name: those of the Container Device Interface go where the scheduler
 * looks for them, all others are requests to the node's runtime. Pure.
 * Source: Compose Specification, gpus, devices and deploy.resources.reservations.devices; CDI 0.6.
 */
import type { HostOptionsBody } from "../../proto/host-options-api.js";
import type { DeviceRequestDoc, ServiceDoc } from "./model.js";

type DeviceRequestBody = NonNullable<HostOptionsBody["DeviceRequests"]>[number];

/** Label of a service: CDI names with commas. Read by the API, api/convert/service-labels.ts. */
export const CDI_LABEL = "skein.devices";

const CDI_NAME = /^[a-z0-9][a-z0-9.-]*\/[a-z0-9][a-z0-9_.-]*=[a-z0-9][a-z0-9_.:-]*$/i;

/** "vendor.com/gpu=0" */
export const isCdiName = (text: string): boolean => CDI_NAME.test(text);

const reserved = (service: ServiceDoc): readonly DeviceRequestDoc[] =>
  service.deploy?.resources?.reservations?.devices ?? [];

const isCdi = (request: DeviceRequestDoc): boolean => request.driver === "cdi";

/** What the service's label says too comes first. */
export function cdiNames(service: ServiceDoc, versioned: boolean): readonly string[] {
  const label = service.deploy?.labels?.[CDI_LABEL] ?? "";
  const names = [
    ...label.split(",").map((name) => name.trim()),
    ...(versioned ? [] : (service.devices ?? [])).map(({ source }) => source).filter(isCdiName),
    ...[...reserved(service), ...(service.gpus ?? [])]
      .filter(isCdi)
      .flatMap(({ device_ids: ids = [] }) => ids),
  ];
  return [...new Set(names.filter((name) => name !== ""))];
}

export function deviceRequestsOf(service: ServiceDoc): DeviceRequestBody[] {
  return [
    ...(service.gpus ?? []).map((request) => ({ request, words: ["gpu"] })),
    ...reserved(service).map((request) => ({ request, words: [] })),
  ]
    .filter(({ request }) => !isCdi(request))
    .map(({ request, words }) => bodyOf(request, words));
}

/** Without a count and ids: all of them. */
function bodyOf(request: DeviceRequestDoc, words: readonly string[]): DeviceRequestBody {
  const { driver, count, device_ids: ids } = request;
  const capabilities = [...new Set([...words, ...(request.capabilities ?? [])])];
  return {
    ...(driver === undefined ? {} : { Driver: driver }),
    ...(ids !== undefined && ids.length > 0
      ? { DeviceIDs: ids }
      : { Count: count === undefined || count === "all" ? -1 : count }),
    ...(capabilities.length === 0 ? {} : { Capabilities: [capabilities] }),
  };
}
