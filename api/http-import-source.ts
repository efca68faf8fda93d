/**
 * The tar of `import URL`. Edge: HTTP. Bounds: redirects, and silence; its size is bounded by whoever reads.
 * Source: Docker Engine API, POST /images/create with fromSrc.
 */
import { get as getPlain, type IncomingMessage } from "node:http";
import { get as getSecure } from "node:https";
import { dialWords } from "../base/errors/dial-words.js";
import { InvalidArgumentError, UnavailableError } from "../base/errors/errors.js";
import type { ImageProgress } from "../proto/engine/images.js";

const REDIRECTS_MAX = 5;
const SILENCE_MAX_MS = 60_000;

/** @throws {InvalidArgumentError} no URL of http or https; {UnavailableError} not served. */
export async function fetchTar(
  source: string,
  options: { signal: AbortSignal; onProgress: (progress: ImageProgress) => void },
): Promise<AsyncIterable<Uint8Array>> {
  // Without a scheme it is plain http, as Docker has it.
  let url = parse(/^[a-z]+:\/\//i.test(source) ? source : `http://${source}`);
  const first = shownSource(url.href);
  for (let followed = 0; followed <= REDIRECTS_MAX; followed += 1) {
    const answer = await open(url, options.signal);
    const { location } = answer.headers;
    const status = answer.statusCode ?? 0;
    if (status >= 300 && status < 400 && location !== undefined && URL.canParse(location, url.href)) {
      answer.destroy();
      url = parse(new URL(location, url).href);
      continue;
    }
    if (status === 200) options.onProgress({ status: `Downloading from ${first}` });
    if (status === 200) return answer as AsyncIterable<Uint8Array>;
    answer.destroy();
    throw new UnavailableError(`Got HTTP status code >= 400: ${status} ${answer.statusMessage ?? ""}`.trim());
  }
  throw new UnavailableError(`${url.host} redirects more than ${REDIRECTS_MAX} times`);
}

function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw new InvalidArgumentError(`${JSON.stringify(shownSource(text))} is no URL of http or https`);
  return url;
}

/** The source of an import without a password in it, as Go shows it. */
export function shownSource(source: string): string {
  return source.replace(/^((?:[a-z]+:\/\/)?[^/@:]*):[^/@]*@/i, "$1:xxxxx@");
}

function open(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const get = url.protocol === "https:" ? getSecure : getPlain;
    const request = get(
      url,
      { signal, timeout: SILENCE_MAX_MS, headers: { "user-agent": "skein" } },
      resolve,
    );
    request.once("timeout", () => request.destroy(new Error(`${url.host} is silent`)));
    request.on("error", (error) =>
      reject(
        new UnavailableError(`Get ${JSON.stringify(shownSource(url.href))}: ${dialWords(error)}`, {
          cause: error,
        }),
      ),
    );
  });
}
