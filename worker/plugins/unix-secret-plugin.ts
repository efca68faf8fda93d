/**
 * A secret driver: a plugin that gives a secret's data for a task. Edge: to the plugin.
 * Bounds: 10 s for each of its two answers; data of 500 KiB, as of any secret. Errors never hold data.
 * Source: SwarmKit's secret provider protocol (POST /SecretProvider.GetSecret).
 */
import { InternalError, NotFoundError } from "../../base/errors/errors.js";
import { findPlugin, type PluginClient, type PluginFolders } from "./unix-plugin-client.js";

const ANSWER_TIMEOUT_MS = 10_000;
const SECRET_BYTES_MAX = 500 * 1024;
const METHOD = "SecretProvider.GetSecret";
/** Its own name, and how a managed plugin is listed. */
const CAPABILITIES = ["secretprovider", "docker.secretprovider/1.0"];

export interface SecretAnswer {
  readonly data: Uint8Array;
  /** The data is for the one task that it was asked for. */
  readonly doNotReuse: boolean;
}

/**
 * @param request as the protocol has it: SecretName, ServiceName, …
 * @throws {NotFoundError} no such plugin; {UnavailableError} it does not answer; {InternalError} its refusal.
 */
export async function askSecretPlugin(
  name: string,
  request: object,
  init: { readonly folders?: PluginFolders; readonly timeoutMs?: number } = {},
): Promise<SecretAnswer> {
  const client = await findPlugin(name, { timeoutMs: ANSWER_TIMEOUT_MS, ...init });
  if (client === undefined) throw new NotFoundError(`there is no plugin ${name} on this manager`);
  await checkCapability(client, name);
  return secretAnswer(await client.call(METHOD, request));
}

/** A managed plugin is not activated, and answers with an error. @throws {NotFoundError} it does other things. */
async function checkCapability(client: PluginClient, name: string): Promise<void> {
  let names: unknown;
  try {
    names = (await client.call("Plugin.Activate", {}))["Implements"];
  } catch (error) {
    if (error instanceof InternalError) return;
    throw error;
  }
  if (!Array.isArray(names) || names.some((each) => CAPABILITIES.includes(String(each)))) return;
  throw new NotFoundError(`the plugin ${name} gives no secrets: it is for ${names.map(String).join(", ")}`);
}

/** @throws {InternalError} no data, or too much. */
export function secretAnswer(fields: Readonly<Record<string, unknown>>): SecretAnswer {
  const value = fields["Value"];
  const base64 = /^[A-Za-z0-9+/]*={0,2}$/;
  if (typeof value !== "string" || value === "" || !base64.test(value))
    throw new InternalError(`${METHOD}: the plugin gave no data in base64`);
  const data = Buffer.from(value, "base64");
  if (data.length === 0) throw new InternalError(`${METHOD}: the plugin gave no data in base64`);
  if (data.length > SECRET_BYTES_MAX)
    throw new InternalError(
      `${METHOD}: a secret may have ${SECRET_BYTES_MAX} bytes, the plugin gave ${data.length}`,
    );
  return { data, doNotReuse: fields["DoNotReuse"] === true };
}
