/**
 * What a user gets wrong, and what he is told: by the command line, the API, the scheduler,
 * the puller and the image loader.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildImage, buildTar, dockerArchive, ociLayout } from "../support/image-tar.js";
import { Lab } from "../support/lab/lab.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  messageIn,
  removeService,
  serviceSpec,
  untilRunning,
  untilTasks,
} from "../support/lab/lab-swarm.js";
import { startRegistry } from "../support/registry-process.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 1, clients: 0 });
  await formSwarm(lab, { managers: 1 });
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

test("skein: an unknown command, flag or value is named, with exit code 2", async () => {
  const host = lab.host(1);
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["service", "create", "--nonsense", "busybox"], /unknown option '--nonsense'/],
    [["service", "crate"], /unknown command 'crate'/],
    [["nonsense"], /unknown command 'nonsense'/],
    [["service", "create", "--replicas", "many", "--name", "x", "busybox"], /--replicas.*many/],
    [["service", "scale", "x"], /x/],
  ];
  for (const [args, words] of cases) {
    const { code, stdout, stderr } = await host.skein(args);
    assert.equal(code, 2, `${args.join(" ")}: ${stdout}${stderr}`);
    assert.match(stderr, words);
    assert.doesNotMatch(stderr, /\n\s+at /, "no stack trace");
  }
  const refused = await host.skein(["service", "inspect", "nowhere"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /nowhere/);
  const filter = await host.skein(["service", "ls", "--filter", "colour=red"]);
  assert.notEqual(filter.code, 0);
  assert.match(filter.stderr, /invalid filter 'colour'/);
});

test("skein: a compose error names file, line, key and rule, and nothing is deployed", async () => {
  const host = lab.host(1);
  const file = join(lab.dir, "wrong.yml");
  writeFileSync(
    file,
    [
      "services:",
      "  web:",
      "    image: skein-hello:latest",
      "    replicas: 2",
      "    deploy:",
      "      replicas: many",
      "",
    ].join("\n"),
  );
  const { code, stderr } = await host.skein(["stack", "deploy", "-c", file, "wrong"]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /wrong\.yml:4: services\.web\.replicas: /);
  assert.match(stderr, /wrong\.yml:6: services\.web\.deploy\.replicas: must be an integer, got "many"/);
  assert.deepEqual(await call(host, "GET", "/services"), []);
  const missing = await host.skein(["stack", "deploy", "-c", join(lab.dir, "absent.yml"), "wrong"]);
  assert.notEqual(missing.code, 0);
  assert.match(missing.stderr, /absent\.yml/);
});

test("API: unknown filters, fields and endpoints are named, never ignored", async () => {
  const host = lab.host(1);
  for (const list of [
    "services",
    "tasks",
    "nodes",
    "networks",
    "secrets",
    "configs",
    "containers/json",
    "images/json",
  ]) {
    const answer = await host.api(
      "GET",
      `/${list}?filters=${encodeURIComponent(JSON.stringify({ colour: ["red"] }))}`,
    );
    assert.equal(answer.status, 400, `${list}: ${answer.body}`);
    assert.match(messageIn(answer), /invalid filter 'colour'/);
  }
  const broken = await host.api("GET", "/services?filters=%7Bno");
  assert.equal(broken.status, 400);
  const spec = serviceSpec({ name: "odd" });
  const odd = await host.api("POST", "/services/create", { ...spec, Colour: "red" });
  assert.equal(odd.status, 201, odd.body);
  assert.match(odd.body, /"Warnings":\["Colour is not supported and has no effect"\]/);
  await removeService(host, "odd");
  const endpoint = await host.api("POST", "/nonsense/thing");
  assert.equal(endpoint.status, 404, endpoint.body);
  assert.equal(messageIn(endpoint), "page not found");
  const unserved = await host.api("POST", "/plugins/pull");
  assert.equal(unserved.status, 501, unserved.body);
  assert.match(messageIn(unserved), /POST \/plugins\/pull is not implemented/);
  const text = await host.api("POST", "/services/create", Buffer.from("{"), {
    headers: { "content-type": "application/json" },
  });
  assert.equal(text.status, 400, text.body);
});

test("a name that is taken, a version that is old, a port that is published already", async () => {
  const host = lab.host(1);
  const port = { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" };
  const id = await createService(host, { name: "one", replicas: 0, ports: [port] });
  const again = await host.api("POST", "/services/create", serviceSpec({ name: "one" }));
  assert.equal(again.status, 409, again.body);
  assert.match(messageIn(again), /name conflicts with an existing object|'?one'? .*already exists/);
  const taken = await host.api("POST", "/services/create", serviceSpec({ name: "two", ports: [port] }));
  assert.ok([400, 409].includes(taken.status), taken.body);
  assert.match(messageIn(taken), /port '8080' is already in use by service 'one' \(\w+\)/);

  const { Version } = await call<{ Version: { Index: number } }>(host, "GET", `/services/${id}`);
  const update = (version: number | string) =>
    host.api("POST", `/services/${id}/update?version=${version}`, serviceSpec({ name: "one", replicas: 0 }));
  assert.equal((await update(Version.Index)).status, 200);
  const stale = await update(Version.Index);
  assert.match(messageIn(stale), /update out of sequence/);
  assert.ok(stale.status >= 400, stale.body);
  assert.equal((await update("soon")).status, 400);

  for (const [kind, body] of [
    ["secrets", { Name: "s", Data: "YQ==" }],
    ["configs", { Name: "s", Data: "YQ==" }],
    ["networks", { Name: "s", Driver: "overlay" }],
  ] as const) {
    await call(host, "POST", `/${kind}/create`, body);
    const twice = await host.api("POST", `/${kind}/create`, body);
    assert.equal(twice.status, 409, `${kind}: ${twice.body}`);
    assert.match(messageIn(twice), /\bs\b/);
  }
  await removeService(host, "one");
});

test("a host-mode port in use: the task waits, and says for what", async () => {
  const host = lab.host(1);
  const ports = [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 9000, PublishMode: "host" }];
  await createService(host, { name: "first", ports });
  await untilRunning(host, "first", 1);
  await createService(host, { name: "second", ports });
  const [waiting] = await untilTasks(
    host,
    "second",
    "an explanation",
    (all) => (all[0]?.Status.Err ?? "") !== "",
  );
  assert.equal(waiting?.Status.State, "pending");
  assert.match(waiting?.Status.Err ?? "", /host port 9000(\/tcp)? already in use on 1 node/);
  await removeService(host, "first");
  await untilRunning(host, "second", 1);
  await removeService(host, "second");
});

test("an image that cannot be had: the task is rejected in the registry's own words", async () => {
  const host = lab.host(1);
  const registry = await startRegistry({ netns: host.netns });
  try {
    const port = registry.host.split(":")[1];
    const images = { missing: `localhost:${port}/missing:1`, closed: "localhost:9/closed:1" };
    for (const [name, image] of Object.entries(images))
      await createService(host, { name, image, restart: "none" });
    const words = {
      missing: /missing.*manifest unknown/,
      closed: /localhost:9\/v2\/": dial tcp .*connection refused/,
    };
    for (const name of ["missing", "closed"] as const) {
      const [task] = await untilTasks(host, name, "rejected", (all) => all[0]?.Status.State === "rejected");
      assert.match(task?.Status.Err ?? "", words[name]);
      await removeService(host, name);
    }
  } finally {
    await registry.close();
  }
  const nonsense = await host.api(
    "POST",
    "/services/create",
    serviceSpec({ name: "x", image: "UPPER CASE" }),
  );
  assert.equal(nonsense.status, 400, nonsense.body);
});

test("an image archive with a wrong digest or a path out of its root is refused whole", async () => {
  const host = lab.host(1);
  const load = async (archive: Buffer): Promise<string> => {
    const answer = await host.api("POST", "/images/load?quiet=1", archive);
    // Progress may have begun: then the error is in the stream, as with Docker.
    assert.ok(answer.status >= 400 || /"error"/.test(answer.body), `${answer.status} ${answer.body}`);
    return answer.body;
  };
  const good = await buildImage({ layers: [[{ name: "hello", content: "hello" }]] });
  const tampered = await buildTar([{ name: "hello", content: "hullo" }]);
  assert.match(
    await load(await dockerArchive({ ...good, plainLayers: [tampered] }, ["tampered:1"])),
    /sha256:[0-9a-f]{64}/,
  );

  const [layer] = good.layers;
  assert.ok(layer);
  const swapped = { ...layer, bytes: Buffer.concat([layer.bytes, Buffer.from("x")]) };
  assert.match(
    await load(await ociLayout({ ...good, layers: [swapped] }, "swapped:1")),
    /sha256:[0-9a-f]{64}/,
  );

  const outside = join(lab.dir, "outside");
  mkdirSync(outside);
  const up = "../".repeat(20) + outside.slice(1);
  for (const entries of [
    [{ name: `${up}/one`, content: "x" }],
    [
      { name: "link", type: "symlink" as const, linkname: outside },
      { name: "link/two", content: "x" },
    ],
    [{ name: "three", type: "link" as const, linkname: `${up}/../lab` }],
  ]) {
    const image = await buildImage({ layers: [entries] });
    const answer = await host.api("POST", "/images/load?quiet=1", await dockerArchive(image, ["escape:1"]));
    const refused = answer.status >= 400 || /"error"/.test(answer.body);
    // A symlink may be followed inside the root: that is no escape. Nothing may be written outside.
    if (entries.length === 1) assert.ok(refused, `${entries[0]?.name}: ${answer.body}`);
    for (const name of ["one", "two"]) assert.ok(!existsSync(join(outside, name)), name);
  }
  assert.match(await load(Buffer.from("this is no tar")), /./);
  const images = await call<readonly { RepoTags: readonly string[] | null }[]>(host, "GET", "/images/json");
  const tags = images.flatMap((image) => image.RepoTags ?? []);
  for (const tag of ["tampered:1", "swapped:1"]) assert.ok(!tags.includes(tag), tags.join());
});
