import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { NotFoundError, UnauthenticatedError } from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { silentLogger } from "../../base/log/logger.js";
import { buildImage, buildTar, chunksOf, dockerArchive, ociLayout } from "../../test/support/image-tar.js";
import { type RegistryFrontOptions, startFront } from "../../test/support/registry-front.js";
import { pushImage, startRegistry, type TestRegistry } from "../../test/support/registry-process.js";
import type { ImageProgress, ImageWorkshop } from "./image-store.js";
import { openImageStore } from "./linux-image-store.js";

let linux: Linux;
let registry: TestRegistry;
before(async () => {
  linux = await openKoffiLinux();
  registry = await startRegistry();
});
const folders: string[] = [];
after(async () => {
  await registry?.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function open(t: TestContext): Promise<ImageWorkshop> {
  const folder = mkdtempSync(join(tmpdir(), "skein-push-"));
  folders.push(folder);
  const dir = join(folder, "images");
  const store = await openImageStore({ dir, linux, clock: systemClock, log: silentLogger });
  t.after(async () => {
    for (const container of ["c1", "c2"]) await store.removeRootfs(container);
    await store.close();
  });
  return store;
}

const LAYERS = [
  [
    { name: "etc/", type: "directory" as const },
    { name: "etc/motd", content: "hi" },
  ],
  [{ name: "big", content: Buffer.alloc(3_000_000, "x") }],
];

async function push(
  store: ImageWorkshop,
  name: string,
  options: Partial<Parameters<ImageWorkshop["push"]>[1]> = {},
): Promise<readonly ImageProgress[]> {
  const lines: ImageProgress[] = [];
  await store.push(name, { allTags: false, onProgress: (line) => lines.push(line), ...options });
  return lines;
}

async function manifestOf(path: string, what: string): Promise<{ digest: string; type: string }> {
  const accept = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
  ].join(", ");
  const answer = await fetch(`http://${registry.host}/v2/${path}/manifests/${what}`, { headers: { accept } });
  await answer.arrayBuffer();
  return {
    digest: answer.headers.get("docker-content-digest") ?? "",
    type: answer.headers.get("content-type") ?? "",
  };
}

test("what was pulled is pushed with the digests it came with, and layers are mounted", async (t) => {
  const store = await open(t);
  const image = await buildImage({ layers: LAYERS });
  const digest = await pushImage(image, { host: registry.host, path: "team/from", tag: "1" });
  await store.pull(`${registry.host}/team/from:1`);
  await store.tag(`${registry.host}/team/from:1`, `${registry.host}/team/to:2`);
  const lines = await push(store, `${registry.host}/team/to:2`);
  assert.equal(lines[0]?.status, `The push refers to repository [${registry.host}/team/to]`);
  assert.equal(lines.filter(({ status }) => status === "Preparing").length, 2);
  assert.equal(lines.filter(({ status }) => status === "Mounted from team/from").length, 2);
  const last = lines.at(-1);
  assert.equal(last?.status, `2: digest: ${digest} size: ${image.manifest.bytes.length}`);
  assert.deepEqual(last?.aux, { tag: "2", digest, sizeBytes: image.manifest.bytes.length });
  assert.equal((await manifestOf("team/to", "2")).digest, digest);
  assert.ok(store.find(`${registry.host}/team/to@${digest}`));

  const again = await push(store, `${registry.host}/team/to:2`);
  assert.equal(again.filter(({ status }) => status === "Layer already exists").length, 2);
});

test("a pulled image goes to another registry without a byte changed", async (t) => {
  await using other = await startRegistry();
  const store = await open(t);
  const image = await buildImage({ layers: LAYERS });
  const digest = await pushImage(image, { host: registry.host, path: "copy", tag: "1" });
  await store.pull(`${registry.host}/copy:1`);
  await store.tag(`${registry.host}/copy:1`, `${other.host}/copy:1`);
  const lines = await push(store, `${other.host}/copy:1`);
  assert.equal(lines.filter(({ status }) => status === "Pushed").length, 2);
  const fresh = await open(t);
  const record = await fresh.pull(`${other.host}/copy@${digest}`);
  assert.equal(record.id, image.config.digest);
});

test("what was made here is compressed once; all tags go; the next store runs it", async (t) => {
  const store = await open(t);
  const tar = await buildTar([{ name: "etc/motd", content: "imported" }]);
  const base = await store.importRootfs(chunksOf(tar), { reference: `${registry.host}/made:base` });
  const root = await store.mountRootfs(base.id, "c1");
  writeFileSync(join(root, "new"), "committed");
  await store.commit({
    parentImageId: base.id,
    rootfsId: "c1",
    config: {},
    createdBy: "test",
    comment: "",
    author: "",
    names: [`${registry.host}/made:child`],
  });
  const lines = await push(store, `${registry.host}/made`, { allTags: true });
  const digests = lines.flatMap(({ aux }) => (aux === undefined ? [] : [`${aux.tag} ${aux.digest}`]));
  assert.deepEqual(
    digests.map((line) => line.split(" ")[0]),
    ["base", "child"],
  );
  const again = await push(store, `${registry.host}/made`, { allTags: true });
  assert.deepEqual(
    again.flatMap(({ aux }) => (aux === undefined ? [] : [`${aux.tag} ${aux.digest}`])),
    digests,
  );
  assert.match((await manifestOf("made", "child")).type, /docker.distribution.manifest.v2/);
  const fresh = await open(t);
  const pulled = await fresh.pull(`${registry.host}/made:child`);
  const seen = await fresh.mountRootfs(pulled.id, "c1");
  assert.equal(readFileSync(join(seen, "new"), "utf8"), "committed");
  assert.equal(readFileSync(join(seen, "etc/motd"), "utf8"), "imported");
});

test("names that are not here are refused in Docker's words", async (t) => {
  const store = await open(t);
  await assert.rejects(push(store, "nothing:1"), {
    message: "An image does not exist locally with the tag: nothing",
  });
  await store.importRootfs(chunksOf(await buildTar([])), { reference: "some:1" });
  await assert.rejects(push(store, "some:2"), { message: "tag does not exist: some:2" });
  await assert.rejects(push(store, `some@sha256:${"0".repeat(64)}`), {
    message: "cannot push a digest reference",
  });
});

test("a registry with passwords takes the right one and refuses others", async (t) => {
  const basic = { username: "carol", password: "correct horse" };
  await using guarded = await startRegistry({ basic });
  const store = await open(t);
  await store.importRootfs(chunksOf(await buildTar([{ name: "a", content: "1" }])), {
    reference: `${guarded.host}/private:1`,
  });
  await assert.rejects(push(store, `${guarded.host}/private:1`), {
    name: "UnauthenticatedError",
    message: "no basic auth credentials",
  });
  const wrong = { username: "carol", password: "wrong" };
  await assert.rejects(push(store, `${guarded.host}/private:1`, { auth: wrong }), UnauthenticatedError);
  await push(store, `${guarded.host}/private:1`, { auth: basic });
  assert.equal(await store.authenticate({ ...basic, serverAddress: guarded.host }), "");
  await assert.rejects(store.authenticate({ ...wrong, serverAddress: `http://${guarded.host}/v2/` }), {
    name: "InternalError",
    message: new RegExp(`login attempt to .*${guarded.host}/v2/ failed with status: 401`),
  });
});

test("a broken upload goes on where the registry says it stands", async (t) => {
  const store = await open(t);
  const cut: RegistryFrontOptions = {
    behind: registry.host,
    intercept: (request, response, before) => {
      if (request.method !== "PATCH" || before > 0) return false;
      request.destroy();
      response.destroy();
      return true;
    },
  };
  const front = await startFront(cut);
  t.after(() => front.close());
  await store.importRootfs(chunksOf(await buildTar(LAYERS.flat())), { reference: `${front.host}/broken:1` });
  const lines = await push(store, `${front.host}/broken:1`);
  assert.ok(lines.some(({ status }) => status === "Pushed"));
  assert.ok(front.seen.filter((line) => line.startsWith("PATCH")).length >= 2);
  const fresh = await open(t);
  await fresh.pull(`${registry.host}/broken:1`);
});

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("a saved set is loaded again: names, ids, manifests, and layers made here", async (t) => {
  const store = await open(t);
  const image = await buildImage({ layers: LAYERS });
  const digest = await pushImage(image, { host: registry.host, path: "saved", tag: "1" });
  await store.pull(`${registry.host}/saved:1`);
  await store.load(
    chunksOf(await dockerArchive(await buildImage({ layers: [LAYERS[0] ?? []] }), ["x:1", "x:2"])),
  );
  const root = await store.mountRootfs(image.config.digest, "c1");
  writeFileSync(join(root, "new"), "committed");
  const child = await store.commit({
    parentImageId: image.config.digest,
    rootfsId: "c1",
    config: {},
    createdBy: "test",
    comment: "",
    author: "",
    names: [],
  });
  const saved = await bytesOf(await store.save([`${registry.host}/saved:1`, "x", child.id], {}));
  assert.ok(saved.equals(await bytesOf(await store.save([`${registry.host}/saved:1`, "x", child.id], {}))));
  const fresh = await open(t);
  const words: string[] = [];
  await fresh.load(chunksOf(saved), {
    onProgress: ({ status }) => status.startsWith("Loaded") && words.push(status),
  });
  assert.deepEqual(words.sort(), [
    `Loaded image ID: ${child.id}`,
    `Loaded image: ${registry.host}/saved:1`,
    "Loaded image: x:1",
    "Loaded image: x:2",
  ]);
  const seen = await fresh.mountRootfs(child.id, "c1");
  assert.equal(readFileSync(join(seen, "new"), "utf8"), "committed");
  await fresh.tag(`${registry.host}/saved:1`, `${registry.host}/saved-again:1`);
  const lines = await push(fresh, `${registry.host}/saved-again:1`);
  assert.equal(lines.at(-1)?.aux?.digest, digest, "the manifest survived saving and loading");
  await assert.rejects(store.save(["no/such"], {}), NotFoundError);
  await fresh.load(chunksOf(await ociLayout(image, "other:1")));
});
