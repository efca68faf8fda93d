/**
 * A plugin behind a unix socket: found by its name, spoken to in HTTP. Edge: to sockets and /etc, /run.
 * Bounds: an answer within the time that is given, 1 MiB of it. Plugins of other hosts by TCP are not
 * spoken to.
 * Source: Docker's plugin discovery and protocol (POST, JSON, one method per path).
 */
import { readFile, stat } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { InternalError, messageOf, UnavailableError } from "../../base/errors/errors.js";
import { isErrno } from "../runtime/linux-process.js";
import { pluginAnswer } from "./plugin-answer.js";

const CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json";
const ANSWER_BYTES_MAX = 1024 * 1024;
/** Characters of an answer in plain text that an error repeats. */
const WORDS_MAX = 200;
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

/** @returns undefined when there is none of that name. */
export async function findPlugin(
  name: string,
  options: { readonly folders?: PluginFolders; readonly timeoutMs: number },
): Promise<PluginClient | undefined> {
  const socket = await findSocket(name, options.folders ?? PLUGIN_FOLDERS);
  return socket === undefined ? undefined : new PluginClient(socket, options.timeoutMs);
}

export class PluginClient {
  readonly #socket: string;
  readonly #timeoutMs: number;

  constructor(socket: string, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws {UnavailableError} it does not answer; {InternalError} with its own words, when it fails. */
  async call(method: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    const { status, text } = await this.#post(method, JSON.stringify(body));
    if (status === 200) return pluginAnswer(text, method);
    const isJson = /^\s*[[{"]/.test(text); // it may hold data, which stands in no error
    if (isJson) pluginAnswer(text, method); // its own words, if it has some
    const words = isJson ? "" : `: ${text.trim().slice(0, WORDS_MAX)}`;
    throw new InternalError(`${method}: the plugin answered ${status}${words}`);
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
