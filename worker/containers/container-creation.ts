/**
 * Makes a container: its name, its volumes, its placed files, its record.
 * Edge: to the file system; decisions are in the pure files beside it.
 * Invariant: a creation that fails, or that is cut short, leaves nothing behind: what it made is taken back,
 * or swept at the next start. An acknowledged one is kept over the daemon's death (not synced: a power cut
 * may lose the last moments).
 */
import { mkdir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { NotFoundError, NotImplementedError } from "../../base/errors/errors.js";
import { newHexId } from "../../base/random/ids.js";
import type { ImageRecord } from "../images/image-store.js";
import { admitResources } from "../runtime/resource-admission.js";
import { ANONYMOUS_LABEL } from "../volumes/fs-volume-store.js";
import { admitContainer, type KeptSpecification, newRecord, wantedVolumes } from "./container-admission.js";
import { ContainerEntry } from "./container-entry.js";
import type { ContainerRecord, ContainerSpecification } from "./container-manager.js";
import { mergedSpecification, withVolumesFrom } from "./container-merge.js";
import { admittedName, generatedName } from "./container-names.js";
import type { ContainerParts } from "./container-parts.js";
import { admitRestartPolicy, NO_RESTART } from "./container-restarts.js";
import { logOptionWarnings } from "./logdrivers/log-options.js";
import type { StoredContainer } from "./stored-container.js";

export class ContainerCreation {
  readonly #parts: ContainerParts;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
  }

  async create(request: ContainerSpecification): Promise<ContainerRecord> {
    const { init, registry, state, maker, events, runtime, logDir } = this.#parts;
    const image = init.images.find(request.image);
    if (image === undefined) throw new NotFoundError(`No such image: ${withTag(request.image)}`);
    runtime.expectCreate(); // most are started at once
    const id = newHexId(init.random);
    const { files, ...asked } = request;
    const { specification, warnings } = this.#admitted(id, asked, image);
    // before the first wait: two creates of one name cannot both go on
    registry.takeName(specification.name, id);
    const volumes = this.#plannedVolumes(specification, image);
    const createdMs = init.clock.nowMs();
    const plain = newRecord({ id, specification, imageId: image.id, createdMs });
    const record = warnings.length === 0 ? plain : { ...plain, warnings };
    try {
      if (volumes.some(({ anonymous }) => anonymous)) {
        await state.save({ record, files: [], volumes, creating: true });
      }
      await this.#makeVolumes(volumes, specification, image);
      const making = [
        maker.files.place(id, files),
        mkdir(logDir(id), { recursive: true, mode: 0o710 }),
      ] as const;
      await Promise.allSettled(making); // both are over before anything is taken back
      const [placed] = await Promise.all(making);
      const stored: StoredContainer = { record, files: placed, volumes };
      await state.save(stored);
      init.images.holdRootfs?.(image.id, id); // what it stands on stays, also when the image is removed
      registry.add(new ContainerEntry(stored));
      events.emit("create", record);
      return record;
    } catch (error) {
      registry.freeName(specification.name, id);
      await maker.files.remove(id);
      await init.images.removeRootfs(id);
      await rm(logDir(id), { recursive: true, force: true });
      await removeAnonymousVolumes(this.#parts, volumes);
      await state.delete(id);
      throw error;
    }
  }

  /** Everything that can be refused without making anything is refused here. */
  #admitted(
    id: string,
    asked: KeptSpecification,
    image: ImageRecord,
  ): { specification: KeptSpecification; warnings: readonly string[] } {
    const { init, registry, maker, networks } = this.#parts;
    const name =
      asked.name === ""
        ? generatedName(init.random, (candidate) => registry.isTaken(candidate))
        : admittedName(asked.name);
    admitRestartPolicy(asked.restartPolicy ?? NO_RESTART, asked.autoRemove ?? false);
    const complete = withVolumesFrom({ ...asked, name }, (other) => {
      const { record, volumes } = registry.get(other).stored;
      return { mounts: record.specification.mounts, volumes };
    });
    const { resources, warnings: ofResources } = admitResources(asked.resources, maker.kernel);
    const warnings = [...ofResources, ...logOptionWarnings(asked.log.options ?? {})];
    const merged = mergedSpecification(id, complete, image.config, { hostname: hostname() });
    const specification = { ...merged, resources };
    admitContainer(id, specification, image, maker);
    const { ipcMode = "", pidMode = "" } = specification.isolation ?? {};
    for (const mode of [ipcMode, pidMode])
      if (mode.startsWith("container:")) registry.get(mode.slice("container:".length));
    const { network, networking } = specification;
    if (network.kind === "container") {
      const other = registry.find(network.id)?.id ?? network.id; // it may come later: asked for at each start
      return { specification: { ...specification, network: { kind: "container", id: other } }, warnings };
    }
    if (network.kind === "networks") {
      if (networks === undefined) throw new NotImplementedError("this node has no local networks");
      if (networking !== undefined) networks.admit(networking);
    }
    return { specification, warnings };
  }

  /** Anonymous ones are named here: what a creation cut short made can be found again. */
  #plannedVolumes(specification: KeptSpecification, image: ImageRecord): StoredContainer["volumes"] {
    const { init, volumes } = this.#parts;
    const takesOver = (specification.volumesFrom ?? []).length > 0;
    return wantedVolumes(specification, image).map(({ name, target, readOnly, noCopy, subpath }) => {
      // One of another container that nobody named goes with the last that has it.
      const handedOn = takesOver && volumes.find(name)?.anonymous === true;
      const anonymous = name === "" || handedOn;
      return {
        target,
        name: name === "" ? newHexId(init.random) : name,
        anonymous,
        readOnly,
        noCopy,
        subpath,
      };
    });
  }

  async #makeVolumes(
    planned: StoredContainer["volumes"],
    specification: KeptSpecification,
    image: ImageRecord,
  ): Promise<void> {
    for (const [at, { driver, driverOptions, labels }] of wantedVolumes(specification, image).entries()) {
      const volume = planned[at];
      if (volume === undefined) continue;
      await this.#parts.volumes.ensure({
        name: volume.name,
        driver,
        options: driverOptions,
        labels: volume.anonymous ? { ...labels, [ANONYMOUS_LABEL]: "" } : labels,
      });
    }
  }
}

/** As Docker names what it looked for. */
function withTag(reference: string): string {
  return /@|:[^/]*$/.test(reference) ? reference : `${reference}:latest`;
}

/** Those that were made for one container, and that no other one was given since. */
export async function removeAnonymousVolumes(
  parts: Pick<ContainerParts, "volumes" | "registry">,
  volumes: StoredContainer["volumes"],
  owner = "",
): Promise<void> {
  for (const { name, anonymous } of volumes) {
    if (!anonymous || parts.volumes.find(name) === undefined) continue;
    const shared = parts.registry
      .entries()
      .some((entry) => entry.id !== owner && entry.stored.volumes.some((volume) => volume.name === name));
    if (!shared) await parts.volumes.remove(name);
  }
}
