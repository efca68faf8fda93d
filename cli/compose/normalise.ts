/**
 * One checked compose file in long form. Pure: files are read through `Surroundings`.
 */
import { posix } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import { splitCommand } from "../service/flag-values.js";
import { type Finding, type Path, pathText } from "./compose-error.js";
import type {
  ComposeDoc,
  DependencyDoc,
  DeviceDoc,
  FileDoc,
  FileRefDoc,
  MountDoc,
  NetworkDoc,
  PortDoc,
  ServiceDoc,
  ServiceNetworkDoc,
  VolumeDoc,
} from "./model.js";
import { shortMount, shortPorts } from "./short-forms.js";
import type { YamlTree } from "./yaml-tree.js";

export interface Surroundings {
  /** Folder that relative paths of the file begin at. */
  readonly folder: string;
  /** The home folder, for ~. */
  readonly home: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** @throws {InvalidArgumentError} */
  readText(path: string): Promise<string>;
}

type Raw = Readonly<Record<string, unknown>>;

const listOf = (value: unknown): unknown[] =>
  value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
// the schema has been checked
const mapOf = (value: unknown): Raw => (typeof value === "object" && value !== null ? (value as Raw) : {});

/** Lists or maps of pairs as a map; null where a value is missing. */
function pairs(value: unknown): Record<string, string | null> {
  if (!Array.isArray(value))
    return Object.fromEntries(
      Object.entries(mapOf(value)).map(([key, inner]) => [key, inner === null ? null : String(inner)]),
    );
  return Object.fromEntries(
    value.map(String).map((text): [string, string | null] => {
      const at = text.indexOf("=");
      return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

const texts = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(pairs(value)).map(([key, text]) => [key, text ?? ""]));

/** Drops undefined, so that an absent key stays absent when files merge. */
function present<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  // what is left is T
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

const when = <T>(value: unknown, make: (value: unknown) => T): T | undefined =>
  value === undefined || value === null ? undefined : make(value);

/** Turns findings of short forms into findings with a place. */
export class Normaliser {
  readonly findings: Finding[] = [];
  readonly warnings: Finding[] = [];
  readonly #tree: YamlTree;
  readonly #surroundings: Surroundings;

  constructor(tree: YamlTree, surroundings: Surroundings) {
    this.#tree = tree;
    this.#surroundings = surroundings;
  }

  async run(): Promise<ComposeDoc> {
    const file = mapOf(this.#tree.value);
    const services: Record<string, ServiceDoc> = {};
    for (const [name, service] of Object.entries(mapOf(file["services"])))
      services[name] = await this.#service(mapOf(service), ["services", name]);
    const each = <T>(key: string, make: (raw: Raw, name: string) => T): Record<string, T> =>
      Object.fromEntries(
        Object.entries(mapOf(file[key])).map(([name, value]) => [name, make(mapOf(value), name)]),
      );
    return present<ComposeDoc>({
      name: when(file["name"], String),
      services,
      networks: each("networks", (raw, name) => ({ ...(raw as NetworkDoc), ...this.#named(raw, name) })),
      volumes: each("volumes", (raw, name) => ({ ...(raw as VolumeDoc), ...this.#named(raw, name) })),
      secrets: each("secrets", (raw, name) => this.#file(raw, name)),
      configs: each("configs", (raw, name) => this.#file(raw, name)),
    });
  }

  #named(
    raw: Raw,
    key: string,
  ): {
    name?: string;
    external?: boolean;
    labels?: Record<string, string>;
    driver_opts?: Record<string, string>;
  } {
    const { external } = raw;
    const isExternal = external !== undefined && external !== false;
    const oldName = when(mapOf(external)["name"], String);
    const name = when(raw["name"], String) ?? oldName ?? (isExternal ? key : undefined);
    return present({
      name,
      external: isExternal ? true : undefined,
      labels: when(raw["labels"], texts),
      driver_opts: when(raw["driver_opts"], texts),
    });
  }

  #file(raw: Raw, key: string): FileDoc {
    return {
      ...(raw as FileDoc),
      ...this.#named(raw, key),
      ...present<FileDoc>({ file: when(raw["file"], (path) => this.#path(String(path))) }),
    };
  }

  #path(path: string): string {
    const { folder, home } = this.#surroundings;
    if (path === "~" || path.startsWith("~/")) return posix.join(home, path.slice(1));
    return posix.isAbsolute(path) ? path : posix.join(folder, path);
  }

  async #service(raw: Raw, path: Path): Promise<ServiceDoc> {
    const deploy = mapOf(raw["deploy"]);
    const words = (value: unknown): string[] =>
      typeof value === "string" ? splitCommand(value) : listOf(value).map(String);
    const strings = (value: unknown): string[] => listOf(value).map(String);
    return present<ServiceDoc>({
      ...(raw as ServiceDoc),
      command: when(raw["command"], words),
      entrypoint: when(raw["entrypoint"], words),
      environment: await this.#environment(raw, path),
      user: when(raw["user"], String),
      group_add: when(raw["group_add"], strings),
      labels: when(raw["labels"], texts),
      sysctls: when(raw["sysctls"], texts),
      ulimits: when(raw["ulimits"], (limits) =>
        Object.fromEntries(
          Object.entries(mapOf(limits)).map(([name, limit]) => [
            name,
            typeof limit === "number"
              ? { soft: limit, hard: limit }
              : (limit as { soft: number; hard: number }),
          ]),
        ),
      ),
      dns: when(raw["dns"], strings),
      dns_search: when(raw["dns_search"], strings),
      extra_hosts: when(raw["extra_hosts"], extraHosts),
      tmpfs: when(raw["tmpfs"], strings),
      depends_on: when(raw["depends_on"], dependencies),
      devices: when(raw["devices"], (list) => listOf(list).map(device)),
      build: when(raw["build"], (build) => (typeof build === "string" ? { context: build } : mapOf(build))),
      logging: when(raw["logging"], (logging) =>
        present({
          driver: when(mapOf(logging)["driver"], String),
          options: when(mapOf(logging)["options"], texts),
        }),
      ),
      healthcheck: when(raw["healthcheck"], (health) =>
        present({ ...mapOf(health), test: when(mapOf(health)["test"], healthTest) }),
      ),
      networks: when(raw["networks"], serviceNetworks),
      ports: when(raw["ports"], (list) =>
        listOf(list).flatMap((item, i) => this.#port(item, [...path, "ports", i])),
      ),
      volumes: this.#mounts(raw, path),
      configs: when(raw["configs"], (list) => listOf(list).map(fileReference)),
      secrets: when(raw["secrets"], (list) => listOf(list).map(fileReference)),
      deploy: when(raw["deploy"], () => present({ ...deploy, labels: when(deploy["labels"], texts) })),
    });
  }

  /** Files first, then `environment`; a name without value takes it from the caller's environment. */
  async #environment(raw: Raw, path: Path): Promise<Record<string, string | null> | undefined> {
    const files: Record<string, string | null>[] = [];
    for (const [i, entry] of listOf(raw["env_file"]).entries()) {
      const { path: name, required } =
        typeof entry === "string"
          ? { path: entry, required: true }
          : (entry as { path: string; required?: boolean }); // as the schema has it
      try {
        const lines = (await this.#surroundings.readText(this.#path(name)))
          .split(/\r?\n/)
          .map((line) => line.trimStart());
        files.push(pairs(lines.filter((line) => line !== "" && !line.startsWith("#"))));
      } catch (error) {
        if (required !== false)
          this.#found(
            [...path, "env_file", ...(Array.isArray(raw["env_file"]) ? [i] : [])],
            messageOf(error),
          );
      }
    }
    if (files.length === 0 && raw["environment"] === undefined) return undefined;
    const all: Record<string, string | null> = Object.assign({}, ...files, pairs(raw["environment"]));
    return Object.fromEntries(
      Object.entries(all).map(([name, value]) => [name, value ?? this.#surroundings.variables[name] ?? null]),
    );
  }

  #port(item: unknown, path: Path): PortDoc[] {
    if (typeof item !== "object" || item === null) {
      return this.#guarded(path, [], () => {
        const { ports, hostIp } = shortPorts(String(item));
        if (hostIp !== "")
          this.warnings.push(
            this.#finding(
              path,
              `host address ${hostIp} has no effect: a published port listens on all addresses of a node, ` +
                "unless the label skein.publish.<port>.addresses says where",
            ),
          );
        return [...ports];
      });
    }
    const raw = item as Raw; // the schema allows nothing else
    const published = when(raw["published"], Number);
    return [
      present<PortDoc>({
        target: Number(raw["target"]),
        published,
        protocol: String(raw["protocol"] ?? "tcp"),
        mode: String(raw["mode"] ?? "ingress"),
        name: when(raw["name"], String),
      }),
    ];
  }

  #mounts(raw: Raw, path: Path): MountDoc[] | undefined {
    if (raw["volumes"] === undefined) return undefined;
    const mounts = listOf(raw["volumes"]).flatMap((item, i): MountDoc[] =>
      typeof item === "string"
        ? this.#guarded([...path, "volumes", i], [], () => [shortMount(item)])
        : [longMount(item as Raw)],
    );
    const located = mounts.map((mount) =>
      mount.type === "bind" && mount.source !== undefined
        ? { ...mount, source: this.#path(mount.source) }
        : mount,
    );
    return located;
  }

  #guarded<T>(path: Path, otherwise: T, make: () => T): T {
    try {
      return make();
    } catch (error) {
      this.#found(path, messageOf(error));
      return otherwise;
    }
  }

  #found(path: Path, rule: string): void {
    this.findings.push(this.#finding(path, rule));
  }

  #finding(path: Path, rule: string): Finding {
    return { position: this.#tree.positionOf(path), key: pathText(path), rule };
  }
}

function longMount(raw: Raw): MountDoc {
  const volume = mapOf(raw["volume"]);
  const tmpfs = mapOf(raw["tmpfs"]);
  return {
    ...(raw as unknown as MountDoc), // the schema has been checked; what differs follows
    ...(volume["labels"] === undefined ? {} : { volume: { ...volume, labels: texts(volume["labels"]) } }),
    ...(tmpfs["mode"] === undefined ? {} : { tmpfs: { ...tmpfs, mode: fileMode(tmpfs["mode"]) } }),
  };
}

/** YAML has read 0440 as octal already; text is octal too. */
const fileMode = (value: unknown): number =>
  typeof value === "string" ? Number.parseInt(value, 8) : Number(value);

function fileReference(item: unknown): FileRefDoc {
  if (typeof item === "string") return { source: item };
  const raw = item as Raw; // the schema allows nothing else
  return present<FileRefDoc>({
    source: String(raw["source"]),
    target: when(raw["target"], String),
    uid: when(raw["uid"], String),
    gid: when(raw["gid"], String),
    mode: when(raw["mode"], fileMode),
  });
}

function dependencies(value: unknown): Record<string, DependencyDoc> {
  const entries = Array.isArray(value)
    ? value.map((name): [string, DependencyDoc] => [String(name), { condition: "service_started" }])
    : Object.entries(mapOf(value)).map(([name, raw]): [string, DependencyDoc] => [
        name,
        { condition: "service_started", ...mapOf(raw) },
      ]);
  return Object.fromEntries(entries);
}

function device(item: unknown): DeviceDoc {
  if (typeof item !== "string") return item as DeviceDoc; // the only other form
  const [source = "", target, permissions] = item.split(":");
  return present<DeviceDoc>({ source, target, permissions });
}

function healthTest(value: unknown): string[] {
  return typeof value === "string" ? ["CMD-SHELL", value] : listOf(value).map(String);
}

function serviceNetworks(value: unknown): Record<string, ServiceNetworkDoc> {
  if (Array.isArray(value)) return Object.fromEntries(value.map((name) => [String(name), {}]));
  return Object.fromEntries(
    Object.entries(mapOf(value)).map(([name, raw]) => [
      name,
      present<ServiceNetworkDoc>({
        aliases: when(mapOf(raw)["aliases"], (list) => listOf(list).map(String)),
        driver_opts: when(mapOf(raw)["driver_opts"], texts),
      }),
    ]),
  );
}

/** "name:address", "name=address" or {name: address}. */
function extraHosts(value: unknown): string[] {
  const entries = Array.isArray(value)
    ? value.map(String).map((text): [string, string] => {
        const at = text.search(/[:=]/);
        return [text.slice(0, at), text.slice(at + 1)];
      })
    : Object.entries(mapOf(value)).flatMap(([name, addresses]) =>
        listOf(addresses).map((address): [string, string] => [name, String(address)]),
      );
  return entries.map(([name, address]) => `${name}:${address.replace(/^\[(.*)\]$/, "$1")}`);
}
