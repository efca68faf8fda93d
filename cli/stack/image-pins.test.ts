import assert from "node:assert/strict";
import { test } from "node:test";
import type { StackServiceBody } from "../../proto/stack-api.js";
import { inner } from "../context.js";
import type { Row } from "../output/table.js";
import { imageOf, imagesToLookUp, type PinOptions, pinImages, pinned } from "./image-pins.js";

const DIGEST = `sha256:${"a".repeat(64)}`;
const OTHER = `sha256:${"b".repeat(64)}`;

const service = (name: string, Image: string): StackServiceBody => ({
  Key: name,
  Spec: { Name: `s_${name}`, TaskTemplate: { ContainerSpec: { Image } } },
});
const before = (name: string, text: string, image: string): Row => ({
  Spec: {
    Name: `s_${name}`,
    Labels: { "com.docker.stack.image": text },
    TaskTemplate: {
      ContainerSpec: { Image: image },
      Placement: { Platforms: [{ Architecture: "arm64", OS: "linux" }] },
    },
  },
});
const options = (change: Partial<PinOptions> = {}): PinOptions => ({
  when: "always",
  existing: [],
  local: new Map(),
  ...change,
});

test("an image is pinned by its name, its tag and its digest", () => {
  assert.equal(pinned("nginx", DIGEST), `nginx:latest@${DIGEST}`);
  assert.equal(pinned("nginx:1", DIGEST), `nginx:1@${DIGEST}`);
  assert.equal(pinned("host:5000/nginx", DIGEST), `host:5000/nginx:latest@${DIGEST}`);
});

test("each image is looked up once; pinned ones and those built here are not", () => {
  const services = [
    service("a", "nginx"),
    service("b", "nginx"),
    service("c", `redis@${DIGEST}`),
    service("d", "built"),
  ];
  assert.deepEqual(imagesToLookUp(services, options({ local: new Map([["built", "sha256:1"]]) })), ["nginx"]);
  assert.deepEqual(imagesToLookUp(services, options({ when: "never" })), []);
});

test("changed: an image whose text is the same keeps its digest and platforms without being looked up", () => {
  const pins = options({ when: "changed", existing: [before("a", "nginx", `nginx:latest@${OTHER}`)] });
  const services = [service("a", "nginx"), service("b", "redis")];
  assert.deepEqual(imagesToLookUp(services, pins), ["redis"]);
  const looked = new Map([["redis", { digest: DIGEST, platforms: [] }]]);
  const { services: out, warnings } = pinImages(services, looked, pins);
  assert.deepEqual(out.map(imageOf), [`nginx:latest@${OTHER}`, `redis:latest@${DIGEST}`]);
  assert.deepEqual(out[0]?.Spec["TaskTemplate"], {
    ContainerSpec: { Image: `nginx:latest@${OTHER}` },
    Placement: { Platforms: [{ Architecture: "arm64", OS: "linux" }] },
  });
  assert.deepEqual(warnings, []);
});

test("always: a registry that is away leaves an unchanged image on its digest, and says so in one line", () => {
  const pins = options({
    existing: [before("a", "nginx", `nginx:latest@${OTHER}`), before("b", "nginx:1", `nginx:1@${OTHER}`)],
  });
  const services = [service("a", "nginx"), service("b", "nginx:2"), service("c", "nginx")];
  const away = { failure: "connection refused" };
  const { services: out, warnings } = pinImages(
    services,
    new Map([
      ["nginx", away],
      ["nginx:2", away],
    ]),
    pins,
  );
  assert.deepEqual(out.map(imageOf), [`nginx:latest@${OTHER}`, "nginx:2", "nginx"]);
  assert.deepEqual(warnings, [
    "nginx stays on the digest it has (connection refused)",
    "nginx:2, nginx is not pinned to a digest: nodes may run different versions of it (connection refused)",
  ]);
});

test("platforms of the registry stand in the placement unless the file has its own", () => {
  const platforms = [{ Architecture: "amd64", OS: "linux" }];
  const own = {
    ...service("b", "nginx"),
    Spec: {
      TaskTemplate: { ContainerSpec: { Image: "nginx" }, Placement: { Platforms: [{ OS: "linux" }] } },
    },
  };
  const { services: out } = pinImages(
    [service("a", "nginx"), own],
    new Map([["nginx", { digest: DIGEST, platforms }]]),
    options(),
  );
  assert.deepEqual(
    out.map(({ Spec }) => (Spec["TaskTemplate"] as Row)["Placement"]),
    [{ Platforms: platforms }, { Platforms: [{ OS: "linux" }] }],
  );
});

test("an image built here is told by its id, which a later deployment without a build keeps", () => {
  const local = new Map([["built", "sha256:1"]]);
  const labelled = pinImages([service("a", "built")], new Map(), options({ local })).services;
  const container = (body: StackServiceBody | undefined): Row =>
    inner(body?.Spec, "TaskTemplate", "ContainerSpec");
  assert.deepEqual(container(labelled[0])["Labels"], { "skein.image.id": "sha256:1" });
  const existing = [{ Spec: { ...labelled[0]?.Spec, Labels: { "com.docker.stack.image": "built" } } }];
  const unlisted = new Set(["built"]);
  for (const when of ["always", "changed", "never"] as const) {
    const pins = options({ when, existing, unlisted });
    assert.deepEqual(imagesToLookUp([service("a", "built")], pins), []);
    const again = pinImages([service("a", "built")], new Map(), pins);
    assert.deepEqual([container(again.services[0]), again.warnings], [container(labelled[0]), []]);
  }
});
