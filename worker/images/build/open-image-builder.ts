/**
 * The image builder of a node. Edge: composition; what a build needs is loaded when the first one comes.
 * Invariant: builds are bounded; closing cancels them and waits for their clean-up.
 */
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../base/clock/clock.js";
import {
  InvalidArgumentError,
  NotImplementedError,
  ResourceExhaustedError,
  UnavailableError,
} from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import type { Logger } from "../../../base/log/logger.js";
import type { Random } from "../../../base/random/random.js";
import type { BuildMessage, BuildRequest, ImageBuilder } from "../../../proto/engine/build.js";
import type { ContainerManager } from "../../../proto/engine/containers.js";
import type { ContainerStreams } from "../../../proto/engine/streams.js";
import { platformOf } from "../image-manifest.js";
import type { ImageWorkshop } from "../image-store.js";
import { BuildWorkspace, sweepBuilds } from "./build-workspace.js";
import type { BuildContext, ContextLimits } from "./fs-build-context.js";
import { RunMounts } from "./run-mounts.js";

export interface ImageBuilderInit {
  /** Contexts under work, caches of RUN --mount. */
  readonly dir: string;
  readonly images: ImageWorkshop;
  readonly containers: ContainerManager;
  readonly streams: Pick<ContainerStreams, "attach">;
  readonly linux: Linux;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** @default 16 GiB, 1 million entries */
  readonly contextLimits?: ContextLimits;
}

/** Builds at a time; more are refused. */
const BUILDS_MAX = 16;

export async function openImageBuilder(init: ImageBuilderInit): Promise<ImageBuilder> {
  await mkdir(init.dir, { recursive: true, mode: 0o700 });
  await sweepBuilds(init);
  const mounts = await RunMounts.open({ dir: join(init.dir, "caches"), clock: init.clock });
  return new NodeImageBuilder(init, mounts);
}

class NodeImageBuilder implements ImageBuilder {
  readonly #init: ImageBuilderInit;
  readonly #mounts: RunMounts;
  readonly #running = new Map<AbortController, Promise<void>>();
  #closed = false;

  constructor(init: ImageBuilderInit, mounts: RunMounts) {
    this.#init = init;
    this.#mounts = mounts;
  }

  async *build(request: BuildRequest): AsyncGenerator<BuildMessage> {
    if (this.#closed) throw new UnavailableError("the image builder is closed");
    if (request.squash)
      throw new NotImplementedError("squash is not supported by Skein: use stages and COPY --from");
    if (this.#running.size >= BUILDS_MAX)
      throw new ResourceExhaustedError(`at most ${BUILDS_MAX} builds run at a time`);
    const abort = new AbortController();
    const onAbort = (): void => abort.abort();
    if (request.signal?.aborted === true) abort.abort();
    request.signal?.addEventListener("abort", onAbort, { once: true });
    let ended: () => void = () => undefined;
    this.#running.set(abort, new Promise<void>((resolve) => (ended = resolve)));
    try {
      yield* this.#build(request, abort.signal);
    } finally {
      request.signal?.removeEventListener("abort", onAbort);
      this.#running.delete(abort);
      ended();
    }
  }

  async *#build(request: BuildRequest, signal: AbortSignal): AsyncGenerator<BuildMessage> {
    const { ImageBuild } = await import("./image-build.js");
    const workspace = await BuildWorkspace.open(this.#init);
    try {
      const context = await this.#stage(request, workspace, signal);
      const { images, containers, streams, linux } = this.#init;
      const build = new ImageBuild(
        {
          images,
          containers,
          streams,
          linux,
          workspace,
          context,
          mounts: this.#mounts,
          download: async (url, file) => {
            const { downloadFile } = await import("./http-remote-file.js");
            return await downloadFile(url, { file, bytesMax: await downloadBytesMax(this.#init), signal });
          },
          platform: platformOf(process.arch),
          signal,
        },
        request,
      );
      yield* request.quiet ? quietly(build.run()) : build.run();
    } finally {
      await workspace.close();
      await this.#mounts.measure();
    }
  }

  async #stage(request: BuildRequest, workspace: BuildWorkspace, signal: AbortSignal): Promise<BuildContext> {
    const contexts = await import("./fs-build-context.js");
    const folder = contexts.contextFolder(workspace.folder);
    const limits = this.#init.contextLimits ?? contexts.CONTEXT_LIMITS;
    const options = { folder, dockerfile: request.dockerfile, limits, signal };
    if (request.remote === "") return await contexts.stageContext(request.context, options);
    const { cloneGit, isGitUrl } = await import("./process-git-context.js");
    if (isGitUrl(request.remote)) {
      const cloned = await cloneGit(request.remote, join(workspace.folder, "git"), signal);
      await rename(cloned, `${folder}-git`);
      return await contexts.openContext({ ...options, folder: `${folder}-git` });
    }
    if (!/^https?:\/\//.test(request.remote))
      throw new InvalidArgumentError(
        `remote context ${request.remote} is neither a URL of http or https, nor of git`,
      );
    const { downloadFile } = await import("./http-remote-file.js");
    const { createReadStream } = await import("node:fs");
    const file = join(workspace.folder, "remote");
    await downloadFile(request.remote, { file, bytesMax: limits.bytesMax, signal });
    // Opened when it is read: a stream that nobody reads yet has nobody to hear of its errors.
    return (await contexts.looksLikeArchive(file))
      ? await contexts.stageContext(createReadStream(file), options)
      : await contexts.stageDockerfile(createReadStream(file), options);
  }

  cacheUsage(): ReturnType<ImageBuilder["cacheUsage"]> {
    return this.#mounts.usage();
  }

  async pruneCache(
    options: Parameters<ImageBuilder["pruneCache"]>[0],
  ): Promise<{ readonly deleted: readonly string[]; readonly reclaimedBytes: number }> {
    const free = this.#mounts
      .usage()
      .filter((record) => !record.inUse)
      .filter(({ id }) => options.ids.length === 0 || options.ids.includes(id))
      .filter(({ lastUsedMs }) => options.untilMs === undefined || lastUsedMs < options.untilMs)
      .sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    let kept = this.#mounts.usage().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const deleted: string[] = [];
    let reclaimedBytes = 0;
    for (const { id, sizeBytes } of free) {
      if (options.keepBytes > 0 && kept <= options.keepBytes) break;
      if (!(await this.#mounts.remove(id))) continue; // a build took it meanwhile
      deleted.push(id);
      reclaimedBytes += sizeBytes;
      kept -= sizeBytes;
    }
    return { deleted, reclaimedBytes };
  }

  async applyChanges(
    config: Readonly<Record<string, unknown>>,
    changes: readonly string[],
  ): Promise<Readonly<Record<string, unknown>>> {
    const { applyBuildChanges } = await import("../dockerfile-changes.js");
    const { buildConfigIn, buildConfigToJson } = await import("./build-config.js");
    return buildConfigToJson(applyBuildChanges(buildConfigIn(config), changes));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const running = [...this.#running];
    for (const [abort] of running) abort.abort();
    await Promise.all(running.map(([, ended]) => ended));
  }
}

async function downloadBytesMax(init: ImageBuilderInit): Promise<number> {
  const { CONTEXT_LIMITS } = await import("./fs-build-context.js");
  return (init.contextLimits ?? CONTEXT_LIMITS).bytesMax;
}

/** Only the image's id; everything, when the build fails. */
async function* quietly(messages: AsyncIterable<BuildMessage>): AsyncGenerator<BuildMessage> {
  const kept: BuildMessage[] = [];
  let size = 0;
  try {
    for await (const message of messages) {
      if (message.kind === "built") yield { kind: "stream", text: `${message.imageId}\n` };
      if (message.kind !== "stream") continue;
      kept.push(message);
      size += message.text.length;
      while (size > QUIET_KEPT_MAX) {
        const dropped = kept.shift();
        size -= dropped?.kind === "stream" ? dropped.text.length : 0;
      }
    }
  } catch (error) {
    yield* kept;
    throw error;
  }
}

/** Characters of a quiet build's output that are kept for the case that it fails. */
const QUIET_KEPT_MAX = 4 << 20;
