import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { StackBuild } from "../../compose/convert-build.js";
import { FakeDaemon, NOT_FOUND } from "../../daemon-fixtures.js";
import { buildImages } from "./http-build-images.js";
import { shareImages } from "./http-share-images.js";

function build(t: { after(done: () => void): void }, change: Partial<StackBuild> = {}): StackBuild {
  const context = mkdtempSync(join(tmpdir(), "skein-build-"));
  t.after(() => rmSync(context, { recursive: true, force: true }));
  writeFileSync(join(context, "Dockerfile"), "FROM a");
  const query = { t: ["shop_web"], buildargs: JSON.stringify({ A: "1", SKEIN_TEST_ARG: null, NONE: null }) };
  return { service: "web", image: "shop_web", context, remote: false, query, ...change };
}

test("a build sends the context, the query and all credentials, and tells the image's id", async (t) => {
  process.env["SKEIN_TEST_ARG"] = "from here";
  const folder = mkdtempSync(join(tmpdir(), "skein-auth-"));
  const auths = { "host:5000": { auth: Buffer.from("anna:secret").toString("base64") }, "none:1": {} };
  writeFileSync(join(folder, "config.json"), JSON.stringify({ auths }));
  process.env["DOCKER_CONFIG"] = folder;
  t.after(() => {
    delete process.env["SKEIN_TEST_ARG"];
    delete process.env["DOCKER_CONFIG"];
    rmSync(folder, { recursive: true, force: true });
  });
  await using daemon = await FakeDaemon.open(({ path }) =>
    path === "/build"
      ? { json: { aux: { ID: "sha256:1" } } }
      : path === "/images/shop_web/json"
        ? { json: { Id: "sha256:1" } }
        : NOT_FOUND,
  );
  const ids = await buildImages(daemon.context, [build(t)], { push: false, quiet: true });
  assert.deepEqual([...ids], [["shop_web", "sha256:1"]]);
  const [sent] = daemon.seen;
  assert.ok(sent !== undefined);
  assert.ok(sent.body.includes("FROM a"));
  assert.deepEqual(sent.query.getAll("t"), ["shop_web"]);
  assert.equal(sent.query.get("dockerfile"), "Dockerfile");
  const config = Buffer.from(String(sent.headers["x-registry-config"]), "base64url").toString("utf8");
  assert.deepEqual(JSON.parse(config), {
    "host:5000": { username: "anna", password: "secret", serveraddress: "host:5000" },
  });
  assert.deepEqual(JSON.parse(sent.query.get("buildargs") ?? ""), {
    A: "1",
    SKEIN_TEST_ARG: "from here",
    NONE: null,
  });
});

test("a build of an address sends no context; pushing follows with the tag", async (t) => {
  await using daemon = await FakeDaemon.open(() => ({ json: { Id: "x" } }));
  const remote = build(t, { remote: true, context: "https://git.example/x.git", image: "host:5000/web:2" });
  await buildImages(daemon.context, [remote], { push: true, quiet: true });
  assert.deepEqual(daemon.changes, ["POST /build", "POST /images/host%3A5000%2Fweb/push"]);
  assert.equal(daemon.seen[0]?.query.get("remote"), "https://git.example/x.git");
  assert.equal(daemon.seen[0]?.body.length, 0);
  assert.equal(daemon.seen[1]?.query.get("tag"), "2");
  assert.ok(daemon.seen[1]?.headers["x-registry-auth"] !== undefined);
});

test("a build that fails names the service and the reason", async (t) => {
  await using daemon = await FakeDaemon.open(() => ({ json: { error: "RUN returned a non-zero code: 3" } }));
  await assert.rejects(
    buildImages(daemon.context, [build(t)], { push: false, quiet: true }),
    /service web could not be built: RUN returned a non-zero code: 3/,
  );
});

const NODES = ["self", "b", "c", "down"].map((ID) => ({
  ID,
  Description: { Hostname: `host-${ID}` },
  Status: { State: ID === "down" ? "down" : "ready" },
}));

test("images of this node alone are named with the nodes that lack them, or sent to each", async () => {
  await using daemon = await FakeDaemon.open(({ path }) => {
    if (path === "/info") return { json: { Swarm: { NodeID: "self" } } };
    if (path === "/nodes") return { json: NODES };
    if (path === "/images/get") return { json: "the archive" };
    return path.includes("/nodes/c/") ? { json: { error: "no space" } } : { json: {} };
  });
  await shareImages(daemon.context, ["shop_web"], { share: false, quiet: true });
  assert.match(daemon.noted[0] ?? "", /^Warning: shop_web is on this node alone, not on host-b, host-c: /);
  await assert.rejects(
    shareImages(daemon.context, ["shop_web"], { share: true, quiet: true }),
    /could not be shared with every node:\nhost-c: no space/,
  );
  assert.deepEqual(daemon.changes, [
    "POST /skein/v1/nodes/b/images/load",
    "POST /skein/v1/nodes/c/images/load",
  ]);
  assert.equal(String(daemon.seen.find(({ method }) => method === "POST")?.body), '"the archive"');
});
