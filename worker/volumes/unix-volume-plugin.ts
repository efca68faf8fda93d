/**
 * A volume plugin behind a unix socket. Edge: to the plugin.
 * Bound: 30 s for an answer, as mounting a remote disk may take long.
 * Source: Docker's volume plugin protocol.
 */
import { InternalError, NotFoundError } from "../../base/errors/errors.js";
import { findPlugin, type PluginClient, type PluginFolders } from "../plugins/unix-plugin-client.js";
import { answeredPath, answeredScope, answeredVolume, implementsVolumes } from "./plugin-answers.js";
import type { VolumeDriver, VolumeOptions } from "./volume-driver.js";

const ANSWER_TIMEOUT_MS = 30_000;

/** @throws {NotFoundError} no such plugin, or one without volumes; {UnavailableError} it does not answer. */
export async function openVolumePlugin(
  name: string,
  init: { readonly folders?: PluginFolders; readonly timeoutMs?: number } = {},
): Promise<VolumeDriver> {
  const client = await findPlugin(name, { timeoutMs: ANSWER_TIMEOUT_MS, ...init });
  if (client === undefined)
    throw new NotFoundError(`error looking up volume plugin ${name}: plugin "${name}" not found`);
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
