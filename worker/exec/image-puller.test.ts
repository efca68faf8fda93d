import assert from "node:assert/strict";
import { test } from "node:test";
import { CancelledError } from "../../base/errors/errors.js";
import { TaskFailureError } from "./failure-cause.js";
import { ImagePuller } from "./image-puller.js";
import { MemoryImageStore } from "./memory-image-store.js";

test("an image that is here is not pulled; tasks that want the same share one pull", async () => {
  const images = new MemoryImageStore({ local: ["here:1"], registry: ["there:1"] });
  const puller = new ImagePuller(images);
  const { signal } = new AbortController();
  await puller.ensure("here:1", "", signal);
  await Promise.all([puller.ensure("there:1", "", signal), puller.ensure("there:1", "", signal)]);
  assert.deepEqual(
    images.pulls.map((pull) => pull.reference),
    ["there:1"],
  );
});

test("a failed pull carries the registry's words and may be tried again", async () => {
  const images = new MemoryImageStore();
  const puller = new ImagePuller(images);
  const { signal } = new AbortController();
  for (let count = 0; count < 2; count++) {
    await assert.rejects(
      puller.ensure("gone:1", "", signal),
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
  const puller = new ImagePuller(images);
  const abort = new AbortController();
  const gone = assert.rejects(puller.ensure("there:1", "", abort.signal), CancelledError);
  const stays = puller.ensure("there:1", "", new AbortController().signal);
  abort.abort();
  await gone;
  await stays;
});
