/**
 * Docker's rules of rmi: when a name goes, when the image goes with it, and when neither may.
 * Pure. Invariant: an image goes only when no name, no image made of it, and no container needs it; force
 * gives up names and stopped containers, never children and running ones.
 * Source: Docker Engine API, DELETE /images/{name}; observed behaviour and texts of the stock daemon.
 */
import { AbortedError } from "../../base/errors/errors.js";
import { shortIdOf } from "./chain-ids.js";
import { type Images, requireImage, type StoredImage } from "./image-names.js";
import { formatReference, type ImageReference, parseReference, repositoryOf } from "./image-reference.js";

export interface RemovalStep {
  readonly image: StoredImage;
  /** Fully qualified names that go: name:tag and name@digest. */
  readonly untag: readonly string[];
  /** Whether the image itself goes. */
  readonly deletes: boolean;
}

export interface RemovalOptions {
  readonly force?: boolean;
  /** Nameless images it was made of stay. */
  readonly noPrune?: boolean;
  /** A container that uses the image, if any. */
  readonly usedBy?: (imageId: string) => string | undefined;
  /** One that is running. */
  readonly runningOn?: (imageId: string) => string | undefined;
}

interface Conflict {
  readonly isHard: boolean;
  readonly words: string;
  readonly isUse: boolean;
}

/**
 * @returns what goes, in this order. @throws {NotFoundError} no such image; {AbortedError} a conflict, in
 * Docker's words.
 */
export function planRemoval(
  images: Images,
  text: string,
  options: RemovalOptions = {},
): readonly RemovalStep[] {
  const { image, by } = requireImage(images, text);
  const removal = new Removal(images, options);
  if (by.kind === "id") removal.byId(image);
  else removal.byName(image, by.reference, text);
  return removal.steps;
}

class Removal {
  readonly steps: RemovalStep[] = [];
  readonly #images: Images;
  readonly #options: RemovalOptions;
  readonly #gone = new Set<string>();

  constructor(images: Images, options: RemovalOptions) {
    this.#images = images;
    this.#options = options;
  }

  /** @param text the name as it was written. */
  byName(image: StoredImage, reference: ImageReference, text: string): void {
    const names = namesOf(image);
    const isLast = isSingleReference(image);
    const user = isLast && this.#options.force !== true ? this.#userOf(image.id) : undefined;
    if (user !== undefined) {
      throw new AbortedError(
        `conflict: unable to remove repository reference ${JSON.stringify(text)} (must force) - ` +
          `container ${user.slice(0, 12)} is using its referenced image ${shortIdOf(image.id)}`,
      );
    }
    const repository = repositoryOf(reference);
    const name =
      reference.digest === undefined ? formatReference(reference) : `${repository}@${reference.digest}`;
    const left = names.filter((other) => other !== name);
    // Digests alone do not hold an image in a repository whose last tag went.
    const sameRepository = left.filter((other) => repositoryOfName(other) === repository);
    const isLonely = sameRepository.every((other) => image.repoDigests.includes(other));
    const lonely = reference.digest === undefined && isLonely ? sameRepository : [];
    const untag = [name, ...lonely];
    const stay = left.filter((other) => !lonely.includes(other));
    if (stay.length > 0) this.steps.push({ image, untag, deletes: false });
    else this.#delete(image, { untag, names: [], force: this.#options.force === true, quiet: true });
  }

  byId(image: StoredImage): void {
    const force = this.#options.force === true;
    const names = namesOf(image);
    const isSingle = isSingleReference(image);
    if (isSingle) {
      const conflict = this.#conflictOf(image, { names: [], force });
      if (conflict !== undefined) throw errorOf(image, conflict);
    }
    this.#delete(image, { untag: names, names: isSingle ? [] : names, force, quiet: false });
  }

  /** @param how names: those that still hold it; quiet: whether a conflict only leaves the image. */
  #delete(
    image: StoredImage,
    how: { untag: readonly string[]; names: readonly string[]; force: boolean; quiet: boolean },
  ): void {
    const conflict = this.#conflictOf(image, how);
    if (conflict !== undefined) {
      const isDangling = how.names.length === 0 && !this.#hasChildren(image.id);
      if (!how.quiet || (isDangling && !conflict.isUse)) throw errorOf(image, conflict);
      if (how.untag.length > 0) this.steps.push({ image, untag: how.untag, deletes: false });
      return;
    }
    this.steps.push({ image, untag: how.untag, deletes: true });
    this.#gone.add(image.id);
    const parent = image.parentId === undefined ? undefined : this.#images.get(image.parentId);
    if (parent === undefined || this.#options.noPrune === true) return;
    this.#delete(parent, { untag: [], names: namesOf(parent), force: false, quiet: true });
  }

  #conflictOf(
    image: StoredImage,
    { names, force }: { names: readonly string[]; force: boolean },
  ): Conflict | undefined {
    if (this.#hasChildren(image.id))
      return { isHard: true, words: "image has dependent child images", isUse: false };
    const running = this.#options.runningOn?.(image.id)?.slice(0, 12);
    if (running !== undefined) {
      const words = `image is being used by running container ${running}`;
      return { isHard: true, words, isUse: true };
    }
    if (force) return undefined;
    if (names.length > 0)
      return { isHard: false, words: "image is referenced in multiple repositories", isUse: false };
    const user = this.#options.usedBy?.(image.id)?.slice(0, 12);
    if (user === undefined) return undefined;
    return { isHard: false, words: `image is being used by stopped container ${user}`, isUse: true };
  }

  #userOf(imageId: string): string | undefined {
    return this.#options.runningOn?.(imageId) ?? this.#options.usedBy?.(imageId);
  }

  #hasChildren(imageId: string): boolean {
    for (const image of this.#images.values())
      if (image.parentId === imageId && !this.#gone.has(image.id)) return true;
    return false;
  }
}

function errorOf(image: StoredImage, { isHard, words }: Conflict): AbortedError {
  const remedy = isHard ? "cannot be forced" : "must be forced";
  return new AbortedError(`conflict: unable to delete ${shortIdOf(image.id)} (${remedy}) - ${words}`);
}

/** At most one tag, and digests only of its repository. */
function isSingleReference(image: StoredImage): boolean {
  const names = namesOf(image);
  if (names.length <= 1) return true;
  if (image.repoTags.length > 1) return false;
  return new Set(names.map(repositoryOfName)).size === 1;
}

function namesOf(image: StoredImage): readonly string[] {
  return [...image.repoTags, ...image.repoDigests];
}

function repositoryOfName(name: string): string {
  return repositoryOf(parseReference(name));
}
