import assert from "node:assert/strict";
import { test } from "node:test";
import { CancelledError } from "../../base/errors/errors.js";
import { TaskFailureError } from "./failure-cause.js";
import { ImagePuller, type WantedImage } from "./image-puller.js";
import { MemoryImageStore } from "./memory-image-store.js";

function wanted(reference: string, policy = ""): WantedImage {
  return { reference, auth: "", policy };
}

test("an image that is here is not pulled; tasks that want the same share one pull", async () => {
  const images = new MemoryImageStore({ local: ["here:1"], registry: ["there:1"] });
  const puller = new ImagePuller(images, () => 0);
  const { signal } = new AbortController();
  await puller.ensure(wanted("here:1"), signal);
  await Promise.all([puller.ensure(wanted("there:1"), signal), puller.ensure(wanted("there:1"), signal)]);
  assert.deepEqual(
    images.pulls.map((pull) => pull.reference),
    ["there:1"],
  );
});

test("a failed pull carries the registry's words and may be tried again", async () => {
  const images = new MemoryImageStore();
  const puller = new ImagePuller(images, () => 0);
  const { signal } = new AbortController();
  for (let count = 0; count < 2; count++) {
    await assert.rejects(
      puller.ensure(wanted("gone:1"), signal),
      (error) =>
        error instanceof TaskFailureError &&
        error.failureCause === "image-not-found" &&
        /manifest unknown/.test(error.message),
    );
  }
  assert.equal(images.pulls.length, 2);
});

test("one task that gives up leaves the pull to the others", async () => {
  const images = new MemoryImageStore({ registry: ["there:1"] });
  const puller = new ImagePuller(images, () => 0);
  const abort = new AbortController();
  const gone = assert.rejects(puller.ensure(wanted("there:1"), abort.signal), CancelledError);
  const stays = puller.ensure(wanted("there:1"), new AbortController().signal);
  abort.abort();
  await gone;
  await stays;
});

test("who comes when all others have given up has a pull of his own", async () => {
  const images = new MemoryImageStore({ registry: ["there:1"] });
  const puller = new ImagePuller(images, () => 0);
  const abort = new AbortController();
  const pulled = images.pull.bind(images);
  images.pull = async (reference, options: { auth?: unknown; signal?: AbortSignal } = {}) => {
    const record = await pulled(reference, {});
    await new Promise((resolve) => setImmediate(resolve)); // the end of one that is cancelled takes its time
    options.signal?.throwIfAborted();
    return record;
  };
  const gone = assert.rejects(puller.ensure(wanted("there:1", "always"), abort.signal), CancelledError);
  abort.abort();
  await gone;
  await puller.ensure(wanted("there:1", "always"), new AbortController().signal);
  assert.equal(images.pulls.length, 2);
});

test("credentials that are none fail each time they are given, and nothing is kept of them", async () => {
  const images = new MemoryImageStore({ registry: ["there:1"] });
  const puller = new ImagePuller(images, () => 0);
  const { signal } = new AbortController();
  const bad = { reference: "there:1", auth: "c2VjcmV0", policy: "" };
  const errors = new Set<unknown>();
  for (let count = 0; count < 2; count++)
    await puller.ensure(bad, signal).then(
      () => assert.fail("pulled"),
      (error: unknown) => errors.add(error),
    );
  assert.equal(errors.size, 2, "each has its own error");
});

test("always asks the registry, never does not, and with no image says so", async () => {
  const images = new MemoryImageStore({ local: ["here:1"], registry: ["here:1"] });
  const puller = new ImagePuller(images, () => 0);
  const { signal } = new AbortController();
  await puller.ensure(wanted("here:1", "never"), signal);
  await puller.ensure(wanted("here:1", "always"), signal);
  await puller.ensure(wanted("here:1", "always"), signal);
  assert.equal(images.pulls.length, 2);
  await assert.rejects(
    puller.ensure(wanted("gone:1", "never"), signal),
    (error) =>
      error instanceof TaskFailureError &&
      error.failureCause === "image-not-found" &&
      /No such image: gone:1, and its pull policy is never/.test(error.message),
  );
  assert.equal(images.pulls.length, 2);
});

test("a period counts from the last pull, and never for what is named by its digest", async () => {
  const DAY_MS = 86_400_000;
  const digest = `here@sha256:${"a".repeat(64)}`;
  const images = new MemoryImageStore({ local: [digest], registry: ["here:1", digest] });
  let nowMs = 5 * DAY_MS;
  const puller = new ImagePuller(images, () => nowMs);
  const { signal } = new AbortController();
  await puller.ensure(wanted("here:1", "daily"), signal);
  nowMs += DAY_MS - 1;
  await puller.ensure(wanted("here:1", "daily"), signal);
  assert.equal(images.pulls.length, 1);
  nowMs += 1;
  await puller.ensure(wanted("here:1", "weekly"), signal);
  assert.equal(images.pulls.length, 1);
  await puller.ensure(wanted("here:1", "every_23h60m"), signal);
  assert.equal(images.pulls.length, 2);
  await puller.ensure(wanted(digest, "every_1s"), signal);
  assert.equal(images.pulls.length, 2);
});
