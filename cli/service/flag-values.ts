/**
 * Structured values of service flags (--publish, --mount, --network, --secret, --config, --ulimit …) as the
 * API's JSON. Pure.
 * Grammar: Docker CLI's, cli-flags of 29.x. @throws {InvalidArgumentError}
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { csvPairs, parseBytes, parseInteger } from "../units.js";

export type Json = { [key: string]: unknown };

/** Drops what is undefined, so that the JSON says only what was said. */
export function given(object: Json): Json {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/** Refuses keys nobody knows, with the ones that are known. */
function only(pairs: ReadonlyMap<string, string>, flag: string, known: readonly string[]): void {
  for (const key of pairs.keys()) {
    if (!known.includes(key))
      throw new InvalidArgumentError(
        `${flag}: unknown key ${JSON.stringify(key)}; known are ${known.join(", ")}`,
      );
  }
}

function portRange(text: string, flag: string): [number, number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match === null || from > to || to > 65_535)
    throw new InvalidArgumentError(
      `${flag} must name ports of 0 to 65535 or a range, got ${JSON.stringify(text)}`,
    );
  return [from, to];
}

/**
 * "8080:80/tcp", "8000-8002:80-82", "10.0.0.1:8080:80", "target=80,published=8080,protocol=tcp,mode=host".
 * The keys address and allow may stand several times.
 */
export function parsePublish(text: string, flag = "--publish"): Json[] {
  if (text.includes("=")) {
    const pairs = csvPairs(text, flag);
    only(pairs, flag, ["target", "published", "protocol", "mode", "address", "allow", "source"]);
    const target = pairs.get("target");
    if (target === undefined)
      throw new InvalidArgumentError(`${flag} needs target=PORT, got ${JSON.stringify(text)}`);
    return [
      given({
        Protocol: pairs.get("protocol") ?? "tcp",
        TargetPort: parseInteger(target, `${flag} target`, 1),
        PublishedPort: pairs.has("published")
          ? parseInteger(pairs.get("published") ?? "", `${flag} published`)
          : undefined,
        PublishMode: pairs.get("mode") ?? "ingress",
        HostAddresses: repeatedValues(text, "address"),
        AllowedSources: repeatedValues(text, "allow"),
        SourceMode: pairs.get("source"),
      }),
    ];
  }
  const [whole = "", protocol = "tcp"] = text.split("/");
  const hosted = /^(?:\[([^\]]+)\]|([^:]+)):([^:]+:[^:]+)$/.exec(whole);
  const [, ipv6, ipv4, ports = whole] = hosted ?? [];
  const parts = ports.split(":");
  if (parts.length > 2) {
    throw new InvalidArgumentError(
      `${flag} must be [ADDRESS:][PUBLISHED:]TARGET[/PROTOCOL], got ${JSON.stringify(text)}`,
    );
  }
  const [fromTarget, toTarget] = portRange(parts[parts.length - 1] ?? "", flag);
  const published = parts.length === 2 ? portRange(parts[0] ?? "", flag) : undefined;
  if (published !== undefined && published[1] - published[0] !== toTarget - fromTarget) {
    throw new InvalidArgumentError(
      `${flag}: both ranges must have the same length, got ${JSON.stringify(text)}`,
    );
  }
  return Array.from({ length: toTarget - fromTarget + 1 }, (_, i) =>
    given({
      Protocol: protocol,
      TargetPort: fromTarget + i,
      PublishedPort: published === undefined ? undefined : published[0] + i,
      PublishMode: "ingress",
      HostAddresses: hosted === null ? undefined : [ipv6 ?? ipv4],
    }),
  );
}

const MOUNT_KEYS = [
  "type",
  "source",
  "src",
  "target",
  "dst",
  "destination",
  "readonly",
  "ro",
  "consistency",
  "bind-propagation",
  "bind-nonrecursive",
  "bind-create-src",
  "volume-driver",
  "volume-opt",
  "volume-label",
  "volume-nocopy",
  "volume-subpath",
  "tmpfs-size",
  "tmpfs-mode",
];

/**
 * Several volume-opt and volume-label keys may stand in one --mount;
 * the map of csvPairs would keep the last one only.
 */
function repeated(text: string, key: string): Record<string, string> {
  const found = [...text.matchAll(new RegExp(`(?:^|,)"?${key}=([^=,"]+)=([^,"]*)`, "g"))];
  return Object.fromEntries(found.map((match) => [match[1] ?? "", match[2] ?? ""]));
}

/** All values of a key that may stand several times. @returns undefined when it does not stand at all. */
function repeatedValues(text: string, key: string): string[] | undefined {
  const found = [...text.matchAll(new RegExp(`(?:^|,)"?${key}=([^,"]+)`, "g"))];
  return found.length === 0 ? undefined : found.map((match) => match[1] ?? "");
}

const isTrue = (value: string | undefined): boolean =>
  value !== undefined && ["true", "1", ""].includes(value);

export function parseMount(text: string, flag = "--mount"): Json {
  const pairs = csvPairs(text, flag);
  only(pairs, flag, MOUNT_KEYS);
  const type = pairs.get("type") ?? "volume";
  const target = pairs.get("target") ?? pairs.get("dst") ?? pairs.get("destination");
  const source = pairs.get("source") ?? pairs.get("src");
  if (target === undefined)
    throw new InvalidArgumentError(`${flag} needs target=PATH, got ${JSON.stringify(text)}`);
  if (type === "bind" && source === undefined)
    throw new InvalidArgumentError(`${flag} of type bind needs source=PATH, got ${JSON.stringify(text)}`);
  const mount: Json = {
    Type: type,
    Target: target,
    ...given({ Source: source, Consistency: pairs.get("consistency") }),
  };
  if (isTrue(pairs.get("readonly")) || isTrue(pairs.get("ro"))) mount["ReadOnly"] = true;
  const propagation = pairs.get("bind-propagation");
  if (propagation !== undefined || pairs.has("bind-nonrecursive") || pairs.has("bind-create-src")) {
    mount["BindOptions"] = given({
      Propagation: propagation,
      NonRecursive: isTrue(pairs.get("bind-nonrecursive")) || undefined,
      CreateMountpoint: isTrue(pairs.get("bind-create-src")) || undefined,
    });
  }
  const driver = pairs.get("volume-driver");
  const volumeOptions = repeated(text, "volume-opt");
  const volumeLabels = repeated(text, "volume-label");
  if (
    driver !== undefined ||
    Object.keys(volumeOptions).length > 0 ||
    Object.keys(volumeLabels).length > 0 ||
    pairs.has("volume-nocopy") ||
    pairs.has("volume-subpath")
  ) {
    mount["VolumeOptions"] = given({
      NoCopy: isTrue(pairs.get("volume-nocopy")) || undefined,
      Labels: Object.keys(volumeLabels).length > 0 ? volumeLabels : undefined,
      Subpath: pairs.get("volume-subpath"),
      DriverConfig:
        driver === undefined && Object.keys(volumeOptions).length === 0
          ? undefined
          : { Name: driver ?? "local", Options: volumeOptions },
    });
  }
  if (pairs.has("tmpfs-size") || pairs.has("tmpfs-mode")) {
    mount["TmpfsOptions"] = given({
      SizeBytes: pairs.has("tmpfs-size")
        ? parseBytes(pairs.get("tmpfs-size") ?? "", `${flag} tmpfs-size`)
        : undefined,
      Mode: pairs.has("tmpfs-mode") ? Number.parseInt(pairs.get("tmpfs-mode") ?? "0", 8) : undefined,
    });
  }
  return mount;
}

/** "front" or "name=front,alias=web". */
export function parseNetwork(text: string, flag = "--network"): Json {
  if (!text.includes("=")) return { Target: text };
  const pairs = csvPairs(text, flag);
  only(pairs, flag, ["name", "alias", "driver-opt"]);
  const aliases = [...text.matchAll(/(?:^|,)alias=([^,]+)/g)].map((match) => match[1] ?? "");
  const target = pairs.get("name");
  if (target === undefined)
    throw new InvalidArgumentError(`${flag} needs name=NETWORK, got ${JSON.stringify(text)}`);
  const options = repeated(text, "driver-opt");
  return given({
    Target: target,
    Aliases: aliases.length > 0 ? aliases : undefined,
    DriverOpts: Object.keys(options).length > 0 ? options : undefined,
  });
}

export interface FileReference {
  readonly source: string;
  readonly target: string;
  readonly uid: string;
  readonly gid: string;
  readonly mode: number;
}

/** "name" or "source=name,target=path,uid=0,gid=0,mode=0444". */
export function parseFileReference(text: string, flag: string): FileReference {
  if (!text.includes("=")) return { source: text, target: text, uid: "0", gid: "0", mode: 0o444 };
  const pairs = csvPairs(text, flag);
  only(pairs, flag, ["source", "src", "target", "uid", "gid", "mode"]);
  const source = pairs.get("source") ?? pairs.get("src");
  if (source === undefined)
    throw new InvalidArgumentError(`${flag} needs source=NAME, got ${JSON.stringify(text)}`);
  const mode = pairs.get("mode") ?? "0444";
  if (!/^0?[0-7]{3,4}$/.test(mode))
    throw new InvalidArgumentError(`${flag} mode must be octal such as 0400, got ${JSON.stringify(mode)}`);
  return {
    source,
    target: pairs.get("target") ?? source,
    uid: pairs.get("uid") ?? "0",
    gid: pairs.get("gid") ?? "0",
    mode: Number.parseInt(mode, 8),
  };
}

/** "nofile=1024:2048". */
export function parseUlimit(text: string, flag = "--ulimit"): Json {
  const match = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError(`${flag} must be NAME=SOFT[:HARD], got ${JSON.stringify(text)}`);
  return { Name: match[1], Soft: Number(match[2]), Hard: Number(match[3] ?? match[2]) };
}

/** "kind=2" counts, "kind=name" names one. */
export function parseGenericResource(text: string, flag = "--generic-resource"): Json {
  const match = /^([^=]+)=(.+)$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError(`${flag} must be KIND=VALUE, got ${JSON.stringify(text)}`);
  const [, Kind, value = ""] = match;
  return /^\d+$/.test(value)
    ? { DiscreteResourceSpec: { Kind, Value: Number(value) } }
    : { NamedResourceSpec: { Kind, Value: value } };
}

/** "name:ip" as the line of /etc/hosts the API wants. */
export function parseHost(text: string, flag = "--host"): string {
  const at = text.search(/[:=]/);
  if (at <= 0) throw new InvalidArgumentError(`${flag} must be NAME:IP, got ${JSON.stringify(text)}`);
  return `${text.slice(at + 1)} ${text.slice(0, at)}`;
}

/** A command line as a shell would split it: for --entrypoint, --args and --health-cmd's exec form. */
export function splitCommand(text: string): string[] {
  const words = text.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ""),
  );
}

/** "net_admin" as "CAP_NET_ADMIN", "all" as "ALL". */
export function capability(text: string): string {
  const name = text.trim().toUpperCase();
  return name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`;
}

/** "file://spec.json" as the API has it. @throws {InvalidArgumentError} */
export function parseCredentialSpec(text: string): Json {
  const match = /^(config|file|registry):\/\/(.+)$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError(
      `--credential-spec must be config://ID, file://FILE or registry://KEY, got ${JSON.stringify(text)}`,
    );
  const [, kind = "", value] = match;
  return { [`${kind[0]?.toUpperCase()}${kind.slice(1)}`]: value };
}
