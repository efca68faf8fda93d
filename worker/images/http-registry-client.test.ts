import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import {
  CancelledError,
  DataLossError,
  NotFoundError,
  PermissionDeniedError,
  UnauthenticatedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { silentLogger } from "../../base/log/logger.js";
import { buildImage } from "../../test/support/image-tar.js";
import { type RegistryFrontOptions, startFront } from "../../test/support/registry-front.js";
import {
  pushImage,
  pushIndex,
  startRegistry,
  type TestRegistry,
} from "../../test/support/registry-process.js";
import { RegistryTransport } from "./http-registry-transport.js";
import type { ImageStore } from "./image-store.js";
import { openImageStore } from "./linux-image-store.js";
import { registryAddressOf } from "./registry-address.js";
import { NO_PROXIES } from "./registry-proxy.js";

let linux: Linux;
let registry: TestRegistry;
const folders: string[] = [];

before(async () => {
  linux = await openKoffiLinux();
  registry = await startRegistry();
});
after(async () => {
  await registry?.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function transportTo(domain: string): RegistryTransport {
  const origin = { ...registryAddressOf(domain), certsName: domain };
  return new RegistryTransport(origin, { insecureRegistries: [], certsDirs: [], proxies: NO_PROXIES });
}

async function open(
  t: TestContext,
  options: { certsDirs?: readonly string[] } = {},
): Promise<{ store: ImageStore; dir: string }> {
  const folder = mkdtempSync(join(tmpdir(), "skein-pull-"));
  folders.push(folder);
  const dir = join(folder, "images");
  const store = await openImageStore({ dir, linux, clock: systemClock, log: silentLogger, ...options });
  t.after(async () => {
    if (existsSync(join(dir, "rootfs")))
      for (const container of readdirSync(join(dir, "rootfs"))) await store.removeRootfs(container);
    await store.close();
  });
  return { store, dir };
}

async function front(t: TestContext, options: Omit<RegistryFrontOptions, "behind"> = {}) {
  const server = await startFront({ behind: registry.host, ...options });
  t.after(() => server.close());
  return server;
}

const busybox = () => ({ name: "bin/busybox", content: readFileSync("/bin/busybox"), mode: 0o755 });

test("a pull brings an image that runs, with Docker's progress; a second one finds it up to date", async (t) => {
  const { store, dir } = await open(t);
  const image = await buildImage({ layers: [[busybox()], [{ name: "etc/motd", content: "hi" }]] });
  const digest = await pushImage(image, { host: registry.host, path: "team/bb", tag: "1" });
  const progress: string[] = [];
  const reference = `${registry.host}/team/bb:1`;
  const record = await store.pull(reference, { onProgress: ({ status }) => progress.push(status) });
  assert.equal(record.id, image.config.digest);
  assert.deepEqual(record.repoTags, [reference]);
  assert.deepEqual(record.repoDigests, [`${registry.host}/team/bb@${digest}`]);
  assert.equal(progress[0], "Pulling from team/bb");
  assert.equal(progress.filter((line) => line === "Pulling fs layer").length, 2);
  assert.equal(progress.filter((line) => line === "Pull complete").length, 2);
  assert.ok(progress.includes("Downloading"));
  assert.deepEqual(progress.slice(-2), [
    `Digest: ${digest}`,
    `Status: Downloaded newer image for ${reference}`,
  ]);
  assert.deepEqual(readdirSync(join(dir, "tmp")), []);
  // config and manifest, and the layers as they came
  assert.equal(readdirSync(join(dir, "blobs/sha256")).length, 4);
  const root = await store.mountRootfs(record.id, "c");
  assert.equal(readFileSync(join(root, "etc/motd"), "utf8"), "hi");

  const again: string[] = [];
  await store.pull(reference, { onProgress: ({ status }) => again.push(status) });
  assert.deepEqual(again, [
    "Pulling from team/bb",
    `Digest: ${digest}`,
    `Status: Image is up to date for ${reference}`,
  ]);
  assert.equal(store.find(`${registry.host}/team/bb@${digest}`)?.id, record.id);
  assert.equal(store.find(`${reference}@${digest}`)?.id, record.id);
  assert.deepEqual((await store.remove(reference)).slice(0, 2), [
    { untagged: reference },
    { untagged: `${registry.host}/team/bb@${digest}` },
  ]);
});

test("an index gives the manifest of this platform, and describeRemote all of them", async (t) => {
  const { store } = await open(t);
  const mine = await buildImage({ layers: [[{ name: "mine" }]], architecture: "amd64" });
  const other = await buildImage({ layers: [[{ name: "other" }]], architecture: "s390x" });
  const own = process.arch === "x64" ? "amd64" : process.arch;
  const digest = await pushIndex(
    [
      { image: other, architecture: "s390x" },
      { image: mine, architecture: own },
    ],
    { host: registry.host, path: "multi", tag: "latest" },
  );
  const record = await store.pull(`${registry.host}/multi`);
  assert.equal(record.id, mine.config.digest);
  assert.deepEqual(record.repoDigests, [`${registry.host}/multi@${digest}`]);
  const described = await store.describeRemote(`${registry.host}/multi`);
  assert.equal(described.digest, digest);
  assert.equal(described.mediaType, "application/vnd.oci.image.index.v1+json");
  assert.deepEqual(
    described.platforms.map((one) => one.architecture),
    ["s390x", own],
  );
  const single = await store.describeRemote(`${registry.host}/multi@${other.manifest.digest}`);
  assert.deepEqual(single.platforms, [{ architecture: "s390x", os: "linux" }]);

  await pushIndex([{ image: other, architecture: "s390x" }], {
    host: registry.host,
    path: "foreign",
    tag: "1",
  });
  await assert.rejects(store.pull(`${registry.host}/foreign:1`), (error: unknown) => {
    assert.ok(error instanceof NotFoundError);
    assert.match(error.message, /^no matching manifest for linux\/\w+ in the manifest list entries/);
    return true;
  });
});

test("an unknown image is refused with the registry's words", async (t) => {
  const { store } = await open(t);
  await pushImage(await buildImage({ layers: [[{ name: "a" }]] }), {
    host: registry.host,
    path: "known",
    tag: "1",
  });
  await assert.rejects(store.pull(`${registry.host}/known:2`), (error: unknown) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(
      error.message,
      `manifest for ${registry.host}/known:2 not found: manifest unknown: manifest unknown`,
    );
    return true;
  });
});

test("basic authentication gets the given credentials, and is refused without or with wrong ones", async (t) => {
  const basic = { username: "ann", password: "secret-of-ann" };
  const closed = await startRegistry({ basic });
  t.after(() => closed.close());
  const { store } = await open(t);
  await pushImage(await buildImage({ layers: [[{ name: "a" }]] }), {
    host: closed.host,
    path: "p",
    tag: "1",
    basic,
  });
  const reference = `${closed.host}/p:1`;
  await assert.rejects(
    store.pull(reference),
    (error: unknown) =>
      error instanceof UnauthenticatedError && /no basic auth credentials/.test(error.message),
  );
  await assert.rejects(
    store.pull(reference, { auth: { username: "ann", password: "wrong-secret" } }),
    (error: unknown) => {
      assert.ok(error instanceof UnauthenticatedError);
      assert.match(error.message, /unauthorized: authentication required/);
      assert.doesNotMatch(error.message, /wrong-secret/);
      return true;
    },
  );
  assert.deepEqual((await store.pull(reference, { auth: basic })).repoTags, [reference]);
});

test("a token is fetched from the realm the registry names", async (t) => {
  const token = { username: "bob", password: "secret-of-bob" };
  const server = await front(t, { token });
  const { store } = await open(t);
  await pushImage(await buildImage({ layers: [[{ name: "a" }]] }), {
    host: registry.host,
    path: "with/token",
    tag: "1",
  });
  const record = await store.pull(`${server.host}/with/token:1`, { auth: token });
  assert.equal(record.repoTags.length, 1);
  const asked = server.seen.filter((line) => line.startsWith("GET /token"));
  assert.deepEqual(asked, [
    "GET /token?service=test+registry&scope=repository%3Awith%2Ftoken%3Apull&account=bob",
  ]);
  await assert.rejects(store.pull(`${server.host}/with/token:1`), (error: unknown) => {
    assert.ok(error instanceof UnauthenticatedError);
    assert.match(error.message, /unauthorized: incorrect username or password/);
    return true;
  });
});

test("a blob whose connection breaks goes on where it stopped", async (t) => {
  const image = await buildImage({ layers: [[{ name: "noise", content: randomBytes(300_000) }]] });
  const layer = image.layers[0]?.digest ?? "";
  const ranges: (string | undefined)[] = [];
  const server = await front(t, {
    intercept: (request) => {
      if (request.url?.includes(layer)) ranges.push(request.headers.range);
      return false;
    },
    cutAfterBytes: (path, before) => (path.includes(layer) && before < 2 ? 100_000 : undefined),
  });
  const { store } = await open(t);
  await pushImage(image, { host: registry.host, path: "broken", tag: "1" });
  const record = await store.pull(`${server.host}/broken:1`);
  assert.equal(record.sizeBytes, 300_000);
  assert.equal(ranges.length, 3);
  const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
  assert.ok(0 < (starts[0] ?? 0) && (starts[0] ?? 0) < (starts[1] ?? 0), starts.join(" "));
});

test("a blob with wrong bytes is data loss, and nothing of it stays", async (t) => {
  const image = await buildImage({ layers: [[{ name: "a", content: "right" }]] });
  const layer = image.layers[0];
  assert.ok(layer);
  const server = await front(t, {
    intercept: (request, response) => {
      if (!request.url?.includes(layer.digest)) return false;
      response.end(Buffer.alloc(layer.bytes.length, 7));
      return true;
    },
  });
  const { store, dir } = await open(t);
  await pushImage(image, { host: registry.host, path: "wrong", tag: "1" });
  await assert.rejects(
    store.pull(`${server.host}/wrong:1`),
    (error: unknown) => error instanceof DataLossError && error.message.includes("wrong digest"),
  );
  assert.deepEqual(
    [readdirSync(join(dir, "tmp")), readdirSync(join(dir, "blobs/sha256")), store.list()],
    [[], [], []],
  );
});

test("a redirect is followed, without the credentials of the first host", async (t) => {
  const token = { username: "bob", password: "pw" };
  const image = await buildImage({ layers: [[{ name: "a", content: "moved" }]] });
  const layer = image.layers[0];
  assert.ok(layer);
  const seenAuthorization: (string | undefined)[] = [];
  const elsewhere = await front(t, {
    intercept: (request, response) => {
      seenAuthorization.push(request.headers.authorization);
      response.end(layer.bytes);
      return true;
    },
  });
  const server = await front(t, {
    token,
    intercept: (request, response) => {
      if (!request.url?.includes(layer.digest)) return false;
      response.writeHead(307, { location: `http://${elsewhere.host}/store/x` });
      response.end();
      return true;
    },
  });
  const { store } = await open(t);
  await pushImage(image, { host: registry.host, path: "moved", tag: "1" });
  await store.pull(`${server.host}/moved:1`, { auth: token });
  assert.deepEqual(seenAuthorization, [undefined]);
});

test("a registry that fails is asked again, a bounded number of times", async (t) => {
  let failures = 0;
  const server = await front(t, {
    intercept: (request, response, asked) => {
      if (!request.url?.includes("/manifests/") || (request.url.includes("flaky") && asked > 0)) return false;
      failures += 1;
      response.writeHead(503);
      response.end("resting");
      return true;
    },
  });
  const { store } = await open(t);
  await pushImage(await buildImage({ layers: [[{ name: "a" }]] }), {
    host: registry.host,
    path: "flaky",
    tag: "1",
  });
  await store.pull(`${server.host}/flaky:1`);
  assert.equal(failures, 1);
  await assert.rejects(
    store.pull(`${server.host}/down:1`),
    (error: unknown) => error instanceof UnavailableError && /status 503: resting/.test(error.message),
  );
  assert.equal(failures, 5);
});

test("a cancelled pull stops at once and leaves nothing", async (t) => {
  const image = await buildImage({ layers: [[{ name: "a", content: randomBytes(100_000) }]] });
  const layer = image.layers[0]?.digest ?? "";
  const abort = new AbortController();
  const server = await front(t, {
    intercept: (request) => {
      if (!request.url?.includes(layer)) return false;
      abort.abort(); // and never answer
      return true;
    },
  });
  const { store, dir } = await open(t);
  await pushImage(image, { host: registry.host, path: "slow", tag: "1" });
  await assert.rejects(store.pull(`${server.host}/slow:1`, { signal: abort.signal }), CancelledError);
  assert.deepEqual([readdirSync(join(dir, "tmp")), readdirSync(join(dir, "layers"))], [[], []]);
});

test("a registry with a CA of its own is spoken to by TLS with that CA, and not otherwise", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "skein-certs-"));
  folders.push(folder);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509"];
  for (const name of ["right", "wrong"])
    openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.pem`, ...subject);
  const image = await buildImage({ layers: [[{ name: "a" }]] });
  const blobs = new Map([image.config, ...image.layers].map((blob) => [blob.digest, blob.bytes]));
  const server = createServer(
    { key: readFileSync(join(folder, "right.key")), cert: readFileSync(join(folder, "right.pem")) },
    (request, response) => {
      response.setHeader("content-type", image.manifest.mediaType);
      response.end(blobs.get(request.url?.split("/").at(-1) ?? "") ?? image.manifest.bytes);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  // a TCP server's address is an AddressInfo
  const host = `localhost:${(server.address() as AddressInfo).port}`;
  for (const name of ["right", "wrong"]) {
    mkdirSync(join(folder, name, host), { recursive: true });
    copyFileSync(join(folder, `${name}.pem`), join(folder, name, host, "ca.crt"));
  }
  const trusting = await open(t, { certsDirs: [join(folder, "right")] });
  assert.equal((await trusting.store.pull(`${host}/x:1`)).id, image.config.digest);
  const other = await open(t, { certsDirs: [join(folder, "wrong")] });
  await assert.rejects(
    other.store.pull(`${host}/x:1`),
    (error: unknown) => error instanceof UnavailableError && /certificate|SELF_SIGNED/i.test(error.message),
  );
});

test("a request that carries a token in its body is not redirected to another host", async (t) => {
  const bodies: string[] = [];
  const listen = async (handler: Parameters<typeof createPlainServer>[1]): Promise<string> => {
    const server = createPlainServer({}, handler).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const thief = await listen(async (request, response) => {
    for await (const chunk of request) bodies.push(String(chunk));
    response.end("{}");
  });
  const honest = await listen((_request, response) =>
    response.writeHead(307, { location: `http://${thief}/token` }).end(),
  );
  const transport = transportTo(honest);
  const sent = transport.sendTo(new URL(`http://${honest}/token`), {
    method: "POST",
    body: "refresh_token=secret",
    headers: { "content-length": "20" },
  });
  await assert.rejects(sent, PermissionDeniedError);
  assert.deepEqual(bodies, []);
  transport.close();
});

test("a registry that is not allowed plain http cannot send the client there by a redirect", async () => {
  const transport = transportTo("registry.example");
  await assert.rejects(transport.sendTo(new URL(`http://${registry.host}/v2/`), {}), PermissionDeniedError);
  transport.close();
});

test("an allowed plain registry is not a way to public addresses", async () => {
  const transport = transportTo("localhost:5000");
  await assert.rejects(transport.sendTo(new URL("http://192.0.2.1/v2/"), {}), PermissionDeniedError);
  transport.close();
});

test("two pulls of one image at once download each layer once", async (t) => {
  const server = await front(t);
  const image = await buildImage({ layers: [[{ name: "a", content: "same" }]] });
  await pushImage(image, { host: registry.host, path: "twice", tag: "1" });
  const { store } = await open(t);
  await Promise.all([store.pull(`${server.host}/twice:1`), store.pull(`${server.host}/twice:1`)]);
  assert.equal(server.seen.filter((line) => line.includes(image.layers[0]?.digest ?? "")).length, 1);
});
