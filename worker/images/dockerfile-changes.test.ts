import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { applyChanges } from "./dockerfile-changes.js";
import { EMPTY_CONFIG, parseImageConfig, runConfigToJson } from "./image-config.js";

test("each change line does what it does in a Dockerfile", () => {
  const config = applyChanges({ ...EMPTY_CONFIG, env: ["PATH=/bin", "A=old"], workingDir: "/srv" }, [
    "cmd echo hello",
    'ENTRYPOINT ["/init", "-x"]',
    'ENV A=new B="two words" C=\\$x',
    "ENV OLD the whole rest",
    "EXPOSE 80 53/udp 8000-8001",
    'LABEL a.b="c d" e=f',
    "USER 1000:1000",
    'VOLUME ["/data"]',
    "VOLUME /a /b",
    "WORKDIR sub",
    "HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl localhost",
    "# a remark",
  ]);
  assert.deepEqual(config, {
    ...EMPTY_CONFIG,
    cmd: ["/bin/sh", "-c", "echo hello"],
    entrypoint: ["/init", "-x"],
    env: ["PATH=/bin", "A=new", "B=two words", "C=$x", "OLD=the whole rest"],
    exposedPorts: ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"],
    labels: { "a.b": "c d", e: "f" },
    user: "1000:1000",
    volumes: ["/a", "/b", "/data"],
    workingDir: "/srv/sub",
    healthcheck: {
      test: ["CMD-SHELL", "curl localhost"],
      intervalMs: 90_000,
      timeoutMs: 500,
      startPeriodMs: 0,
      startIntervalMs: 0,
      retries: 3,
    },
  });
  const bytes = Buffer.from(
    JSON.stringify({
      os: "linux",
      architecture: "amd64",
      rootfs: { diff_ids: [] },
      config: runConfigToJson(config),
    }),
  );
  assert.deepEqual(parseImageConfig(bytes, "x").config, config);
});

test("a change line that is none is refused with its text", () => {
  for (const line of [
    "FROM x",
    "RUN x",
    "ENV A",
    "LABEL =x",
    "EXPOSE http",
    "HEALTHCHECK curl",
    "HEALTHCHECK --x=1 CMD y",
    "==",
  ]) {
    assert.throws(() => applyChanges(EMPTY_CONFIG, [line]), InvalidArgumentError, line);
  }
});
