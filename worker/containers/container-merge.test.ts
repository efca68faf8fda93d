/** A request laid over the image's configuration. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ImageConfig } from "../images/image-store.js";
import type { KeptSpecification } from "./container-admission.js";
import { defaultSpecification } from "./container-lab.js";
import { mergedSpecification, withVolumesFrom } from "./container-merge.js";

const IMAGE: ImageConfig = {
  user: "web",
  env: ["PATH=/bin", "A=image", "B=image"],
  entrypoint: ["/entry"],
  cmd: ["serve"],
  workingDir: "/srv",
  labels: { of: "image", both: "image", "com.docker.swarm.task.id": "forged" },
  exposedPorts: ["80/tcp"],
  volumes: [],
  stopSignal: "SIGQUIT",
  shell: [],
  healthcheck: {
    test: ["CMD", "check"],
    intervalMs: 5_000,
    timeoutMs: 1_000,
    startPeriodMs: 0,
    startIntervalMs: 0,
    retries: 7,
  },
};
const ID = "0123456789abcdef".repeat(4);

function merged(changes: Partial<KeptSpecification>): KeptSpecification {
  const { files: _files, ...request } = { ...defaultSpecification("c"), ...changes };
  return mergedSpecification(ID, request, IMAGE, { hostname: "node-1" });
}

describe("merging a request with its image", () => {
  it("what the request leaves open comes from the image", () => {
    const all = merged({});
    assert.deepEqual([all.entrypoint, all.args], [["/entry"], ["serve"]]);
    assert.deepEqual([all.user, all.workingDir, all.stopSignal], ["web", "/srv", "SIGQUIT"]);
    assert.equal(all.hostname, ID.slice(0, 12));
    assert.deepEqual(all.healthcheck, IMAGE.healthcheck);
  });

  it("an entrypoint drops the image's command; a command keeps the image's entrypoint", () => {
    const entry = merged({ entrypoint: ["/other"] });
    assert.deepEqual([entry.entrypoint, entry.args], [["/other"], []]);
    const command = merged({ args: ["-v"] });
    assert.deepEqual([command.entrypoint, command.args], [["/entry"], ["-v"]]);
  });

  it("an entrypoint taken away leaves the request's command alone", () => {
    const cleared = merged({ entrypoint: [""], args: ["sh"] });
    assert.deepEqual([cleared.entrypoint, cleared.args], [[], ["sh"]]);
    assert.throws(() => merged({ entrypointCleared: true }), /No command specified/);
  });

  it("environment: the request's first, then what it does not name", () => {
    assert.deepEqual(merged({ env: ["C=1", "A=mine", "B"] }).env, ["C=1", "A=mine", "B", "PATH=/bin"]);
  });

  it("labels: the request's win; an image cannot forge a task", () => {
    assert.deepEqual(merged({ labels: { both: "mine" } }).labels, { of: "image", both: "mine" });
  });

  it("parts of a health check are taken one by one", () => {
    const healthcheck = {
      test: [],
      intervalMs: 100,
      timeoutMs: 0,
      startPeriodMs: 0,
      startIntervalMs: 0,
      retries: 0,
    };
    assert.deepEqual(merged({ healthcheck }).healthcheck, { ...IMAGE.healthcheck, intervalMs: 100 });
  });

  it("on the host's network the name is the host's", () => {
    assert.equal(merged({ network: { kind: "host" } }).hostname, "node-1");
  });

  it("merging twice changes nothing", () => {
    const once = merged({ env: ["C=1"], labels: { a: "b" } });
    assert.deepEqual(mergedSpecification(ID, once, IMAGE, { hostname: "node-1" }), once);
  });
});

describe("volumes from another container", () => {
  const bind = {
    kind: "bind" as const,
    source: "/host",
    target: "/data",
    readOnly: false,
    propagation: "",
    recursive: true,
    createSource: false,
  };
  const other = { mounts: [bind], volumes: [{ target: "/vol", name: "v1", readOnly: false }] };

  it("binds and volumes come along, read-only when asked", () => {
    const { mounts } = withVolumesFrom(merged({ volumesFrom: ["other:ro"] }), () => other);
    assert.deepEqual(
      mounts.map(({ kind, target }) => [kind, target]),
      [
        ["bind", "/data"],
        ["volume", "/vol"],
      ],
    );
    assert.ok(mounts.every((mount) => "readOnly" in mount && mount.readOnly));
  });

  it("own mounts of the same place win", () => {
    const own = { ...bind, source: "/mine" };
    const { mounts } = withVolumesFrom(merged({ mounts: [own], volumesFrom: ["other"] }), () => other);
    assert.deepEqual(mounts[0], own);
    assert.equal(mounts.length, 2);
  });

  it("refuses an unknown mode", () => {
    assert.throws(() => withVolumesFrom(merged({ volumesFrom: ["other:xx"] }), () => other), /invalid mode/);
  });
});
