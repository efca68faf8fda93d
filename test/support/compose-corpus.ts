/**
 * The corpus of compose files, and in what our normal form differs from that of Docker's client. Edge: to the
 * corpus's files and the docker command.
 */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { ComposeError, findingText } from "../../cli/compose/compose-error.js";
import { convertProject } from "../../cli/compose/convert-project.js";
import { readProject } from "../../cli/compose/file-project.js";
import { projectText } from "../../cli/compose/print-project.js";

type Value = unknown;
type Map = Record<string, Value>;

/** Variables of the caller, for both. */
export const VARIABLES: Readonly<Record<string, string>> = {
  HOME: "/people/somebody",
  DOMAIN: "example.org",
  TAG: "1.2.3",
  PORT: "8080",
  EMPTY_VALUE: "",
  HOSTNAME_WISH: "wished",
  REDIS_PASSWORD: "pw",
  FROM_SHELL: "shell",
};

export interface CorpusProject {
  readonly name: string;
  readonly files: readonly string[];
}

/** NAME.yml with its NAME.override.yml. */
export function projectsIn(folder: string): CorpusProject[] {
  const all = readdirSync(folder).filter((file) => file.endsWith(".yml"));
  return all
    .filter((file) => !file.endsWith(".override.yml"))
    .sort()
    .map((file) => {
      const override = file.replace(/\.yml$/, ".override.yml");
      const files = all.includes(override) ? [file, override] : [file];
      return { name: file.replace(/\.yml$/, ""), files: files.map((each) => join(folder, each)) };
    });
}

export async function ourForm(
  { files }: CorpusProject,
  options: { readonly interpolate: boolean },
): Promise<Map> {
  const project = await readProject(files, { variables: VARIABLES, interpolate: options.interpolate });
  return parse(projectText(project.doc, { uninterpolated: !options.interpolate })) as Map; // a file is a map
}

/** @throws {ComposeError} */
export async function definitionOf({ files }: CorpusProject): Promise<ReturnType<typeof convertProject>> {
  const variables = { ...VARIABLES, DB_PASSWORD: "not shown" };
  return convertProject("stack", await readProject(files, { variables }));
}

/** What a project of the Compose Specification becomes, or why not; paths begin at $FOLDER. */
export async function conversionOf({ files }: CorpusProject, folder: string): Promise<string> {
  const portable = (text: string): string => text.replaceAll(`${folder}/`, "").replaceAll(folder, "$FOLDER");
  try {
    const variables = { ...VARIABLES, DB_PASSWORD: "not shown" };
    const project = await readProject(files, { variables });
    const { warnings, ...conversion } = convertProject("stack", project);
    const said = [...project.warnings, ...warnings].map((one) => portable(findingText(one)));
    const body = portable(JSON.stringify(conversion).replaceAll(`"${folder}/`, '"$FOLDER/'));
    return `${JSON.stringify({ ...(JSON.parse(body) as object), warnings: said }, undefined, 2)}\n`;
  } catch (error) {
    if (!(error instanceof ComposeError)) throw error;
    return `${JSON.stringify({ refused: portable(error.message).split("\n") }, undefined, 2)}\n`;
  }
}

export async function dockersForm(
  { files }: CorpusProject,
  options: { readonly interpolate: boolean },
): Promise<Map> {
  const flags = [
    ...files.flatMap((file) => ["-c", file]),
    ...(options.interpolate ? [] : ["--skip-interpolation"]),
  ];
  const env = { ...VARIABLES, PATH: process.env["PATH"] };
  const { stdout } = await promisify(execFile)("docker", ["stack", "config", ...flags], { env });
  return parse(stdout) as Map;
}

export interface Difference {
  readonly reason: string;
  /** @default both with interpolation and without */
  readonly only?: "interpolated" | "uninterpolated";
  /** Takes the difference out of both. Values are copies that may be changed. */
  level(ours: Map, theirs: Map): void;
}

const isMap = (value: Value): value is Map =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const mapsIn = (value: Value): Map[] => (isMap(value) ? Object.values(value).filter(isMap) : []);
const listOf = (value: Value): Value[] => (Array.isArray(value) ? value : []);
const services = (project: Map): Map[] => mapsIn(project["services"]);

/** Changes every value from the leaves up. */
function rewritten(value: Value, change: (value: Value) => Value): Value {
  if (Array.isArray(value)) return change(value.map((item) => rewritten(item, change)));
  if (!isMap(value)) return change(value);
  return change(
    Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, rewritten(inner, change)])),
  );
}

function rewrite(project: Map, change: (value: Value) => Value): void {
  Object.assign(project, rewritten(project, change));
}

export const DIFFERENCES: readonly Difference[] = [
  {
    reason:
      "dollars stand twice, so that what is printed can be deployed; Docker's output would be interpolated again",
    only: "interpolated",
    level(ours) {
      rewrite(ours, (value) => (typeof value === "string" ? value.replaceAll("$$", "$") : value));
    },
  },
  {
    reason:
      "a file without a version is one of the Compose Specification and stays so; Docker prints 3.13 for it, and for 3",
    level(ours, theirs) {
      if (ours["version"] === undefined || ours["version"] === "3") ours["version"] = "3.13";
      theirs["version"] ??= "3.13";
    },
  },
  {
    reason: "env_file is gone, since environment has what it said; Docker prints both",
    level(_ours, theirs) {
      for (const service of services(theirs)) delete service["env_file"];
    },
  },
  {
    reason: "host addresses of ports are kept; Docker drops them with a warning before it prints",
    level(ours) {
      for (const service of services(ours))
        for (const port of listOf(service["ports"]).filter(isMap)) delete port["host_ip"];
    },
  },
  {
    reason:
      "the context of a build is an absolute path, so that the file may be read elsewhere; Docker leaves it",
    level(ours, theirs) {
      for (const project of [ours, theirs])
        for (const { build } of services(project)) if (isMap(build)) delete build["context"];
    },
  },
  {
    reason: "a build argument without value has the caller's; Docker has no use for it and prints null",
    level(ours, theirs) {
      for (const [i, { build }] of services(theirs).entries()) {
        const own = services(ours)[i]?.["build"];
        if (!isMap(build) || !isMap(own) || !isMap(build["args"]) || !isMap(own["args"])) continue;
        for (const [name, value] of Object.entries(build["args"]))
          if (value === null) own["args"][name] = null;
      }
    },
  },
  {
    reason: "shm_size of a build is printed; Docker's client reads it and forgets it",
    level(ours) {
      for (const { build } of services(ours)) if (isMap(build)) delete build["shm_size"];
    },
  },
  {
    reason: "false, 0 and 0s are printed where the file has them; Docker leaves out what is a default of Go",
    level(ours, theirs) {
      const isZero = (value: Value): boolean => value === false || value === 0 || value === "0s";
      for (const project of [ours, theirs])
        rewrite(project, (value) =>
          isMap(value)
            ? Object.fromEntries(Object.entries(value).filter(([, inner]) => !isZero(inner)))
            : value,
        );
    },
  },
  {
    reason:
      "a device is printed with its place in the container, even if it is the same; Docker leaves it as it is",
    level(ours, theirs) {
      for (const project of [ours, theirs])
        for (const service of services(project).filter((each) => each["devices"] !== undefined))
          service["devices"] = listOf(service["devices"]).map((device) =>
            String(device).includes(":") ? device : `${String(device)}:${String(device)}`,
          );
    },
  },
  {
    reason:
      "x- keys of networks, volumes, secrets and configs are kept; Docker keeps those of external ones alone",
    level(ours, theirs) {
      for (const project of [ours, theirs])
        for (const section of ["networks", "volumes"])
          for (const object of mapsIn(project[section]))
            for (const key of Object.keys(object).filter(
              (each) => each.startsWith("x-") && each !== "x-cluster-spec",
            ))
              delete object[key];
    },
  },
  {
    reason: "oom_score_adj is printed; Docker's client reads it and forgets it",
    level(ours) {
      for (const service of services(ours)) delete service["oom_score_adj"];
    },
  },
  {
    reason: "options of a short mount (cached, z) are printed; Docker's client forgets them",
    level(ours, theirs) {
      for (const project of [ours, theirs])
        for (const service of services(project))
          for (const mount of listOf(service["volumes"]).filter(isMap)) {
            delete mount["consistency"];
            if (isMap(mount["bind"]) && Object.keys(mount["bind"]).join() === "selinux") delete mount["bind"];
          }
    },
  },
  {
    reason: "networks of several files merge key by key; Docker takes the last file's whole",
    level(ours, theirs) {
      const own = ours["networks"];
      const other = theirs["networks"];
      if (!isMap(own) || !isMap(other)) return;
      for (const [name, network] of Object.entries(own)) {
        const docker = other[name];
        if (isMap(network) && isMap(docker) && docker["driver"] === undefined) delete network["driver"];
      }
    },
  },
  {
    reason:
      "without interpolation no file is read and no variable looked up; Docker does both in environment",
    only: "uninterpolated",
    level(ours, theirs) {
      const docker = isMap(theirs["services"]) ? theirs["services"] : {};
      for (const [name, service] of Object.entries(isMap(ours["services"]) ? ours["services"] : {})) {
        const other = docker[name];
        if (!isMap(service) || !isMap(other)) continue;
        if (service["env_file"] !== undefined) {
          for (const each of [service, other]) delete each["environment"];
          delete service["env_file"];
        }
        const environment = isMap(other["environment"]) ? other["environment"] : {};
        for (const [variable, value] of Object.entries(
          isMap(service["environment"]) ? service["environment"] : {},
        ))
          if (value === null) environment[variable] = null;
      }
    },
  },
  {
    reason:
      "without interpolation a short form with variables stays: they may hold anything; Docker splits it",
    only: "uninterpolated",
    level(ours, theirs) {
      const hasVariable = (value: Value): boolean => /\$[{\w]/.test(JSON.stringify(value));
      for (const project of [ours, theirs])
        for (const service of services(project).filter((each) => each["volumes"] !== undefined))
          service["volumes"] = listOf(service["volumes"]).filter((mount) => !hasVariable(mount));
      for (const [i, service] of services(ours).entries())
        for (const key of ["command", "entrypoint"].filter((each) => typeof service[each] === "string"))
          for (const each of [service, services(theirs)[i]]) delete each?.[key];
    },
  },
];

/** Lists in which the order has no meaning: Docker sorts some, and those that it merged. */
const SETS = ["ports", "volumes", "secrets", "configs", "extra_hosts"];

const byJson = (a: Value, b: Value): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** Keys in one order. */
export function sorted(value: Value, key = ""): Value {
  if (Array.isArray(value)) {
    const items = value.map((item) => sorted(item));
    return SETS.includes(key) ? items.sort(byJson) : items;
  }
  if (!isMap(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((each) => [each, sorted(value[each], each)]),
  );
}

/** Both without the differences that have a reason; and which of them there were. */
export function levelled(
  ours: Map,
  theirs: Map,
  options: { readonly interpolate: boolean },
): { readonly ours: Value; readonly theirs: Value; readonly used: ReadonlySet<string> } {
  const [a, b] = [structuredClone(sorted(ours)) as Map, structuredClone(sorted(theirs)) as Map];
  const used = new Set<string>();
  const other = options.interpolate ? "uninterpolated" : "interpolated";
  for (const difference of DIFFERENCES.filter(({ only }) => only !== other)) {
    const before = JSON.stringify([a, b]);
    difference.level(a, b);
    if (JSON.stringify([sorted(a), sorted(b)]) !== before) used.add(difference.reason);
  }
  return { ours: sorted(a), theirs: sorted(b), used };
}
