import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { EMPTY_CONFIG } from "./image-config.js";
import { findImage, type Images, requireImage, type StoredImage, withNames } from "./image-names.js";
import { planRemoval } from "./image-removal.js";

const D1 = `sha256:${"d1".repeat(32)}`;

function image(
  hex: string,
  names: Partial<Pick<StoredImage, "repoTags" | "repoDigests" | "parentId">> = {},
): StoredImage {
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
  const plan = (of: StoredImage, text: string, force = false) =>
    planRemoval(imagesOf(of), text, { force }).map(({ untag, deletes }) => ({ untag, deletes }));
  assert.deepEqual(plan(one, "app:1"), [{ untag: [`${app}:1`], deletes: false }]);
  assert.throws(() => plan(one, "1111"), {
    message:
      "conflict: unable to delete 111100000000 (must be forced) - image is referenced in multiple repositories",
  });
  const all = [`${app}:1`, `${app}:2`, `${app}@${D1}`];
  assert.deepEqual(plan(one, "1111", true), [{ untag: all, deletes: true }]);
  const last = image("1111", { repoTags: [`${app}:1`], repoDigests: [`${app}@${D1}`] });
  assert.deepEqual(plan(last, "app:1"), [{ untag: [`${app}:1`, `${app}@${D1}`], deletes: true }]);
  assert.deepEqual(plan(last, "1111"), [{ untag: [`${app}:1`, `${app}@${D1}`], deletes: true }]);
  assert.deepEqual(plan(last, `app@${D1}`), [{ untag: [`${app}@${D1}`], deletes: false }]);
  const both = image("1111", {
    repoTags: [`${app}:1`, "reg.example/other:1"],
    repoDigests: [`${app}@${D1}`],
  });
  assert.deepEqual(plan(both, "app:1"), [{ untag: [`${app}:1`, `${app}@${D1}`], deletes: false }]);
});

test("an image in use is kept, unless forced; a running container cannot be forced away", () => {
  const two = image("1111", { repoTags: ["docker.io/library/app:1", "docker.io/library/app:2"] });
  const one = image("1111", { repoTags: ["docker.io/library/app:1"] });
  const usedBy = (): string => "c".repeat(64);
  const unable = "conflict: unable to delete 111100000000";
  assert.equal(planRemoval(imagesOf(two), "app:1", { usedBy })[0]?.deletes, false);
  assert.throws(() => planRemoval(imagesOf(one), "1111", { usedBy }), {
    name: "AbortedError",
    message: `${unable} (must be forced) - image is being used by stopped container cccccccccccc`,
  });
  assert.throws(() => planRemoval(imagesOf(one), "app:1", { usedBy }), {
    message:
      'conflict: unable to remove repository reference "app:1" (must force) - container cccccccccccc is ' +
      "using its referenced image 111100000000",
  });
  assert.equal(planRemoval(imagesOf(one), "1111", { usedBy, force: true })[0]?.deletes, true);
  assert.throws(() => planRemoval(imagesOf(one), "1111", { usedBy, runningOn: usedBy, force: true }), {
    message: `${unable} (cannot be forced) - image is being used by running container cccccccccccc`,
  });
  const byName = planRemoval(imagesOf(one), "app:1", { usedBy, runningOn: usedBy, force: true });
  assert.deepEqual(byName[0]?.deletes, false);
});

test("nameless parents go with their last child, named ones and those with other children stay", () => {
  const base = image("1111", { repoTags: ["docker.io/library/base:1"] });
  const step = image("2222", { parentId: base.id });
  const leaf = image("3333", { parentId: step.id, repoTags: ["docker.io/library/leaf:1"] });
  const ids = (images: Images, text: string, noPrune = false) =>
    planRemoval(images, text, { noPrune }).flatMap((one) => (one.deletes ? [one.image.id] : []));
  assert.deepEqual(ids(imagesOf(base, step, leaf), "leaf:1"), [leaf.id, step.id]);
  assert.deepEqual(ids(imagesOf(base, step, leaf), "leaf:1", true), [leaf.id]);
  const other = image("4444", { parentId: step.id });
  assert.deepEqual(ids(imagesOf(base, step, leaf, other), "leaf:1"), [leaf.id]);
  assert.throws(() => planRemoval(imagesOf(base, step), "1111"), {
    message: /unable to delete 111100000000 \(cannot be forced\) - image has dependent child images/,
  });
});

test("a digest that comes with a tag stays with the image it named first; asked for alone, it moves", () => {
  const index = `docker.io/library/many@${D1}`;
  const first = image("aa", { repoTags: ["docker.io/library/many:1"], repoDigests: [index] });
  const second = image("bb");
  const [robbed, tagged] = withNames(imagesOf(first), second, {
    tags: ["docker.io/library/many:1"],
    digests: [index],
  });
  assert.deepEqual([robbed?.repoTags, robbed?.repoDigests], [[], [index]]);
  assert.deepEqual([tagged?.repoTags, tagged?.repoDigests], [["docker.io/library/many:1"], []]);
  const [left, moved] = withNames(imagesOf(first), second, { digests: [index] });
  assert.deepEqual([left?.repoDigests, moved?.repoDigests], [[], [index]]);
});
