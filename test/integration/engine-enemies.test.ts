/**
 * Clients that mean no good or die midway, monitors that are killed, a disk that is full: skeind lives, its
 * memory and its descriptors come back, no container is harmed and nothing is left. Real daemon.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { call, IMAGE, logLines, messageIn, until } from "../support/lab/lab-swarm.js";
import { COUNTER, type LiveContainer, removeLive, seen, startLive } from "../support/lab/live-containers.js";

const EVENT_CLIENTS = 1_000;
const ATTACH_CLIENTS = 200;
const LOG_CLIENTS = 100;
/** What the daemon may keep of memory once the clients are gone; a leak of a connection each is far more. */
const KEPT_MIB = 100;

let lab: Lab;
let host: LabHost;
let pid: number;
let bystander: LiveContainer;
let idleFds: number;

before(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  await host.start();
  pid = host.daemonPid ?? assert.fail("no daemon");
  await call(host, "POST", "/images/load", await busyboxImage());
  bystander = await startLive(host, "bystander", { script: COUNTER });
  idleFds = descriptors();
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;

function residentMib(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** A raw connection that has sent `bytes`; whatever comes back is read away. */
function opened(bytes: string | Uint8Array): Promise<Socket> {
  return new Promise((done, failed) => {
    const socket = connect(host.socketPath);
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      socket.on("error", () => undefined); // the daemon may hang up on what it got: that is its right
      socket.resume();
      socket.write(bytes, () => done(socket));
    });
  });
}

function answered(socket: Socket): Promise<void> {
  return new Promise((done) => {
    socket.once("data", () => done());
    socket.once("close", () => done());
  });
}

async function many(count: number, bytes: string): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  // as many at a time as the backlog of the socket holds
  for (let at = 0; at < count; at += 100)
    sockets.push(
      ...(await Promise.all(Array.from({ length: Math.min(100, count - at) }, () => opened(bytes)))),
    );
  return sockets;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: d\r\n\r\n`;
const upgrade = (path: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n`;

/** Same daemon, few descriptors, the bystander in its first life and still counting. */
async function unharmed(): Promise<void> {
  assert.equal(host.daemonPid, pid, "the daemon lives");
  await until(
    "descriptors come back",
    10_000,
    async () => (descriptors() <= idleFds + 10 ? true : undefined),
    () => `${descriptors()} now, ${idleFds} before`,
  );
  const { State } = await seen(host, bystander.id);
  assert.deepEqual([State.Status, State.Pid], ["running", bystander.pid]);
  const before = (await logLines(host, `/containers/${bystander.id}`)).length;
  await until("the bystander counts on", 5_000, async () =>
    (await logLines(host, `/containers/${bystander.id}`)).length > before ? true : undefined,
  );
}

test("thousands of followers of events, attached clients and readers of logs that vanish", async () => {
  for (const [count, request] of [
    [EVENT_CLIENTS, get("/events")],
    [ATTACH_CLIENTS, upgrade(`/containers/${bystander.id}/attach?stream=1&stdout=1&stderr=1&logs=1`)],
    [LOG_CLIENTS, get(`/containers/${bystander.id}/logs?follow=1&stdout=1`)],
  ] as const) {
    const sockets = await many(count, request);
    await answered(sockets.at(-1) ?? assert.fail());
    await call(host, "GET", "/_ping");
    for (const socket of sockets) socket.destroy();
    await unharmed();
  }
  const kept = residentMib();
  for (const socket of await many(EVENT_CLIENTS, get("/events"))) socket.destroy();
  await unharmed();
  assert.ok(residentMib() - kept < KEPT_MIB, `${kept} MiB, then ${residentMib()} MiB`);
});

test("bytes that are no request, halves of requests, and headers without end", async () => {
  const halves = [
    "GET /containers/json HT",
    "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 900\r\n\r\n{",
    `GET /_ping HTTP/1.1\r\nX: ${"a".repeat(200_000)}`,
    `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: d\r\n\r\n`,
    "POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "GET /%ff%00/../..//containers/%2e%2e/json HTTP/1.1\r\nHost: d\r\n\r\n",
    `POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 200000\r\n\r\n${"[".repeat(200_000)}`,
  ];
  const sockets = await Promise.all([
    ...halves.map(opened),
    ...Array.from({ length: 50 }, () => opened(randomBytes(5_000))),
  ]);
  await call(host, "GET", "/_ping");
  for (const socket of sockets) socket.destroy();
  await unharmed();
});

test("uploads of images, contexts and files that break off leave nothing", async () => {
  const image = await busyboxImage();
  const half = image.subarray(0, image.length / 2);
  const before = stored();
  for (const path of [
    "/images/load",
    "/images/create?fromSrc=-&repo=half",
    "/build?t=half",
    `/containers/${bystander.id}/archive?path=/tmp`,
  ]) {
    const method = path.includes("/archive") ? "PUT" : "POST";
    const length = `Content-Type: application/x-tar\r\nContent-Length: ${image.length}`;
    const head = `${method} ${path} HTTP/1.1\r\nHost: d\r\n${length}\r\n\r\n`;
    const sockets = await Promise.all(
      Array.from({ length: 10 }, () => opened(Buffer.concat([Buffer.from(head), half]))),
    );
    for (const socket of sockets) socket.destroy();
  }
  await unharmed();
  await until(
    "nothing of the halves is left",
    5_000,
    async () => (stored().length <= before.length ? true : undefined),
    () =>
      stored()
        .filter((path) => !before.includes(path))
        .join(" "),
  );
  const images = await call<readonly { RepoTags: readonly string[] }[]>(host, "GET", "/images/json?all=1");
  assert.deepEqual(
    images.flatMap(({ RepoTags }) => RepoTags),
    [IMAGE],
  );
});

/** Without what is in containers: there an archive is unpacked as far as it came, as in Docker. */
const stored = (): string[] =>
  readdirSync(join(host.dataDir, "images"), { recursive: true, encoding: "utf8" }).filter(
    (path) => !path.startsWith("rootfs/"),
  );

test("a monitor that is killed: its container is ended and can be removed, the others run on", async () => {
  const victim = await startLive(host, "victim", { script: COUNTER });
  const monitor = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${victim.pid}/stat`, "utf8"))?.[1]);
  assert.match(readFileSync(`/proc/${monitor}/cmdline`, "utf8"), /conmon/);
  process.kill(monitor, "SIGKILL");
  await until("the killed monitor is noticed or harmless", 5_000, async () =>
    existsSync(`/proc/${monitor}/cmdline`) ? undefined : true,
  );
  await removeLive(host, victim.id);
  // what is left of it until its new parent asks is no process any more
  await until("the container's process has ended", 5_000, async () =>
    existsSync(`/proc/${victim.pid}/exe`) ? undefined : true,
  );
  await unharmed();
});

test("a full disk is told with words, harms nothing that runs, and all is well again with room", async () => {
  const small = await Lab.open({ hosts: 1 });
  const other = small.host(1);
  mkdirSync(other.dataDir, { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64m", "skein-small", other.dataDir]);
  try {
    await other.start();
    const daemon = other.daemonPid;
    await call(other, "POST", "/images/load", await busyboxImage());
    const running = await startLive(other, "writer", { script: COUNTER });
    const fill = join(other.dataDir, "fill");
    const { bavail, bsize } = await import("node:fs/promises").then((fs) => fs.statfs(other.dataDir));
    writeFileSync(fill, Buffer.alloc(Math.max(0, bavail * bsize - 20_480), 1));
    const big = await busyboxImage({ tags: ["big:1"], files: { "big.bin": "x".repeat(3_000_000) } });
    const load = await other.api("POST", "/images/load", big);
    assert.match(load.body, /no space left|ENOSPC/i, `load: ${load.status}`);
    const creations = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        other.api("POST", `/containers/create?name=full-${i}`, { Image: IMAGE, Cmd: ["true"] }),
      ),
    );
    for (const created of creations.filter(({ status }) => status >= 400))
      assert.match(messageIn(created), /no space left|ENOSPC/i);
    await new Promise((wake) => setTimeout(wake, 300));
    assert.equal(other.daemonPid, daemon, "the daemon lives");
    assert.equal((await seen(other, running.id)).State.Pid, running.pid);
    execFileSync("rm", ["-f", fill]);
    await call(other, "POST", "/images/load", big);
    const again = await startLive(other, "again", { script: COUNTER });
    await until("it counts", 5_000, async () =>
      (await logLines(other, `/containers/${again.id}`)).length > 3 ? true : undefined,
    );
    assert.equal((await seen(other, running.id)).State.Pid, running.pid);
    const all = await call<readonly { Id: string }[]>(other, "GET", "/containers/json?all=1");
    for (const { Id } of all) await removeLive(other, Id);
    await other.stop();
  } finally {
    if (other.daemonPid !== undefined) await other.killHost();
    execFileSync("umount", ["-l", other.dataDir]);
    assert.deepEqual(await small.close(), []);
  }
});
