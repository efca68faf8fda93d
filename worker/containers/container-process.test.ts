/** The request laid over the image; signals. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ImageConfig } from "../images/image-store.js";
import { containerProcess, mergeEnv, type ProcessRequest } from "./container-process.js";
import { signalNumber } from "./signals.js";

const image: ImageConfig = {
  user: "web",
  env: ["A=image", "B=image"],
  entrypoint: ["/entry"],
  cmd: ["serve"],
  workingDir: "/srv",
  labels: {},
  exposedPorts: [],
  volumes: [],
  stopSignal: "SIGQUIT",
  shell: [],
  healthcheck: {
    test: ["CMD", "check"],
    intervalMs: 1_000,
    timeoutMs: 0,
    startPeriodMs: 0,
    startIntervalMs: 0,
    retries: 0,
  },
};
const request: ProcessRequest = {
  entrypoint: [],
  args: [],
  env: [],
  workingDir: "",
  user: "",
  hostname: "",
  tty: false,
  stopSignal: "",
  healthcheck: undefined,
};
const id = "0123456789abcdef".repeat(4);
const of = (changes: Partial<ProcessRequest>, from = image): ReturnType<typeof containerProcess> =>
  containerProcess(id, { ...request, ...changes }, from);

describe("container process", () => {
  it("nothing asked takes the image's", () => {
    const process = of({});
    assert.deepEqual(process.args, ["/entry", "serve"]);
    assert.deepEqual(
      [process.cwd, process.user, process.stopSignal, process.hostname],
      ["/srv", "web", "SIGQUIT", "0123456789ab"],
    );
  });

  it("arguments replace the command, an entrypoint drops it", () => {
    assert.deepEqual(of({ args: ["x"] }).args, ["/entry", "x"]);
    assert.deepEqual(of({ entrypoint: ["/mine"] }).args, ["/mine"]);
    assert.throws(() => of({}, { ...image, entrypoint: [], cmd: [] }), /no command specified/);
  });

  it("the environment is overridden by name, a bare name removes", () => {
    assert.deepEqual(of({ env: ["B=mine", "A"] }).env.slice(2), ["B=mine"]);
    assert.deepEqual(mergeEnv(["A=1", "B=2"], ["A=3"]), ["A=3", "B=2"]);
    assert.throws(() => mergeEnv(["=x"]), /invalid environment variable/);
    assert.ok(of({ tty: true }).env.includes("TERM=xterm"));
  });

  it("health is merged field by field, NONE switches it off", () => {
    const merged = of({
      healthcheck: {
        test: [],
        intervalMs: 0,
        timeoutMs: 7,
        startPeriodMs: 0,
        startIntervalMs: 0,
        retries: 0,
      },
    }).healthcheck;
    assert.deepEqual(merged, {
      test: ["CMD", "check"],
      intervalMs: 1_000,
      timeoutMs: 7,
      startPeriodMs: 0,
      startIntervalMs: 5_000,
      retries: 3,
    });
    assert.equal(
      of({
        healthcheck: {
          test: ["NONE"],
          intervalMs: 0,
          timeoutMs: 0,
          startPeriodMs: 0,
          startIntervalMs: 0,
          retries: 0,
        },
      }).healthcheck,
      undefined,
    );
  });
});

describe("signals", () => {
  it("names and numbers in every spelling", () => {
    assert.deepEqual(
      ["SIGTERM", "term", "15", "KILL", "SIGRTMIN", "RTMIN+3", "RTMAX-1"].map(signalNumber),
      [15, 15, 15, 9, 34, 37, 63],
    );
    for (const wrong of ["", "0", "SIGNOPE", "RTMIN-1"])
      assert.throws(() => signalNumber(wrong), /Invalid signal/);
    assert.throws(() => signalNumber("99"), /does not support signal 99/);
  });
});
