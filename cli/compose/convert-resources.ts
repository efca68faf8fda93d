/**
 * How much a service may use and what is kept for it, as the API's JSON. Pure.
 * `deploy.resources` comes first; keys of the service itself (mem_limit …) say what it leaves out.
 */
import { given, type Json } from "../service/flag-values.js";
import { parseCpus } from "../units.js";
import { pathIn, type ServiceScope } from "./convert-scope.js";
import { bytesOf, nonEmpty, optional } from "./convert-values.js";
import type { AmountsDoc } from "./model.js";

type Number_ = number | undefined;

const cpusOf = (cpus: number | string | undefined): Number_ =>
  optional(cpus, (each) => parseCpus(String(each), "cpus"));

/** -1 and 0 are no limit. */
const positive = (value: Number_): Number_ => (value !== undefined && value > 0 ? value : undefined);

function generic(doc: AmountsDoc | undefined): Json[] | undefined {
  return nonEmpty(
    (doc?.generic_resources ?? []).map(({ discrete_resource_spec: spec }) => ({
      DiscreteResourceSpec: { Kind: spec?.kind, Value: spec?.value },
    })),
  );
}

/** What both say must be the same: which one would count? */
function either(scope: ServiceScope, key: string, own: Number_, deployed: Number_): Number_ {
  if (own !== undefined && deployed !== undefined && own !== deployed)
    scope.notes.refuse(
      pathIn(scope, key),
      "says something else than deploy.resources: leave one of them out",
    );
  return deployed ?? own;
}

/** @throws {InvalidArgumentError} */
export function resourcesOf(scope: ServiceScope): Json | undefined {
  const { service } = scope;
  const { limits, reservations } = service.deploy?.resources ?? {};
  const memoryBytes = either(
    scope,
    "mem_limit",
    positive(bytesOf(service.mem_limit, "mem_limit")),
    bytesOf(limits?.memory, "memory"),
  );
  const reservedBytes = either(
    scope,
    "mem_reservation",
    positive(bytesOf(service.mem_reservation, "mem_reservation")),
    bytesOf(reservations?.memory, "memory"),
  );
  return nonEmpty(
    given({
      Limits: nonEmpty(
        given({
          NanoCPUs: either(scope, "cpus", positive(cpusOf(service.cpus)), cpusOf(limits?.cpus)),
          MemoryBytes: memoryBytes,
          Pids: either(scope, "pids_limit", positive(service.pids_limit), limits?.pids),
        }),
      ),
      Reservations: nonEmpty(
        given({
          NanoCPUs: cpusOf(reservations?.cpus),
          MemoryBytes: reservedBytes,
          GenericResources: generic(reservations),
        }),
      ),
      SwapBytes: swapBytes(scope, memoryBytes),
      MemorySwappiness: service.mem_swappiness,
    }),
  );
}

/** The file says memory and swap together, the API says swap alone. */
function swapBytes(scope: ServiceScope, memoryBytes: Number_): Number_ {
  const { memswap_limit: limit } = scope.service;
  if (limit === undefined || String(limit) === "0") return undefined;
  if (String(limit) === "-1") return -1;
  const bothBytes = bytesOf(limit, "memswap_limit") ?? 0;
  if (memoryBytes === undefined || bothBytes < memoryBytes) {
    const rule = "is memory and swap together: it needs a limit of memory, and must not be less";
    scope.notes.refuse(pathIn(scope, "memswap_limit"), rule);
    return undefined;
  }
  return bothBytes - memoryBytes;
}
