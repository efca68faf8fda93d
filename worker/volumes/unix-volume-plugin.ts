/**
 * A volume plugin behind a unix socket: found by its name, spoken to in HTTP. Edge: to sockets and /etc,
 * /run.
 * Bounds: 30 s for an answer (mounting a remote disk may take long), 1 MiB of it.
 * Source: Docker's plugin discovery and volume plugin protocol (POST, JSON, one method per path).
 */
import { readFile, stat } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { InternalError, messageOf, NotFoundError, UnavailableError } from "../../base/errors/errors.js";
import { isErrno } from "../runtime/linux-process.js";
import {
  answeredPath,
  answeredScope,
  answeredVolume,
  implementsVolumes,
  pluginAnswer,
} from "./plugin-answers.js";
import type { VolumeDriver, VolumeOptions } from "./volume-driver.js";

const CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json";
const ANSWER_TIMEOUT_MS = 30_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
const SPEC_BYTES_MAX = 64 * 1024;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

export interface PluginFolders {
  /** Sockets: <name>.sock, or <name>/<name>.sock. */
  readonly sockets: readonly string[];
  /** Addresses: <name>.spec or <name>.json. */
  readonly specs: readonly string[];
}

export const PLUGIN_FOLDERS: PluginFolders = {
  sockets: ["/run/skein/plugins", "/run/docker/plugins"],
  specs: ["/etc/docker/plugins", "/usr/lib/docker/plugins"],
};

/** @throws {NotFoundError} no such plugin, or one without volumes; {UnavailableError} it does not answer. */
export async function openVolumePlugin(
  name: string,
  init: { readonly folders?: PluginFolders; readonly timeoutMs?: number } = {},
): Promise<VolumeDriver> {
  const socket = await findSocket(name, init.folders ?? PLUGIN_FOLDERS);
  if (socket === undefined)
    throw new NotFoundError(`error looking up volume plugin ${name}: plugin "${name}" not found`);
  const client = new PluginClient(socket, init.timeoutMs ?? ANSWER_TIMEOUT_MS);
  if (!implementsVolumes(await client.call("Plugin.Activate", {})))
    throw new NotFoundError(
      `error looking up volume plugin ${name}: plugin "${name}" does not implement VolumeDriver`,
    );
  return new PluginDriver(client, await scopeOf(client));
}

/** A plugin without that method is of one node. */
async function scopeOf(client: PluginClient): Promise<"local" | "global"> {
  try {
    return answeredScope(await client.call("VolumeDriver.Capabilities", {}));
  } catch (error) {
    if (error instanceof InternalError) return "local";
    throw error;
  }
}

class PluginDriver implements VolumeDriver {
  readonly scope: "local" | "global";
  readonly #client: PluginClient;
  readonly #mountpoints = new Map<string, string>();

  constructor(client: PluginClient, scope: "local" | "global") {
    this.#client = client;
    this.scope = scope;
  }

  async create(name: string, options: VolumeOptions): Promise<void> {
    await this.#client.call("VolumeDriver.Create", { Name: name, Opts: options });
    const method = "VolumeDriver.Get";
    try {
      const known = answeredVolume(await this.#client.call(method, { Name: name }), method);
      this.#mountpoints.set(name, known?.mountpoint ?? "");
    } catch (error) {
      if (!(error instanceof InternalError)) throw error; // older plugins do not have it
    }
  }

  async remove(name: string): Promise<void> {
    await this.#client.call("VolumeDriver.Remove", { Name: name });
    this.#mountpoints.delete(name);
  }

  async mount(name: string, options: { readonly containerId: string }): Promise<string> {
    const method = "VolumeDriver.Mount";
    const answer = await this.#client.call(method, { Name: name, ID: options.containerId });
    const path = answeredPath(answer, method);
    if (path === "") throw new InternalError(`${method}: the plugin told no mountpoint for ${name}`);
    this.#mountpoints.set(name, path);
    return path;
  }

  async unmount(
    name: string,
    options: { readonly containerId: string; readonly last: boolean },
  ): Promise<void> {
    await this.#client.call("VolumeDriver.Unmount", { Name: name, ID: options.containerId });
    if (options.last) this.#mountpoints.set(name, "");
  }

  mountpoint(name: string): string {
    return this.#mountpoints.get(name) ?? "";
  }
}

class PluginClient {
  readonly #socket: string;
  readonly #timeoutMs: number;

  constructor(socket: string, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
  }

  async call(method: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    const { status, text } = await this.#post(method, JSON.stringify(body));
    if (status === 200) return pluginAnswer(text, method);
    pluginAnswer(text.trimStart().startsWith("{") ? text : "{}", method); // its own words, if it has some
    throw new InternalError(`${method}: the plugin answered ${status}: ${text.slice(0, 200)}`);
  }

  #post(method: string, body: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const fail = (words: string, cause?: unknown): void =>
        reject(new UnavailableError(`${method}: ${words}`, { cause }));
      const call = request(
        {
          socketPath: this.#socket,
          path: `/${method}`,
          method: "POST",
          agent: false,
          headers: { host: "plugin", "content-type": CONTENT_TYPE, accept: CONTENT_TYPE },
          // whole answer included: a plugin that drips bytes holds nobody up for ever
          signal: AbortSignal.timeout(this.#timeoutMs),
        },
        (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          response.on("data", (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes > ANSWER_BYTES_MAX) {
              call.destroy();
              fail(`the plugin's answer is larger than ${ANSWER_BYTES_MAX} bytes`);
            } else chunks.push(chunk);
          });
          response.on("error", (error) => fail(messageOf(error), error));
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
          );
        },
      );
      call.on("error", (error) =>
        fail(
          error.name === "AbortError" || error.name === "TimeoutError"
            ? `the plugin did not answer in ${this.#timeoutMs} ms`
            : messageOf(error),
          error,
        ),
      );
      call.end(body);
    });
  }
}

async function findSocket(name: string, folders: PluginFolders): Promise<string | undefined> {
  if (!NAME.test(name)) return undefined;
  for (const folder of folders.sockets) {
    for (const path of [join(folder, `${name}.sock`), join(folder, name, `${name}.sock`)])
      if (await isSocket(path)) return path;
  }
  for (const folder of folders.specs) {
    const address =
      (await specAddress(join(folder, `${name}.spec`), (text) => text.trim())) ??
      (await specAddress(join(folder, `${name}.json`), jsonAddress));
    // Plugins of other hosts by TCP are not spoken to.
    if (address?.startsWith("unix://") === true) return address.slice("unix://".length);
  }
  return undefined;
}

function jsonAddress(text: string): string {
  const value: unknown = JSON.parse(text);
  return typeof value === "object" && value !== null && "Addr" in value ? String(value.Addr) : "";
}

async function specAddress(path: string, read: (text: string) => string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > SPEC_BYTES_MAX) return undefined;
    return read(await readFile(path, "utf8"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
