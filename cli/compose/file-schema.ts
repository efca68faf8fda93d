/**
 * Schema of a whole compose file. Pure (data). Source: as service-schema.ts.
 */
import {
  BOOLEAN,
  ignored,
  mapOf,
  object,
  PAIRS,
  refused,
  type Schema,
  STRING,
  STRING_MAP,
} from "./schema-parts.js";
import { SERVICE_SCHEMA } from "./service-schema.js";

/** `true`, `false`, or the old `{name: …}`. */
const EXTERNAL: Schema = { ...object({ name: STRING }), type: ["boolean", "object"] };

const orEmpty = (schema: Schema): Schema => ({ ...schema, type: ["object", "null"] });

const NETWORK: Schema = orEmpty(
  object({
    name: STRING,
    driver: STRING,
    driver_opts: STRING_MAP,
    external: EXTERNAL,
    internal: BOOLEAN,
    attachable: BOOLEAN,
    enable_ipv6: BOOLEAN,
    enable_ipv4: ignored("overlay networks always hand out IPv4 addresses"),
    labels: PAIRS,
    ipam: object({
      driver: STRING,
      config: {
        type: "array",
        items: object({ subnet: STRING, ip_range: STRING, gateway: STRING, aux_addresses: STRING_MAP }),
      },
      options: STRING_MAP,
    }),
  }),
);

const VOLUME: Schema = orEmpty(
  object({
    name: STRING,
    driver: STRING,
    driver_opts: STRING_MAP,
    external: EXTERNAL,
    labels: PAIRS,
  }),
);

const FILE_OBJECT = {
  name: STRING,
  file: STRING,
  environment: STRING,
  external: EXTERNAL,
  labels: PAIRS,
  template_driver: STRING,
};

export const FILE_SCHEMA: Schema = object({
  version: { type: ["string", "number"] },
  name: STRING,
  services: mapOf(SERVICE_SCHEMA),
  networks: mapOf(NETWORK, { type: ["object", "null"] }),
  volumes: mapOf(VOLUME, { type: ["object", "null"] }),
  secrets: mapOf(object({ ...FILE_OBJECT, driver: STRING, driver_opts: STRING_MAP }), {
    type: ["object", "null"],
  }),
  configs: mapOf(object({ ...FILE_OBJECT, content: STRING }), { type: ["object", "null"] }),
  include: refused("is not supported: give several files with -c"),
  models: ignored("models are not run"),
});

/** Names are DNS words and parts of `STACK_name`. */
export const NAME_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9._-]*$/;
export const NAMED_SECTIONS = ["services", "networks", "volumes", "secrets", "configs"] as const;
