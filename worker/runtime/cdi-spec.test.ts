/** CDI: specifications read, devices chosen and put into a container's configuration. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import fc from "fast-check";
import { SkeinError } from "../../base/errors/errors.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { holds } from "../../test/fuzz/holds.js";
import { cdiSpec } from "./cdi-spec.js";
import { type DeviceRequest, requestedDevices } from "./device-requests.js";
import { injectDevices } from "./fs-cdi-registry.js";

let base = "";
const log = new MemoryLogger();
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "skein-cdi-"));
  for (const folder of ["etc", "run"]) mkdirSync(join(base, folder));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const inject = (requests: readonly DeviceRequest[]): ReturnType<typeof injectDevices> =>
  injectDevices(requests, { folders: [join(base, "etc"), join(base, "run")], log });
const ask = (changes: Partial<DeviceRequest>): DeviceRequest => ({
  driver: "cdi",
  count: 0,
  deviceIds: [],
  capabilities: [],
  options: {},
  ...changes,
});

const JSON_SPEC = {
  cdiVersion: "0.6.0",
  kind: "vendor.com/net",
  containerEdits: { env: ["ALL=1"], additionalGids: [44] },
  devices: [
    {
      name: "one",
      containerEdits: {
        env: ["ONE=1"],
        deviceNodes: [
          { path: "/dev/one", hostPath: "/dev/null", permissions: "rw", fileMode: 0o600, uid: 5 },
        ],
        mounts: [{ hostPath: "/opt/lib", containerPath: "/lib/one", options: ["ro", "nosuid"] }],
        hooks: [{ hookName: "createContainer", path: "/bin/true", args: ["true", "x"] }],
      },
    },
  ],
};
const YAML_SPEC = `
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
  - name: "1"
    containerEdits: { deviceNodes: [{ path: /dev/g1, type: c, major: 195, minor: 1 }] }
  - name: "0"
    containerEdits: { deviceNodes: [{ path: /dev/g0, type: c, major: 195, minor: 0 }] }
  - name: all
    containerEdits: { env: [GPUS=all] }
`;

test("a device brings its own edits and those of its file, once", async () => {
  writeFileSync(join(base, "etc", "net.json"), JSON.stringify(JSON_SPEC));
  const name = "vendor.com/net=one";
  assert.deepEqual(await inject([ask({ deviceIds: [name, name] })]), {
    env: ["ALL=1", "ONE=1"],
    mounts: [
      { destination: "/lib/one", type: "bind", source: "/opt/lib", options: ["rbind", "ro", "nosuid"] },
    ],
    devices: [{ type: "c", path: "/dev/one", major: 1, minor: 3, fileMode: 0o600, uid: 5, gid: 0 }],
    rules: [{ allow: true, type: "c", major: 1, minor: 3, access: "rw" }],
    hooks: { createContainer: [{ path: "/bin/true", args: ["true", "x"] }] },
    additionalGids: [44],
  });
});

test("GPUs are CDI devices of nvidia's kind: by number, by name, all of them", async () => {
  writeFileSync(join(base, "run", "gpu.yaml"), YAML_SPEC);
  const gpus = async (changes: Partial<DeviceRequest>): Promise<unknown> => {
    const { devices, env } = await inject([ask({ driver: "", capabilities: [["gpu"]], ...changes })]);
    return [...env, ...devices.map(({ path }) => path)];
  };
  assert.deepEqual(await gpus({ count: -1 }), ["GPUS=all"]);
  assert.deepEqual(await gpus({ count: 1 }), ["/dev/g0"]);
  assert.deepEqual(await gpus({ count: 2, driver: "nvidia" }), ["/dev/g0", "/dev/g1"]);
  assert.deepEqual(await gpus({ deviceIds: ["1"] }), ["/dev/g1"]);
  await assert.rejects(gpus({ count: 3 }), /3 GPUs were asked for, but there are 2/);
  await assert.rejects(gpus({ capabilities: [["tpu", "x"]] }), /driver "" with capabilities: \[\[tpu x\]\]/);
});

test("the later folder wins, and a broken file takes only its own devices away", async () => {
  writeFileSync(join(base, "etc", "net.json"), JSON.stringify(JSON_SPEC));
  writeFileSync(join(base, "etc", "broken.json"), "{");
  writeFileSync(
    join(base, "run", "net.yml"),
    "kind: vendor.com/net\ndevices: [{name: one, containerEdits: {env: [B=2]}}]",
  );
  assert.deepEqual((await inject([ask({ deviceIds: ["vendor.com/net=one"] })])).env, ["B=2"]);
  assert.ok(log.lines.some(({ message }) => message.includes("CDI specification cannot be used")));
});

test("what cannot be given is named", () => {
  assert.throws(
    () => requestedDevices([ask({ deviceIds: ["a.b/c=d"] })], []),
    /unresolvable CDI devices a.b\/c=d/,
  );
  assert.throws(() => requestedDevices([ask({ count: 1 })], []), /cannot use CDI with count/);
  const edits = (containerEdits: object): unknown => cdiSpec({ kind: "a.b/c", containerEdits });
  assert.throws(() => edits({ intelRdt: {} }), /containerEdits.intelRdt is not supported/);
  assert.throws(() => edits({ deviceNodes: [{ path: "dev" }] }), /device path must be absolute/);
  assert.throws(() => edits({ hooks: [{ hookName: "never", path: "/x" }] }), /hook name is unknown: never/);
  assert.throws(() => cdiSpec({ kind: "no class" }), /CDI kind must be vendor\/class/);
});

test("fuzz: any JSON is a specification or refused with words", () => {
  const part = fc.jsonValue({ maxDepth: 4 });
  const shaped = fc.record(
    {
      kind: fc.oneof(fc.constant("a.b/c"), fc.string()),
      devices: fc.oneof(part, fc.array(fc.record({ name: fc.string(), containerEdits: part }))),
      containerEdits: fc.oneof(
        part,
        fc.record({ env: part, deviceNodes: part, mounts: part, hooks: part, additionalGids: part }),
      ),
    },
    { requiredKeys: ["kind"] },
  );
  holds(
    fc.property(fc.oneof(part, shaped), (value) => {
      try {
        cdiSpec(value);
      } catch (error) {
        assert.ok(error instanceof SkeinError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});
