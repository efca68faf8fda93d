/**
 * Docker's rules of rmi: when a name goes, when the image goes with it, and when neither may.
 * Pure. Source: Docker Engine API, DELETE /images/{name}; observed behaviour and texts of the stock daemon.
 */
import { AbortedError } from "../../base/errors/errors.js";
import { shortIdOf } from "./chain-ids.js";
import { type Found, type Images, requireImage, type StoredImage } from "./image-names.js";
import { familiarReference, formatReference, parseReference, repositoryOf } from "./image-reference.js";

export interface RemovalPlan {
  readonly image: StoredImage;
  /** Fully qualified names that go: name:tag and name@digest. */
  readonly untag: readonly string[];
  /** Whether the image itself goes. */
  readonly deletes: boolean;
}

export interface RemovalOptions {
  readonly force?: boolean;
  /** A container that uses the image, if any. */
  readonly usedBy?: (imageId: string) => string | undefined;
}

/**
 * @throws {NotFoundError} no such image; {AbortedError} in use, or named in several repositories, unless
 * forced.
 */
export function planRemoval(images: Images, text: string, options: RemovalOptions = {}): RemovalPlan {
  const found = requireImage(images, text);
  const plan = found.by.kind === "id" ? planById(found, options) : planByName(found);
  const user = plan.deletes && options.force !== true ? options.usedBy?.(plan.image.id) : undefined;
  if (user === undefined) return plan;
  const image = shortIdOf(plan.image.id);
  const container = user.slice(0, 12);
  if (found.by.kind === "id") {
    throw new AbortedError(
      `conflict: unable to delete ${image} (must be forced) - image is being used by container ${container}`,
    );
  }
  const name = JSON.stringify(familiarReference(found.by.reference));
  throw new AbortedError(
    `conflict: unable to remove repository reference ${name} (must force) - ` +
      `container ${container} is using its referenced image ${image}`,
  );
}

function planById({ image }: Found, options: RemovalOptions): RemovalPlan {
  const names = namesOf(image);
  const repositories = new Set(names.map(repositoryOfName));
  if (repositories.size > 1 && options.force !== true) {
    throw new AbortedError(
      `conflict: unable to delete ${shortIdOf(image.id)} (must be forced) - image is referenced in ` +
        "multiple repositories",
    );
  }
  return { image, untag: names, deletes: true };
}

function planByName({ image, by }: Found): RemovalPlan {
  if (by.kind === "id") return { image, untag: [], deletes: true };
  const { reference } = by;
  const repository = repositoryOf(reference);
  const name =
    reference.digest === undefined ? formatReference(reference) : `${repository}@${reference.digest}`;
  const left = namesOf(image).filter((other) => other !== name);
  // Digests alone do not hold an image in a repository whose last tag went.
  const sameRepository = left.filter((other) => repositoryOfName(other) === repository);
  const lonelyDigests = sameRepository.every((other) => image.repoDigests.includes(other))
    ? sameRepository
    : [];
  const stay = left.filter((other) => !lonelyDigests.includes(other));
  return { image, untag: [name, ...lonelyDigests], deletes: stay.length === 0 };
}

function namesOf(image: StoredImage): readonly string[] {
  return [...image.repoTags, ...image.repoDigests];
}

function repositoryOfName(name: string): string {
  return repositoryOf(parseReference(name));
}
