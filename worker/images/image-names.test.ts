import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { EMPTY_CONFIG } from "./image-config.js";
import { findImage, requireImage, type StoredImage, withNames } from "./image-names.js";
import { planRemoval } from "./image-removal.js";

const D1 = `sha256:${"d1".repeat(32)}`;

function image(hex: string, names: Partial<Pick<StoredImage, "repoTags" | "repoDigests">> = {}): StoredImage {
  const id = `sha256:${hex.padEnd(64, "0")}`;
  const facts = { createdMs: 0, sizeBytes: 0, architecture: "amd64", os: "linux", author: "", comment: "" };
  return {
    id,
    repoTags: [],
    repoDigests: [],
    chainIds: [],
    diffIds: [],
    blobs: [],
    config: EMPTY_CONFIG,
    ...facts,
    ...names,
  };
}

function imagesOf(...all: readonly StoredImage[]): ReadonlyMap<string, StoredImage> {
  return new Map(all.map((one) => [one.id, one]));
}

test("an image is found by name, digest, id and prefix, and a name wins over a prefix", () => {
  const named = image("abcd1", {
    repoTags: ["docker.io/library/app:1"],
    repoDigests: [`docker.io/library/app@${D1}`],
  });
  const trap = image("ffff", { repoTags: ["docker.io/library/abcd1:latest"] });
  const images = imagesOf(named, trap);
  for (const text of [
    "app:1",
    "docker.io/app:1",
    `app@${D1}`,
    `app:other@${D1}`,
    named.id,
    named.id.slice(7),
    "abcd",
    "sha256:abcd1",
  ]) {
    assert.equal(findImage(images, text)?.image.id, named.id, text);
  }
  assert.equal(findImage(images, "abcd1")?.image.id, trap.id);
  assert.equal(findImage(images, "app"), undefined);
  assert.equal(findImage(images, "abc"), undefined);
  assert.throws(() => requireImage(images, "library/none"), new NotFoundError("No such image: none:latest"));
  const twins = imagesOf(image("abcd1"), image("abcd2"));
  assert.equal(findImage(twins, "abcd"), undefined);
  assert.throws(() => requireImage(twins, "abcd"), InvalidArgumentError);
});

test("a tag is taken from the image that had it", () => {
  const old = image("1111", { repoTags: ["docker.io/library/app:1", "docker.io/library/app:old"] });
  const next = image("2222");
  const changed = withNames(imagesOf(old), next, { tags: ["docker.io/library/app:1"] });
  assert.deepEqual(
    changed.map(({ id, repoTags }) => [id, repoTags]),
    [
      [old.id, ["docker.io/library/app:old"]],
      [next.id, ["docker.io/library/app:1"]],
    ],
  );
});

test("removal follows Docker's rules of names", () => {
  const app = "docker.io/library/app";
  const one = image("1111", { repoTags: [`${app}:1`, `${app}:2`], repoDigests: [`${app}@${D1}`] });
  const plan = (text: string, force = false) => {
    const { untag, deletes } = planRemoval(imagesOf(one), text, { force });
    return { untag, deletes };
  };
  assert.deepEqual(plan("app:1"), { untag: [`${app}:1`], deletes: false });
  assert.deepEqual(plan("1111"), { untag: [`${app}:1`, `${app}:2`, `${app}@${D1}`], deletes: true });
  const last = image("1111", { repoTags: [`${app}:1`], repoDigests: [`${app}@${D1}`] });
  assert.deepEqual(planRemoval(imagesOf(last), "app:1").untag, [`${app}:1`, `${app}@${D1}`]);
  assert.equal(planRemoval(imagesOf(last), "app:1").deletes, true);
  assert.deepEqual(planRemoval(imagesOf(last), `app@${D1}`).untag, [`${app}@${D1}`]);
  assert.equal(planRemoval(imagesOf(last), `app@${D1}`).deletes, false);
  const both = image("1111", {
    repoTags: [`${app}:1`, "reg.example/other:1"],
    repoDigests: [`${app}@${D1}`],
  });
  assert.deepEqual(planRemoval(imagesOf(both), "app:1"), {
    image: both,
    untag: [`${app}:1`, `${app}@${D1}`],
    deletes: false,
  });
  assert.throws(() => planRemoval(imagesOf(both), "1111"), AbortedError);
  assert.equal(planRemoval(imagesOf(both), "1111", { force: true }).deletes, true);
});

test("an image in use is kept, unless forced; taking away one of its names is free", () => {
  const one = image("1111", { repoTags: ["docker.io/library/app:1", "docker.io/library/app:2"] });
  const usedBy = (): string => "c".repeat(64);
  assert.equal(planRemoval(imagesOf(one), "app:1", { usedBy }).deletes, false);
  assert.throws(
    () => planRemoval(imagesOf(one), "1111", { usedBy }),
    new AbortedError(
      "conflict: unable to delete 111100000000 (must be forced) - image is being used by container " +
        "cccccccccccc",
    ),
  );
  assert.equal(planRemoval(imagesOf(one), "1111", { usedBy, force: true }).deletes, true);
});
