/**
 * One build, from the Dockerfile to the named image; yields the lines Docker's classic builder prints.
 * Edge: to the node's images and containers. Invariant: each step leaves an image whose parent is the one of
 * the step before; whatever it holds on the machine is in its workspace, which the caller closes.
 * Source: Docker Engine API, POST /build (builder version 1); Dockerfile reference.
 */
import { CancelledError, InvalidArgumentError, messageOf } from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import type { BuildMessage, BuildRequest } from "../../../proto/engine/build.js";
import { shortIdOf } from "../chain-ids.js";
import { familiarName, formatReference, parseReference } from "../image-reference.js";
import type { CommitOptions, ImageWorkshop } from "../image-store.js";
import { BuildArguments, type Platform, platformArguments } from "./build-arguments.js";
import { BuildCache } from "./build-cache.js";
import {
  applyToConfig,
  type BuildConfig,
  buildConfigOf,
  buildConfigToJson,
  type ConfigInstruction,
  EMPTY_BUILD_CONFIG,
  envValue,
  noteLine,
  withPath,
} from "./build-config.js";
import type { BuildWorkspace } from "./build-workspace.js";
import { type CopyParts, carryOutCopy, makeWorkingDir, planCopy } from "./copy-step.js";
import type { CopyInstruction, Instruction, RunInstruction } from "./dockerfile-instructions.js";
import { readSingleInstruction } from "./dockerfile-instructions.js";
import { parseDockerfile, type Stage, stagesUpTo } from "./dockerfile-stages.js";
import type { BuildContext } from "./fs-build-context.js";
import { ContentHasher } from "./fs-content-hash.js";
import { RootedTree } from "./fs-rooted-tree.js";
import { pullForBuild } from "./image-pulls.js";
import { runCommand } from "./run-command.js";
import type { MountSources, RunMounts } from "./run-mounts.js";
import { type RunParts, runSpecification, runToEnd } from "./run-step.js";
import { type Expansion, expandWord } from "./shell-words.js";

export interface ImageBuildParts extends RunParts {
  readonly images: ImageWorkshop;
  readonly linux: Linux;
  readonly workspace: BuildWorkspace;
  readonly context: BuildContext;
  readonly mounts: RunMounts;
  readonly download: CopyParts["download"];
  readonly platform: Platform;
  readonly signal: AbortSignal;
}

/** Layers of one image are bounded by the store; steps of one build by this. */
const STEPS_MAX = 10_000;

export class ImageBuild {
  readonly #parts: ImageBuildParts;
  readonly #request: BuildRequest;
  readonly #arguments: BuildArguments;
  readonly #cache: BuildCache;
  readonly #copy: CopyParts;
  /** Images of the stages so far, and their names. */
  readonly #stages: { readonly name: string; readonly imageId: string; readonly config: BuildConfig }[] = [];
  /** Roots of images that are copied from. */
  readonly #roots = new Map<string, RootedTree>();
  #escapeWith: Expansion["escapeWith"] = "\\";
  #imageId = "";
  #config = EMPTY_BUILD_CONFIG;
  /** A step was made anew, so those after it are, too. */
  #missed = false;

  constructor(parts: ImageBuildParts, request: BuildRequest) {
    this.#parts = parts;
    this.#request = request;
    const given = request.buildArgs;
    this.#arguments = new BuildArguments(given, platformArguments(parts.platform, parts.platform));
    this.#cache = new BuildCache(parts.images, request.cacheFrom);
    this.#copy = {
      linux: parts.linux,
      hasher: new ContentHasher(),
      scratch: parts.workspace.folder,
      download: parts.download,
      signal: parts.signal,
    };
  }

  /** @throws {InvalidArgumentError} the Dockerfile, before anything is yielded; else what a step throws. */
  async *run(): AsyncGenerator<BuildMessage> {
    const tags = this.#request.tags.map((tag) => formatReference(parseReference(tag)));
    const file = parseDockerfile(this.#parts.context.dockerfile);
    this.#escapeWith = file.escapeWith;
    const stages = stagesUpTo(file.stages, this.#request.target);
    const labels = Object.entries(this.#request.labels).sort(([a], [b]) => (a < b ? -1 : 1));
    const count = stages.reduce(
      (sum, stage) => sum + 1 + stage.steps.length,
      file.globalArgs.length + labels.length,
    );
    if (count > STEPS_MAX) throw new InvalidArgumentError(`a build has at most ${STEPS_MAX} steps`);
    if (file.warnings.length > 0) {
      const words = [
        ...file.warnings,
        "[WARNING]: Empty continuation lines will become errors in a future release.",
      ];
      yield stream(`\u001b[91m${words.join("\n")}\n\u001b[0m`);
    }
    let number = 0;
    const heading = function* (text: string): Generator<BuildMessage> {
      number += 1;
      yield stream(`Step ${number}/${count} : ${text}`);
      yield stream("\n");
    };
    for (const { instruction, text } of file.globalArgs) {
      yield* heading(text);
      if (instruction.kind === "arg") this.#declareGlobal(instruction);
    }
    for (const [index, stage] of stages.entries()) {
      const { name } = stage.from;
      if (name !== "" && this.#stages.some((earlier) => earlier.name === name))
        throw new InvalidArgumentError(`${name} stage name already used`);
      yield* heading(stage.text);
      yield* this.#from(stage);
      yield* this.#arrow();
      for (const step of stage.steps) {
        yield* heading(step.text);
        yield* this.#step(step.instruction);
        yield* this.#arrow();
      }
      if (index === stages.length - 1) {
        for (const [name, value] of labels) {
          yield* heading(`LABEL ${name}=${value}`);
          const pair = { name: this.#literal(name), value: this.#literal(value) };
          yield* this.#note({ kind: "label", pairs: [pair] });
          yield* this.#arrow();
        }
      }
      this.#stages.push({ name: stage.from.name, imageId: this.#imageId, config: this.#config });
    }
    if (stages.length === 0) throw new InvalidArgumentError("unexpected EOF");
    yield* this.#finish(tags);
  }

  async *#finish(tags: readonly string[]): AsyncGenerator<BuildMessage> {
    if (this.#imageId === "")
      throw new InvalidArgumentError("No image was generated. Is your Dockerfile empty?");
    const unused = this.#arguments.unused();
    if (unused.length > 0)
      yield stream(`[Warning] One or more build-args [${unused.join(" ")}] were not consumed\n`);
    yield { kind: "built", imageId: this.#imageId };
    yield stream(`Successfully built ${shortIdOf(this.#imageId)}\n`);
    for (const tag of tags) {
      await this.#parts.images.tag(this.#imageId, tag);
      yield stream(`Successfully tagged ${familiarName(tag)}\n`);
    }
  }

  *#arrow(): Generator<BuildMessage> {
    if (this.#parts.signal.aborted) throw new CancelledError("the build was cancelled");
    yield stream(` ---> ${this.#imageId === "" ? "" : shortIdOf(this.#imageId)}\n`);
  }

  #declareGlobal(instruction: Extract<Instruction, { kind: "arg" }>): void {
    const lookup = (name: string): string | undefined => this.#arguments.globalValue(name);
    for (const { name, value } of instruction.args) {
      const expanded =
        value === undefined ? undefined : expandWord(value, { escapeWith: this.#escapeWith, lookup });
      this.#arguments.declareGlobal(name, expanded);
    }
  }

  async *#from(stage: Stage): AsyncGenerator<BuildMessage> {
    const { from } = stage;
    const expansion = {
      escapeWith: this.#escapeWith,
      lookup: (name: string) => this.#arguments.globalValue(name),
    };
    const name = expandWord(from.image, expansion);
    if (name === "") throw new InvalidArgumentError(`base name (${from.image}) should not be blank`);
    this.#arguments.startStage();
    this.#missed = false;
    const earlier = this.#stages.find((one) => one.name !== "" && one.name === name.toLowerCase());
    if (earlier !== undefined) {
      this.#imageId = earlier.imageId;
      this.#config = { ...earlier.config, hasOwnCmd: false };
    } else if (name === "scratch") {
      this.#imageId = "";
      this.#config = EMPTY_BUILD_CONFIG;
    } else {
      const platform = expandWord(from.platform, expansion);
      const image = yield* pullForBuild(name, platform, this.#request, this.#parts);
      this.#imageId = image.id;
      this.#config = buildConfigOf(image);
    }
    this.#config = withPath(this.#config);
    const triggers = this.#config.onBuild;
    if (triggers.length === 0) return;
    yield stream(`# Executing ${triggers.length} build trigger${triggers.length === 1 ? "" : "s"}\n`);
    this.#config = { ...this.#config, onBuild: [] };
    for (const trigger of triggers) yield* this.#step(readSingleInstruction(trigger).instruction);
  }

  async *#step(instruction: Instruction): AsyncGenerator<BuildMessage> {
    switch (instruction.kind) {
      case "from":
        return; // begins a stage, and is no step of one
      case "arg":
        yield* this.#declare(instruction);
        return;
      case "run":
        yield* this.#run(instruction);
        return;
      case "copy":
        yield* this.#copyFiles(instruction);
        return;
      default:
        yield* this.#note(instruction);
    }
  }

  /** Variables of a stage: the image's own before build arguments. */
  #expansion(): Expansion {
    const { env } = this.#config.image;
    return {
      escapeWith: this.#escapeWith,
      lookup: (name) => envValue(env, name) ?? this.#arguments.stageValue(name),
    };
  }

  /** Such that expanding gives the text itself. */
  #literal(text: string): string {
    return text.replace(/["'\\$`\s]/g, (character) => `${this.#escapeWith}${character}`);
  }

  async *#declare(instruction: Extract<Instruction, { kind: "arg" }>): AsyncGenerator<BuildMessage> {
    const shown = instruction.args.map(({ name, value }) => {
      const expanded = value === undefined ? undefined : expandWord(value, this.#expansion());
      this.#arguments.declare(name, expanded);
      return expanded === undefined ? name : `${name}=${expanded}`;
    });
    yield* this.#commitNote(noteLine(this.#config, ` ARG ${shown.join(" ")}`), this.#config);
  }

  async *#note(instruction: ConfigInstruction): AsyncGenerator<BuildMessage> {
    const before = this.#config.image.healthcheck?.test ?? [];
    if (instruction.kind === "healthcheck" && before.length > 0 && before[0] !== "NONE")
      yield stream(`Note: overriding previous HEALTHCHECK: [${before.join(" ")}]\n`);
    const { config, createdBy } = applyToConfig(this.#config, instruction, this.#expansion());
    const folder = instruction.kind === "workdir" ? config.image.workingDir : undefined;
    yield* this.#commitNote(createdBy, config, folder);
  }

  /** A step without a command; with a folder that must exist, for WORKDIR. */
  async *#commitNote(createdBy: string, config: BuildConfig, folder?: string): AsyncGenerator<BuildMessage> {
    if (await this.#useCache(createdBy, config)) {
      yield stream(" ---> Using cache\n");
      return;
    }
    const { workspace } = this.#parts;
    const rootId = workspace.newRootId();
    if (folder !== undefined) await makeWorkingDir(await workspace.mountRoot(this.#imageId, rootId), folder);
    yield stream(` ---> Running in ${shortIdOf(rootId)}\n`);
    await this.#commit(createdBy, config, folder === undefined ? undefined : rootId);
    await workspace.releaseRoot(rootId);
    if (this.#request.remove) yield stream(`Removing intermediate container ${shortIdOf(rootId)}\n`);
  }

  async *#copyFiles(instruction: CopyInstruction): AsyncGenerator<BuildMessage> {
    const { workspace } = this.#parts;
    const from = yield* this.#copyRoot(instruction.from);
    const { workingDir } = this.#config.image;
    const plan = await planCopy(instruction, from, this.#expansion(), workingDir, this.#copy);
    const createdBy = noteLine(this.#config, plan.note);
    if (await this.#useCache(createdBy, this.#config)) {
      yield stream(" ---> Using cache\n");
      return;
    }
    const rootId = workspace.newRootId();
    await carryOutCopy(plan, await workspace.mountRoot(this.#imageId, rootId), this.#copy);
    await this.#commit(createdBy, this.#config, rootId);
    await workspace.releaseRoot(rootId);
  }

  /** The context, a stage by name or number, or an image. */
  async *#copyRoot(
    from: string,
  ): AsyncGenerator<BuildMessage, { readonly tree: RootedTree; readonly isContext: boolean }> {
    if (from === "") return { tree: this.#parts.context.tree, isContext: true };
    const imageId = yield* this.#imageNamed(from);
    return { tree: await this.#rootOf(imageId), isContext: false };
  }

  async *#imageNamed(from: string): AsyncGenerator<BuildMessage, string> {
    const named = this.#stages.find(({ name }) => name !== "" && name === from.toLowerCase());
    if (named !== undefined) return named.imageId;
    if (/^\d+$/.test(from)) {
      const numbered = this.#stages[Number(from)];
      if (numbered !== undefined) return numbered.imageId;
      throw new InvalidArgumentError(`invalid from flag value ${from}: index out of bounds`);
    }
    try {
      return (yield* pullForBuild(from, "", this.#request, this.#parts)).id;
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      throw new InvalidArgumentError(`invalid from flag value ${from}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async #rootOf(imageId: string): Promise<RootedTree> {
    const known = this.#roots.get(imageId);
    if (known !== undefined) return known;
    const { workspace } = this.#parts;
    const tree = new RootedTree(await workspace.mountRoot(imageId, workspace.newRootId()));
    this.#roots.set(imageId, tree);
    return tree;
  }

  async *#run(instruction: RunInstruction): AsyncGenerator<BuildMessage> {
    const { containers, workspace, signal, mounts } = this.#parts;
    const command = runCommand(instruction, this.#config);
    const visible = this.#arguments.visible(this.#config.image.env);
    const declared = visible.filter(({ name }) => this.#arguments.isDeclared(name));
    const prefix = visible.length === 0 ? "" : `|${[declared.length, ...declared.map(pairText)].join(" ")} `;
    const sources = yield* this.#mountSources(instruction);
    const note = await mounts.note(instruction, sources, this.#copy.hasher);
    const createdBy = `${prefix}${command.shown}${note}`;
    if (await this.#useCache(createdBy, this.#config)) {
      yield stream(" ---> Using cache\n");
      return;
    }
    using held = await mounts.open(instruction, sources);
    const imageId = this.#imageId === "" ? await this.#emptyImage() : this.#imageId;
    const plan = {
      buildId: workspace.id,
      imageId,
      words: command.words,
      env: visible.map(pairText),
      network: instruction.network,
      mounts: held.mounts,
      files: command.files,
    };
    const { id } = await containers.create(runSpecification(plan, this.#request, containers));
    workspace.doom(id);
    yield stream(` ---> Running in ${shortIdOf(id)}\n`);
    try {
      for await (const text of runToEnd(id, command.words, this.#parts, signal)) yield stream(text);
    } catch (error) {
      if (this.#request.forceRemove) {
        await workspace.removeContainer(id);
        yield stream(`Removing intermediate container ${shortIdOf(id)}\n`);
      } else if (!signal.aborted) workspace.spare(id); // to look into, as Docker leaves it
      throw error;
    }
    await this.#commit(createdBy, this.#config, id);
    if (!this.#request.remove) {
      workspace.spare(id);
      return;
    }
    await workspace.removeContainer(id);
    yield stream(`Removing intermediate container ${shortIdOf(id)}\n`);
  }

  async *#mountSources(instruction: RunInstruction): AsyncGenerator<BuildMessage, MountSources> {
    const roots = new Map<string, RootedTree>();
    const imageIds = new Map<string, string>();
    for (const { from } of instruction.mounts) {
      if (from === "" || roots.has(from)) continue;
      const imageId = yield* this.#imageNamed(from);
      imageIds.set(from, imageId);
      roots.set(from, await this.#rootOf(imageId));
    }
    return {
      context: this.#parts.context.tree,
      roots,
      imageIds,
      expansion: this.#expansion(),
      workingDir: this.#config.image.workingDir,
      signal: this.#parts.signal,
    };
  }

  /** What a command runs on that stands first after FROM scratch. */
  async #emptyImage(): Promise<string> {
    const { id } = await this.#parts.images.commit(this.#commitOptions("", EMPTY_BUILD_CONFIG, undefined));
    this.#imageId = id;
    return id;
  }

  async #useCache(createdBy: string, config: BuildConfig): Promise<boolean> {
    if (this.#request.noCache || this.#missed) return false;
    const found = await this.#cache.find(this.#imageId, createdBy, config);
    if (found === undefined) {
      this.#missed = true;
      return false;
    }
    this.#imageId = found;
    this.#config = config;
    return true;
  }

  async #commit(createdBy: string, config: BuildConfig, rootfsId: string | undefined): Promise<void> {
    const { signal, images } = this.#parts;
    if (signal.aborted) throw new CancelledError("the build was cancelled");
    const image = await images.commit(this.#commitOptions(createdBy, config, rootfsId));
    this.#imageId = image.id;
    this.#config = config;
  }

  #commitOptions(createdBy: string, config: BuildConfig, rootfsId: string | undefined): CommitOptions {
    return {
      parentImageId: this.#imageId === "" ? undefined : this.#imageId,
      rootfsId,
      config: buildConfigToJson(config),
      createdBy,
      comment: "",
      author: config.author,
      platform: this.#parts.platform,
      names: [],
      signal: this.#parts.signal,
    };
  }
}

function stream(text: string): BuildMessage {
  return { kind: "stream", text };
}

function pairText({ name, value }: { readonly name: string; readonly value: string }): string {
  return `${name}=${value}`;
}
