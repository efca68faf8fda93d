/**
 * What `docker stack deploy` sends for a compose file, and in what ours differs. Edge: to the docker command
 * and HTTP.
 */
import { execFile } from "node:child_process";
import type { ServerResponse } from "node:http";
import { promisify } from "node:util";
import { convertProject } from "../../cli/compose/convert-project.js";
import { readProject } from "../../cli/compose/file-project.js";
import { FakeDaemon, type SeenRequest } from "../../cli/daemon-fixtures.js";
import { type CorpusProject, VARIABLES } from "./compose-corpus.js";

type Json = Record<string, unknown>;

const KINDS = ["networks", "secrets", "configs", "services"] as const;
type Kind = (typeof KINDS)[number];
/** Bodies of creations, by kind and name. */
export type Bodies = Record<Kind, Record<string, Json>>;

const STACK = "stack";
const NOTHING = (): Bodies => ({ networks: {}, secrets: {}, configs: {}, services: {} });

/** Whatever is asked for by name is there; nothing of the stack is. */
function answer({ method, path, query }: SeenRequest, response: ServerResponse): undefined {
  const [kind = "", name = ""] = path
    .replace(/^\/v[\d.]+/, "")
    .split("/")
    .slice(1);
  const say = (status: number, json: unknown): void => {
    response.writeHead(status, {
      "content-type": "application/json",
      "api-version": "1.50",
      ostype: "linux",
    });
    response.end(JSON.stringify(json));
  };
  if (method === "POST") say(201, { ID: "id", Id: "id" });
  else if (kind === "info") say(200, { Swarm: { LocalNodeState: "active", ControlAvailable: true } });
  else if (kind === "networks" && name !== "") say(200, { Name: name, Id: name, Scope: "swarm" });
  else if (name !== "") say(404, { message: "not found" });
  else {
    // docker sends filters as { KEY: { VALUE: true } }
    const filters = JSON.parse(query.get("filters") ?? "{}") as Record<string, Record<string, boolean>>;
    const names = Object.keys(filters["name"] ?? {});
    say(
      200,
      names.map((each) => ({ ID: `id-${each}`, Spec: { Name: each } })),
    );
  }
  return undefined;
}

/** What Docker's client makes of a project. */
export async function dockersBodies({ files }: CorpusProject): Promise<Bodies> {
  await using daemon = await FakeDaemon.open(answer);
  const flags = ["--detach=true", "--resolve-image", "never", ...files.flatMap((file) => ["-c", file])];
  const env = { ...VARIABLES, PATH: process.env["PATH"] };
  await promisify(execFile)("docker", ["-H", daemon.host, "stack", "deploy", ...flags, STACK], { env });
  const bodies = NOTHING();
  for (const { method, path, body } of daemon.seen.filter((seen) => seen.method === "POST")) {
    const kind = KINDS.find((each) => path.endsWith(`/${each}/create`));
    if (kind === undefined) throw new Error(`docker asked for ${method} ${path}`);
    const json = JSON.parse(body.toString()) as Json;
    bodies[kind][String(json["Name"])] = json;
  }
  return bodies;
}

/** What we make of it, external objects left out. */
export async function ourBodies({ files }: CorpusProject): Promise<Bodies> {
  const { definition } = convertProject(STACK, await readProject(files, { variables: VARIABLES }));
  const bodies = NOTHING();
  const { Networks = [], Secrets = [], Configs = [], Services } = definition;
  for (const [kind, list] of [
    ["networks", Networks],
    ["secrets", Secrets],
    ["configs", Configs],
  ] as const)
    for (const { External, Spec } of list)
      if (External !== true) bodies[kind][String(Spec["Name"])] = structuredClone(Spec) as Json;
  for (const { Spec } of Services) bodies.services[String(Spec["Name"])] = structuredClone(Spec) as Json;
  return bodies;
}

const isMap = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const mapOf = (value: unknown): Json => (isMap(value) ? value : {});

/** Zero means absent, but here. */
const MEANS_SOMETHING = [
  "Replicas",
  "Parallelism",
  "Init",
  "Global",
  "GlobalJob",
  "MaxConcurrent",
  "TotalCompletions",
];
/** Ids that Docker's client looks up: the manager takes names. */
const IDS = ["SecretID", "ConfigID", "Data"];

function pruned(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => pruned(item, ""));
  if (!isMap(value))
    return MEANS_SOMETHING.includes(key) || ![false, 0, "", null].includes(value as never)
      ? value
      : undefined;
  const entries = Object.entries(value)
    .filter(([each]) => !IDS.includes(each))
    .map(([each, inner]) => [each, pruned(inner, each)] as const)
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 && !MEANS_SOMETHING.includes(key) ? undefined : Object.fromEntries(entries);
}

const servicesOf = (bodies: Bodies): Json[] => Object.values(bodies.services);
const containerOf = (service: Json): Json => mapOf(mapOf(service["TaskTemplate"])["ContainerSpec"]);
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.map(mapOf) : []);
const portsOf = (service: Json): Json[] => listOf(mapOf(service["EndpointSpec"])["Ports"]);

export interface BodyDifference {
  readonly reason: string;
  /** Takes the difference out of both. */
  level(ours: Bodies, theirs: Bodies): void;
}

export const BODY_DIFFERENCES: readonly BodyDifference[] = [
  {
    reason: "the tag latest is added by the manager; Docker's client adds it as it sends",
    level(ours, theirs) {
      for (const spec of [...servicesOf(ours), ...servicesOf(theirs)].map(containerOf))
        spec["Image"] = String(spec["Image"]).replace(/:latest$/, "");
    },
  },
  {
    reason:
      "the defaults of ports, tcp and ingress, are written out; Docker's client leaves them to the manager",
    level(_ours, theirs) {
      for (const port of servicesOf(theirs).flatMap(portsOf)) {
        if ((port["Protocol"] ?? "") === "") port["Protocol"] = "tcp";
        if ((port["PublishMode"] ?? "") === "") port["PublishMode"] = "ingress";
      }
    },
  },
  {
    reason: "a policy without condition says any, which is the API's default; Docker's client sends nothing",
    level(_ours, theirs) {
      for (const service of servicesOf(theirs)) {
        const policy = mapOf(mapOf(service["TaskTemplate"])["RestartPolicy"]);
        if (Object.keys(policy).length > 0) policy["Condition"] ??= "any";
      }
    },
  },
  {
    reason: "replicas are said where the file leaves them out; Docker's client leaves them to the manager",
    level(_ours, theirs) {
      for (const service of servicesOf(theirs)) {
        const replicated = mapOf(service["Mode"])["Replicated"];
        if (isMap(replicated)) replicated["Replicas"] ??= 1;
      }
    },
  },
  {
    reason:
      "ports stand by published port, target and protocol, and hosts as the file has them; the order has no meaning",
    level(ours, theirs) {
      const keyOf = (value: unknown): string => {
        const { PublishedPort: published, TargetPort: target, Protocol: protocol } = mapOf(value);
        return isMap(value) ? [published, target, protocol].join() : String(value);
      };
      const byKey = (a: unknown, b: unknown): number => (keyOf(a) < keyOf(b) ? -1 : 1);
      for (const service of [...servicesOf(ours), ...servicesOf(theirs)]) {
        const endpoint = mapOf(service["EndpointSpec"]);
        if (Array.isArray(endpoint["Ports"])) endpoint["Ports"].sort(byKey);
        const hosts = containerOf(service)["Hosts"];
        if (Array.isArray(hosts)) hosts.sort(byKey);
      }
    },
  },
  {
    reason: "tmpfs is honoured, also in files with a version; Docker's client drops it in silence",
    level(ours) {
      for (const spec of servicesOf(ours).map(containerOf)) delete mapOf(spec["HostConfig"])["Tmpfs"];
    },
  },
  {
    reason: "oom_score_adj is honoured; Docker's client reads it and forgets it",
    level(ours) {
      for (const spec of servicesOf(ours).map(containerOf)) delete spec["OomScoreAdj"];
    },
  },
  {
    reason: "what Docker's client leaves out with a warning is honoured in a file without a version",
    level(ours) {
      for (const spec of servicesOf(ours).map(containerOf)) delete mapOf(spec["HostConfig"])["CgroupnsMode"];
    },
  },
  {
    reason: "the consistency of a short mount (cached) is sent; Docker's client forgets it",
    level(ours, theirs) {
      for (const spec of [...servicesOf(ours), ...servicesOf(theirs)].map(containerOf))
        for (const mount of listOf(spec["Mounts"])) delete mount["Consistency"];
    },
  },
  {
    reason: "the config of a credential specification is named; Docker's client looks up its id",
    level(_ours, theirs) {
      for (const { Privileges: privileges } of servicesOf(theirs).map(containerOf)) {
        const spec = mapOf(mapOf(privileges)["CredentialSpec"]);
        if (typeof spec["Config"] === "string") spec["Config"] = spec["Config"].replace(/^id-/, "");
      }
    },
  },
];

/** Both without the differences that have a reason; and which of them there were. */
export function levelledBodies(
  ours: Bodies,
  theirs: Bodies,
): { readonly ours: unknown; readonly theirs: unknown; readonly used: ReadonlySet<string> } {
  const [a, b] = [structuredClone(ours), structuredClone(theirs)];
  const used = new Set<string>();
  for (const difference of BODY_DIFFERENCES) {
    const before = JSON.stringify([a, b]);
    difference.level(a, b);
    if (JSON.stringify([a, b]) !== before) used.add(difference.reason);
  }
  return { ours: pruned(a, ""), theirs: pruned(b, ""), used };
}
