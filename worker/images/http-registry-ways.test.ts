import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { silentLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import { buildImage } from "../../test/support/image-tar.js";
import { pushImage, startRegistry, type TestRegistry } from "../../test/support/registry-process.js";
import { sha256Of } from "./chain-ids.js";
import { createHttpRegistryClient } from "./http-registry-client.js";
import { parseReference } from "./image-reference.js";
import type { ImageWorkshop } from "./image-store.js";
import { type ImageStoreOptions, openImageStore } from "./linux-image-store.js";
import { mirrorOriginOf } from "./registry-address.js";
import { registryDomainOf } from "./registry-login.js";
import { proxiesOfEnvironment, proxyFor } from "./registry-proxy.js";

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

async function open(t: TestContext, options: Partial<ImageStoreOptions> = {}): Promise<ImageWorkshop> {
  const folder = mkdtempSync(join(tmpdir(), "skein-ways-"));
  folders.push(folder);
  const dir = join(folder, "images");
  const store = await openImageStore({ dir, linux, clock: systemClock, log: silentLogger, ...options });
  t.after(() => store.close());
  return store;
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  // a TCP server's address is an AddressInfo
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("docker.io is served by its mirrors, in their order, without its credentials", async (t) => {
  const image = await buildImage({ layers: [[{ name: "a", content: "mirrored" }]] });
  await pushImage(image, { host: registry.host, path: "library/mirrored", tag: "1" });
  const asked: (string | undefined)[] = [];
  const empty = await serve(t, (request, response) => {
    asked.push(request.headers.authorization);
    response.writeHead(404).end();
  });
  const store = await open(t, { registryMirrors: [`http://${empty}`] });
  store.setRegistryOptions({
    mirrors: [`http://${empty}`, `http://${registry.host}`],
    insecureRegistries: [],
  });
  const record = await store.pull("mirrored:1", { auth: { username: "u", password: "p" } });
  assert.equal(record.id, image.config.digest);
  assert.deepEqual(record.repoTags, ["docker.io/library/mirrored:1"]);
  assert.deepEqual(asked, [undefined], "the mirror that failed is not asked again");
  assert.throws(() => mirrorOriginOf("mirror.example"), InvalidArgumentError);
  assert.throws(() => mirrorOriginOf("https://u:p@mirror.example"), InvalidArgumentError);
});

test("all tags of a repository are listed, page by page", async (t) => {
  const host = await serve(t, (request, response) => {
    const isFirst = !(request.url ?? "").includes("last=");
    if (isFirst) response.setHeader("link", '</v2/many/tags/list?last=a&n=1>; rel="next"');
    response.end(JSON.stringify({ name: "many", tags: [isFirst ? "a" : "b"] }));
  });
  const store = await open(t);
  assert.deepEqual(await store.listRemoteTags(`${host}/many`), ["a", "b"]);
});

test("a search asks the registry the term names", async (t) => {
  const seen: string[] = [];
  const host = await serve(t, (request, response) => {
    seen.push(request.url ?? "");
    response.end(
      JSON.stringify({ results: [{ name: "x/y", description: "d", star_count: 3, is_official: true }] }),
    );
  });
  const store = await open(t);
  assert.deepEqual(await store.search(`${host}/term`, { limit: 0 }), [
    { name: "x/y", description: "d", stars: 3, official: true },
  ]);
  assert.deepEqual(
    seen.filter((path) => path.startsWith("/v1")),
    ["/v1/search?q=term&n=25"],
  );
  await assert.rejects(store.search("x", { limit: 101 }), /outside the range of \[1, 100\]/);
});

test("credentials go to no host that a registry only points to", async (t) => {
  const seen: string[] = [];
  const other: string = await serve(t, (request, response) => {
    seen.push(`${request.url} ${request.headers.authorization ?? "-"}`);
    request.resume();
    response.writeHead(401, { "www-authenticate": `Bearer realm="http://${other}/token",service="s"` }).end();
  });
  const host = await serve(t, (request, response) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    } else if (request.method === "POST") {
      response.writeHead(202, { location: `http://${other}/upload` }).end();
    } else response.writeHead(307, { location: `http://${other}/elsewhere` }).end();
  });
  const auth = { username: "u", password: "p" };
  const store = await open(t);
  await assert.rejects(store.describeRemote(`${host}/x:1`, { auth }), { code: "unauthenticated" });
  const components = { clock: systemClock, log: silentLogger, random: systemRandom };
  const client = createHttpRegistryClient(components, {});
  t.after(() => client.close());
  const bytes = Buffer.from("layer");
  const source = {
    digest: sha256Of(bytes),
    sizeBytes: bytes.byteLength,
    read: async function* () {
      yield bytes;
    },
  };
  const uploads = client.uploads(parseReference(`${host}/x:1`), auth);
  await assert.rejects(uploads.pushBlob(source), { code: "unauthenticated" });
  assert.deepEqual([...new Set(seen)].sort(), ["/elsewhere -", "/upload -"]);
});

test("a login gives the token that a token server lets be kept", async (t) => {
  const host: string = await serve(t, (request, response) => {
    const url = new URL(request.url ?? "/", "http://x");
    if (url.pathname === "/token") {
      const isRight = request.headers.authorization === `Basic ${btoa("u:p")}`;
      response.writeHead(isRight ? 200 : 401);
      response.end(JSON.stringify({ token: "t", refresh_token: url.searchParams.get("offline_token") }));
    } else if (request.headers.authorization === "Bearer t") response.end("{}");
    else
      response
        .writeHead(401, { "www-authenticate": `Bearer realm="http://${host}/token",service="s"` })
        .end();
  });
  const store = await open(t);
  assert.equal(await store.authenticate({ username: "u", password: "p", serverAddress: host }), "true");
  const wrong = store.authenticate({ username: "u", password: "x", serverAddress: host });
  await assert.rejects(wrong, { name: "UnauthenticatedError" });
  assert.equal(registryDomainOf("https://index.docker.io/v1/"), "docker.io");
  assert.equal(registryDomainOf("r.example:5000"), "r.example:5000");
});

test("NO_PROXY exempts names, domains, addresses and ranges; loopback is always direct", () => {
  const proxied = (host: string, none: string, port = 443): boolean =>
    proxyFor({ host, port }, { https: "proxy.lan:3128", none }) !== undefined;
  assert.equal(proxied("r.example", ""), true);
  assert.equal(proxied("localhost", ""), false);
  assert.equal(proxied("127.0.0.1", ""), false);
  assert.equal(proxied("r.example", "*"), false);
  assert.equal(proxied("r.example", "other, EXAMPLE"), false);
  assert.equal(proxied("example", ".example"), true);
  assert.equal(proxied("r.example", ".example"), false);
  assert.equal(proxied("badexample", "example"), true);
  assert.equal(proxied("10.1.2.3", "10.0.0.0/8"), false);
  assert.equal(proxied("10.1.2.3", "10.1.2.4,10.1.2.3:8443"), true);
  assert.equal(proxied("10.1.2.3", "10.1.2.3:443"), false);
  assert.deepEqual(proxiesOfEnvironment({ https_proxy: "p", NO_PROXY: "n" }), { https: "p", none: "n" });
});

test("TLS goes through the proxy by CONNECT, which gets its own credentials and nothing else", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "skein-proxy-"));
  folders.push(folder);
  const subject = ["-subj", "/CN=registry.test", "-addext", "subjectAltName=DNS:registry.test", "-days", "2"];
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509"];
  const args = ["req", ...newKey, "-keyout", "k.pem", "-out", "c.pem", ...subject];
  execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const image = await buildImage({ layers: [[{ name: "a" }]] });
  const blobs = new Map([image.config, ...image.layers].map((blob) => [blob.digest, blob.bytes]));
  const secure = createSecureServer(
    { key: readFileSync(join(folder, "k.pem")), cert: readFileSync(join(folder, "c.pem")) },
    (request, response) => {
      response.setHeader("content-type", image.manifest.mediaType);
      response.end(blobs.get(request.url?.split("/").at(-1) ?? "") ?? image.manifest.bytes);
    },
  );
  await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
  const { port } = secure.address() as AddressInfo; // a TCP server's address is an AddressInfo
  const asked: string[] = [];
  const proxy = createServer();
  proxy.on("connect", (request, socket) => {
    asked.push(`${request.url} ${request.headers["proxy-authorization"]}`);
    if (request.headers["proxy-authorization"] === undefined)
      return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    const onward = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    const end = (): void => {
      onward.destroy();
      socket.destroy();
    };
    for (const one of [onward, socket]) one.on("error", end).on("close", end);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    secure.closeAllConnections();
    secure.close();
    proxy.closeAllConnections();
    proxy.close();
  });
  const proxyAddress = `127.0.0.1:${(proxy.address() as AddressInfo).port}`; // the same
  mkdirSync(join(folder, `registry.test:${port}`));
  copyFileSync(join(folder, "c.pem"), join(folder, `registry.test:${port}`, "ca.crt"));
  const through = (https: string) => ({ certsDirs: [folder], proxies: { https, none: "" } });
  const store = await open(t, through(`http://me:secret@${proxyAddress}`));
  const record = await store.pull(`registry.test:${port}/x:1`);
  assert.equal(record.id, image.config.digest);
  assert.ok(asked.length > 0);
  for (const line of asked) assert.equal(line, `registry.test:${port} Basic ${btoa("me:secret")}`);
  const refused = await open(t, through(proxyAddress));
  await assert.rejects(refused.pull(`registry.test:${port}/x:1`), /it answered with status 407/);
});
