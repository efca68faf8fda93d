/**
 * Registry credentials of the docker configuration, as the X-Registry-Auth header wants them. Edge: to
 * ~/.docker/config.json.
 * What it returns is a secret: it goes into a header and nowhere else.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { InvalidArgumentError } from "../base/errors/errors.js";

const DEFAULT_REGISTRY_KEYS = [
  "https://index.docker.io/v1/",
  "index.docker.io",
  "docker.io",
  "registry-1.docker.io",
];

interface DockerConfig {
  readonly auths?: Readonly<
    Record<
      string,
      {
        readonly auth?: string;
        readonly identitytoken?: string;
        readonly username?: string;
        readonly password?: string;
      }
    >
  >;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** Host of the registry an image is fetched from; "docker.io" when none is named. */
export function registryOf(image: string): string {
  const first = image.split("/")[0] ?? "";
  const isHost = image.includes("/") && (first.includes(".") || first.includes(":") || first === "localhost");
  return isHost ? first : "docker.io";
}

/**
 * @returns the header's value; undefined when there are no credentials.
 * @throws {InvalidArgumentError} an unreadable configuration.
 */
export async function registryAuthFor(image: string): Promise<string | undefined> {
  const path = configPath();
  const config = await readConfig(path);
  return config === undefined ? undefined : headerOf(config, registryOf(image), path);
}

/**
 * All credentials of the configuration, as the X-Registry-Config header of a build wants them: its images may
 * begin with any of them. Those that a credential helper keeps are left out.
 * @throws {InvalidArgumentError} an unreadable configuration.
 */
export async function registryConfigHeaders(): Promise<Record<string, string>> {
  const config = await readConfig(configPath());
  const auths = Object.entries(config?.auths ?? {}).flatMap(([key, entry]) =>
    hasCredentials(entry) ? [[key, authOf(entry, key)] as const] : [],
  );
  if (auths.length === 0) return {};
  return {
    "x-registry-config": Buffer.from(JSON.stringify(Object.fromEntries(auths))).toString("base64url"),
  };
}

const configPath = (): string =>
  join(process.env["DOCKER_CONFIG"] || join(homedir(), ".docker"), "config.json");

/** @returns undefined when there is no such file. @throws {InvalidArgumentError} */
async function readConfig(path: string): Promise<DockerConfig | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    // readFile throws such errors alone
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new InvalidArgumentError(`cannot read ${path}`, { cause: error });
  }
  try {
    return JSON.parse(text) as DockerConfig; // read leniently
  } catch {
    // The cause would quote the file: it stays out of the error.
    throw new InvalidArgumentError(`${path} must be JSON`);
  }
}

type AuthEntry = NonNullable<DockerConfig["auths"]>[string];

const hasCredentials = (entry: AuthEntry): boolean =>
  Boolean(entry.auth || entry.identitytoken || entry.username);

function authOf(entry: AuthEntry, key: string): Readonly<Record<string, string | undefined>> {
  const [username, ...password] = Buffer.from(entry.auth ?? "", "base64")
    .toString("utf8")
    .split(":");
  return {
    username: entry.username ?? username,
    password: entry.password ?? password.join(":").replace(/\0+$/, ""),
    identitytoken: entry.identitytoken,
    serveraddress: key,
  };
}

/** @throws {InvalidArgumentError} when a credential helper would have to be asked. */
export function headerOf(config: DockerConfig, registry: string, path: string): string | undefined {
  const keys =
    registry === "docker.io"
      ? DEFAULT_REGISTRY_KEYS
      : [
          registry,
          `https://${registry}`,
          `http://${registry}`,
          `https://${registry}/v1/`,
          `https://${registry}/v2/`,
        ];
  const key = keys.find((each) => config.auths?.[each] !== undefined);
  const entry = key === undefined ? undefined : config.auths?.[key];
  if (key !== undefined && entry !== undefined && hasCredentials(entry))
    return Buffer.from(JSON.stringify(authOf(entry, key))).toString("base64url");
  const helper = config.credHelpers?.[registry] ?? config.credsStore;
  if (helper !== undefined) {
    throw new InvalidArgumentError(
      `the credentials of ${registry} are kept by docker-credential-${helper} (${path}), ` +
        `which is not supported yet: use a configuration with "auths"`,
    );
  }
  return undefined;
}

/** The header for requests that carry an image; empty when not asked for or unknown. */
export async function registryHeaders(wanted: boolean, image: string): Promise<Record<string, string>> {
  const auth = wanted ? await registryAuthFor(image) : undefined;
  return auth === undefined ? {} : { "x-registry-auth": auth };
}
