/**
 * Downloads what ADD or a remote context names. Edge: to the network and the file system.
 * Invariant: the file is new, bounded, and only there when it is whole; credentials in a URL are not repeated
 * in errors. Source: RFC 9110; Dockerfile reference, ADD.
 */
import { createWriteStream } from "node:fs";
import { rm, utimes } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { pipeline } from "node:stream/promises";
import { dialWords } from "../../../base/errors/dial-words.js";
import { CancelledError, InvalidArgumentError, ResourceExhaustedError } from "../../../base/errors/errors.js";

export interface DownloadOptions {
  /** Must not exist. */
  readonly file: string;
  readonly bytesMax: number;
  readonly signal: AbortSignal;
}

const REDIRECTS_MAX = 10;
const SILENCE_MS_MAX = 60_000;

/** @returns what the server told of it. @throws {InvalidArgumentError} {ResourceExhaustedError} {CancelledError} */
export async function downloadFile(
  url: string,
  options: DownloadOptions,
): Promise<{ readonly contentType: string; readonly mtimeSeconds: number }> {
  let response: IncomingMessage;
  try {
    response = await get(new URL(url), options.signal, 0);
  } catch (error) {
    if (options.signal.aborted) throw new CancelledError("the build was cancelled");
    if (error instanceof InvalidArgumentError) throw error;
    throw new InvalidArgumentError(`Get "${shown(url)}": ${dialWords(error)}`, { cause: error });
  }
  let size = 0;
  async function* bounded(): AsyncGenerator<Buffer> {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > options.bytesMax)
        throw new ResourceExhaustedError(`${shown(url)} has more than ${options.bytesMax} bytes`);
      yield chunk;
    }
  }
  try {
    await pipeline(bounded(), createWriteStream(options.file, { flags: "wx", mode: 0o600 }), {
      signal: options.signal,
    });
  } catch (error) {
    await rm(options.file, { force: true });
    if (options.signal.aborted) throw new CancelledError("the build was cancelled");
    if (error instanceof ResourceExhaustedError) throw error;
    throw new InvalidArgumentError(`Get "${shown(url)}": ${dialWords(error)}`, { cause: error });
  }
  const modified = Date.parse(response.headers["last-modified"] ?? "");
  const mtimeSeconds = Number.isFinite(modified) && modified > 0 ? modified / 1_000 : 0;
  await utimes(options.file, mtimeSeconds, mtimeSeconds);
  return { contentType: response.headers["content-type"] ?? "", mtimeSeconds };
}

async function get(url: URL, signal: AbortSignal, redirects: number): Promise<IncomingMessage> {
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new InvalidArgumentError(`unsupported protocol scheme "${url.protocol.replace(":", "")}"`);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const request = send(
      url,
      { signal, timeout: SILENCE_MS_MAX, headers: { "user-agent": "skein" } },
      resolve,
    );
    request.on("error", reject);
    request.once("timeout", () =>
      request.destroy(new InvalidArgumentError("the server was silent for 60 s")),
    );
    request.end();
  });
  const { statusCode = 0, headers } = response;
  if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
    response.resume();
    if (redirects >= REDIRECTS_MAX)
      throw new InvalidArgumentError(`stopped after ${REDIRECTS_MAX} redirects`);
    return await get(new URL(headers.location, url), signal, redirects + 1);
  }
  if (statusCode === 200) return response;
  response.resume();
  const words = response.statusMessage ?? "";
  throw new InvalidArgumentError(
    `error downloading ${shown(url.href)}: failed to GET ${shown(url.href)} with status ${statusCode} ${words}`,
  );
}

/** Without what may be a secret. */
function shown(url: string): string {
  try {
    const parsed = new URL(url);
    parsed.username = "";
    parsed.password = "";
    parsed.search = "";
    return parsed.href;
  } catch {
    return "the URL"; // it is none, so it cannot be cut
  }
}
