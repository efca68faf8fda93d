/** What is decided before a container exists. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImageRecord } from "../images/image-store.js";
import { type KeptSpecification, wantedVolumes } from "./container-admission.js";

test("a volume of the image is known by its place, however the image or the request writes it", () => {
  const targets = (mounted: readonly string[], volumes: readonly string[]): string[] => {
    const mounts = mounted.map((target) => ({ kind: "tmpfs", target }));
    const specification = { mounts } as unknown as KeptSpecification; // the rest is not looked at
    return wantedVolumes(specification, { config: { volumes } } as unknown as ImageRecord).map(
      ({ target }) => target,
    );
  };
  assert.deepEqual(targets([], ["/data/", "/data", "logs"]), ["/data", "/logs"]);
  assert.deepEqual(targets(["/data"], ["/data/"]), []);
  assert.deepEqual(targets(["/data/"], ["/data"]), []);
});
