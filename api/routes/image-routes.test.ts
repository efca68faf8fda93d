/** Images over HTTP: a prune while others use and remove images. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError, NotFoundError } from "../../base/errors/errors.js";
import type { ImageRecord, ImageWorkshop } from "../../proto/engine/images.js";
import type { Exchange } from "../http-exchange.js";
import { imageRoutes } from "./image-routes.js";

test("a prune leaves what was taken or removed meanwhile, and goes on", async () => {
  const ids = ["a", "b", "c"].map((letter) => `sha256:${letter.repeat(64)}`);
  const records = new Map(
    ids.map((id) => [id, { id, repoTags: [], repoDigests: [], createdMs: 0, config: { labels: {} } }]),
  );
  const images = {
    list: () => [...records.values()],
    find: (id: string) => records.get(id),
    childrenOf: () => [],
    layersBytes: () => 0,
    remove: async (id: string) => {
      if (id === ids[0]) throw new AbortedError("conflict: unable to delete: a container has it since");
      if (id === ids[1]) throw new NotFoundError("No such image: somebody else was quicker");
      return [{ deleted: id }];
    },
  } as unknown as ImageWorkshop & { list(): readonly ImageRecord[] }; // the part that is used
  const routes = imageRoutes({
    images,
    containers: { list: () => [] },
    onPruned: () => undefined,
    nowMs: () => 1,
  });
  const prune = routes.find(({ path }) => path === "/images/prune");
  const reply = await prune?.handle({ query: new URLSearchParams() } as Exchange);
  assert.deepEqual(reply, {
    status: 200,
    json: { ImagesDeleted: [{ Deleted: ids[2] }], SpaceReclaimed: 0 },
  });
});
