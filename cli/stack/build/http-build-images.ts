/**
 * `skein stack deploy --build`: images of services made by the daemon, pushed when asked. Edge: to files, the
 * environment and the API.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import type { StackBuild } from "../../compose/convert-build.js";
import { type Context, fetchRow, textOf } from "../../context.js";
import { imageName } from "../../output/image-rows.js";
import { screenOf } from "../../output/process-screen.js";
import { JsonProgress } from "../../progress/json-progress.js";
import { registryAuthFor, registryConfigHeaders } from "../../registry-auth-file.js";
import { packContext } from "./fs-build-context.js";

export interface BuildOptions {
  readonly push: boolean;
  readonly quiet: boolean;
}

/**
 * One after the other, in the file's order.
 * @returns ids of the images by name: what services run has changed when one has.
 * @throws {Error} naming the service whose build failed.
 */
export async function buildImages(
  context: Context,
  builds: readonly StackBuild[],
  options: BuildOptions,
): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for (const [i, build] of builds.entries()) {
    if (!options.quiet)
      context.note(`Building ${build.image} for ${build.service} (${i + 1} of ${builds.length})`);
    try {
      await buildOne(context, build, options.quiet);
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw error;
      throw new Error(`service ${build.service} could not be built: ${(error as Error).message}`, {
        cause: error,
      });
    }
    if (options.push) await pushOne(context, build.image, options.quiet);
    const image = await fetchRow(context, `/images/${encodeURIComponent(build.image)}/json`);
    ids.set(build.image, textOf(image["Id"]));
  }
  return ids;
}

type Query = Readonly<Record<string, string | readonly string[]>>;

async function buildOne(context: Context, build: StackBuild, quiet: boolean): Promise<void> {
  const query: Query = { ...build.query, ...argumentsFor(build.query), rm: "1", version: "1" };
  if (build.remote) {
    await run(context, quiet, { ...query, remote: build.context });
    return;
  }
  const dockerfile = build.query["dockerfile"];
  const { stream, dockerfile: name } = await packContext({
    folder: build.context,
    ...(typeof dockerfile === "string" ? { dockerfile } : {}),
    ...(build.dockerfileInline === undefined ? {} : { dockerfileInline: build.dockerfileInline }),
  });
  await run(context, quiet, { ...query, dockerfile: name }, stream);
}

/** Arguments without a value take it from the environment of who builds, or stay without one. */
function argumentsFor({ buildargs }: Query): Query {
  if (typeof buildargs !== "string") return {};
  const given = JSON.parse(buildargs) as Readonly<Record<string, string | null>>; // written by buildOf
  const filled = Object.entries(given).map(([name, value]) => [name, value ?? process.env[name] ?? null]);
  return { buildargs: JSON.stringify(Object.fromEntries(filled)) };
}

async function run(
  context: Context,
  quiet: boolean,
  query: Query,
  stream?: AsyncIterable<Uint8Array> & { destroy(): unknown },
): Promise<void> {
  const headers = await registryConfigHeaders();
  const options = stream === undefined ? { query, headers } : { query, headers, stream };
  await showProgress(await context.client().stream("POST", "/build", options), quiet);
}

async function pushOne(context: Context, image: string, quiet: boolean): Promise<void> {
  const { repository, tag, digest } = imageName(image);
  if (digest !== undefined)
    throw new InvalidArgumentError(
      `${image} cannot be pushed: an image that is built has a tag, not a digest`,
    );
  const auth = (await registryAuthFor(image)) ?? Buffer.from("{}").toString("base64url");
  const response = await context.client().stream("POST", `/images/${encodeURIComponent(repository)}/push`, {
    query: { tag: tag ?? "latest" },
    headers: { "x-registry-auth": auth },
  });
  await showProgress(response, quiet);
}

/** @throws {Error} a failure told inside the stream. */
async function showProgress(response: AsyncIterable<unknown>, quiet: boolean): Promise<void> {
  const progress = new JsonProgress((text) => (quiet ? undefined : process.stderr.write(text)), {
    terminal: screenOf(process.stderr, process.env).terminal,
    quiet,
  });
  for await (const chunk of response) progress.push((chunk as Buffer).toString("utf8")); // no encoding is set
  progress.push("\n"); // the last line may end without
}
