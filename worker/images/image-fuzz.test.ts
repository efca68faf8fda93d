import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../base/clock/system-clock.js";
import { SkeinError } from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import { silentLogger } from "../../base/log/logger.js";
import { holds } from "../../test/fuzz/holds.js";
import { buildImage, buildTar, chunksOf, dockerArchive, ociLayout } from "../../test/support/image-tar.js";
import { parseImageConfig } from "./image-config.js";
import { historyOf } from "./image-history.js";
import { parseManifest } from "./image-manifest.js";
import { familiarReference, formatReference, parseReference } from "./image-reference.js";
import { type LayerEntry, paddingOf, TAR_END, tarHeaderOf } from "./layer-tar.js";
import { openImageStore } from "./linux-image-store.js";
import { parseChallenges, registryWordsOf } from "./registry-challenge.js";
import { registryDomainOf } from "./registry-login.js";
import { proxyFor } from "./registry-proxy.js";

/** Runs of each property; an hour's worth is had by FUZZ_RUNS. */
const RUNS = Number(process.env["FUZZ_RUNS"] ?? 300);

/** Foreign input is understood or refused, never anything else. */
function refusesOrReads(read: () => void): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof SkeinError, String(error));
  }
}

const digest = fc.oneof(
  fc.string(),
  fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`),
);
const descriptor = fc.oneof(
  fc.jsonValue(),
  fc.record({ mediaType: fc.string(), digest, size: fc.oneof(fc.integer(), fc.double(), fc.string()) }),
);

test("fuzz: manifests and configs are read or refused", () => {
  const manifest = fc.oneof(
    fc.jsonValue(),
    fc.record(
      {
        schemaVersion: fc.oneof(fc.constant(2), fc.constant(1), fc.jsonValue()),
        mediaType: fc.oneof(fc.string(), fc.constant("application/vnd.oci.image.manifest.v1+json")),
        config: descriptor,
        layers: fc.oneof(fc.array(descriptor), fc.jsonValue()),
        manifests: fc.oneof(fc.array(descriptor), fc.jsonValue()),
      },
      { requiredKeys: [] },
    ),
  );
  const property = fc.property(manifest, fc.string(), (value, type) => {
    const bytes = Buffer.from(JSON.stringify(value));
    refusesOrReads(() => parseManifest(bytes, "fuzz", type));
  });
  holds(property, { numRuns: RUNS });
  const config = fc.record(
    {
      created: fc.oneof(fc.string(), fc.jsonValue()),
      os: fc.oneof(fc.constant("linux"), fc.jsonValue()),
      config: fc.jsonValue(),
      history: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
      rootfs: fc.oneof(fc.record({ diff_ids: fc.array(digest) }), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  const ofConfigs = fc.property(config, fc.array(fc.nat()), (value, sizes) => {
    refusesOrReads(() => parseImageConfig(Buffer.from(JSON.stringify(value)), "fuzz"));
    refusesOrReads(() => historyOf(value, sizes));
  });
  holds(ofConfigs, { numRuns: RUNS });
  const bytes = fc.property(fc.uint8Array({ maxLength: 400 }), (raw) => {
    refusesOrReads(() => parseManifest(raw, "fuzz"));
    refusesOrReads(() => parseImageConfig(raw, "fuzz"));
  });
  holds(bytes, { numRuns: RUNS });
});

test("fuzz: a reference that is read is written and read again as itself", () => {
  const part = fc.stringMatching(/^[a-zA-Z0-9._:@/-]{0,30}$/);
  const property = fc.property(fc.oneof(part, fc.string()), (text) => {
    refusesOrReads(() => {
      const reference = parseReference(text);
      assert.deepEqual(parseReference(formatReference(reference)), reference);
      assert.deepEqual(parseReference(familiarReference(reference)), reference);
    });
  });
  holds(property, { numRuns: 10 * RUNS });
});

test("fuzz: what registries and settings say is read or refused, in linear time", () => {
  const words = fc.oneof(fc.string(), fc.stringMatching(/^(Bearer |Basic |realm=|"|,|\\|[a-z]){0,40}$/));
  const property = fc.property(words, fc.nat(600), (text, status) => {
    parseChallenges(text);
    registryWordsOf(text, status);
    refusesOrReads(() => registryDomainOf(text));
    refusesOrReads(() => proxyFor({ host: text, port: 443 }, { https: "p:3128", none: text }));
    refusesOrReads(() => proxyFor({ host: "h", port: 443 }, { https: text, none: "" }));
  });
  holds(property, { numRuns: 3 * RUNS });
  parseChallenges(`Bearer ${'a="'.repeat(20_000)}`);
});

test("fuzz: a tar header made here is whole blocks that the tar parser reads back", async () => {
  const { extract } = await import("tar-stream");
  const name = fc
    .array(fc.stringMatching(/^[^/\0]{1,60}$/), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join("/"))
    .filter(
      (text) => !/[\ud800-\udfff]/.test(text) && !/(^|\/)\.{1,2}(\/|$)/.test(text) && !text.endsWith(" "),
    );
  const entry: fc.Arbitrary<LayerEntry> = fc.record({
    name,
    kind: fc.constant("file" as const),
    mode: fc.nat(0o7777),
    uid: fc.nat(2 ** 31),
    gid: fc.nat(2 ** 31),
    mtimeSeconds: fc.nat(2 ** 31),
    sizeBytes: fc.constant(0),
    target: fc.constant(""),
    major: fc.constant(0),
    minor: fc.constant(0),
    xattrs: fc.array(fc.record({ name: fc.constant("user.a"), value: fc.uint8Array({ maxLength: 90 }) }), {
      maxLength: 1,
    }),
  });
  const property = fc.asyncProperty(entry, async (made) => {
    const header = tarHeaderOf(made);
    assert.equal(header.length % 512, 0);
    assert.equal(paddingOf(header.length), 0);
    const parser = extract();
    parser.end(Buffer.concat([header, TAR_END]));
    const names: string[] = [];
    for await (const read of parser) {
      names.push(read.header.name);
      assert.equal(read.header.mode, made.mode);
      read.resume();
    }
    assert.deepEqual(names, [made.name]);
  });
  await holds(property, { numRuns: RUNS });
});

test("fuzz: archives with flipped bytes are loaded or refused, and leave nothing unfinished", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-fuzz-"));
  const linux = await openKoffiLinux();
  const dir = join(folder, "images");
  const store = await openImageStore({ dir, linux, clock: systemClock, log: silentLogger });
  try {
    const image = await buildImage({
      layers: [
        [
          { name: "a/b", content: "1" },
          { name: "c", content: "22" },
        ],
      ],
    });
    const archives = [await dockerArchive(image, ["a:1"]), await ociLayout(image, "b:1"), await buildTar([])];
    const flip = fc.record({ at: fc.nat(20_000), to: fc.nat(255) });
    const property = fc.asyncProperty(
      fc.constantFrom(...archives),
      fc.array(flip, { minLength: 1, maxLength: 4 }),
      async (archive, flips) => {
        const bytes = Buffer.from(archive);
        for (const { at, to } of flips) bytes[at % bytes.length] = to;
        try {
          await store.load(chunksOf(bytes, 700));
        } catch (error) {
          assert.ok(error instanceof SkeinError, String(error));
        }
        assert.deepEqual(readdirSync(join(dir, "tmp")), []);
      },
    );
    await holds(property, { numRuns: Math.ceil(RUNS / 6) });
    assert.deepEqual(readdirSync(folder), ["images"]);
  } finally {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
