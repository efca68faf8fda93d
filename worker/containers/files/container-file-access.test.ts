/**
 * Files of real containers, both ways, while they run and while they do not.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { extract, pack } from "tar-stream";
import { type ContainerLab, openContainerLab } from "../container-lab.js";
import type { LocalContainerFileAccess } from "./container-file-access.js";

let lab: ContainerLab;
let files: LocalContainerFileAccess;

before(async () => {
  lab = await openContainerLab();
  files = lab.fileAccess();
});

after(async () => {
  await files.close();
  await lab.close();
});

interface Got {
  readonly name: string;
  readonly type: string;
  readonly linkname: string | null;
  readonly text: string;
}

async function entriesOf(tar: AsyncIterable<Uint8Array>): Promise<Got[]> {
  const parser = extract();
  const fed = (async () => {
    for await (const chunk of tar) parser.write(chunk);
    parser.end(undefined);
  })();
  const got: Got[] = [];
  for await (const entry of parser) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const { name, type, linkname } = entry.header;
    const text = Buffer.concat(chunks).toString("latin1");
    got.push({ name, type: type ?? "", linkname: linkname ?? null, text });
  }
  await fed;
  return got;
}

async function read(id: string, path: string): Promise<Got[]> {
  return entriesOf((await files.read(id, path, {})).tar);
}

interface Given {
  readonly name: string;
  readonly type?: "file" | "directory" | "symlink" | "link" | "character-device";
  readonly linkname?: string;
  readonly text?: string;
  readonly mode?: number;
}

async function* tarOf(entries: readonly Given[]): AsyncGenerator<Uint8Array> {
  const packer = pack();
  for (const { text, ...header } of entries) packer.entry({ uid: 7, gid: 8, ...header }, text ?? "");
  packer.finalize();
  for await (const chunk of packer) yield chunk as Buffer;
}

async function write(id: string, path: string, entries: readonly Given[], noOverwriteDirNonDir = true) {
  await files.write(id, path, tarOf(entries), { noOverwriteDirNonDir, copyUidGid: false });
}

async function sh(script: string, changes: Parameters<ContainerLab["spec"]>[0] = {}): Promise<string> {
  const { id } = await lab.manager.create(lab.spec({ args: ["sh", "-c", script], ...changes }));
  await lab.manager.start(id);
  return id;
}

async function outputOf(id: string): Promise<string> {
  let text = "";
  const wanted = { follow: true, tail: -1, sinceMs: 0, stdout: true, stderr: true };
  for await (const record of lab.manager.logs(id, wanted)) text += Buffer.from(record.data).toString();
  return text;
}

const settle = async (id: string, file: string): Promise<void> => {
  for (;;) {
    try {
      await files.stat(id, file);
      return;
    } catch (error) {
      if (!(error instanceof Error && error.message.includes("Could not find"))) throw error;
    }
  }
};

test("a file of a stopped container is told and read", async () => {
  const { id } = await lab.manager.create(lab.spec());
  const stat = await files.stat(id, "/data/seed");
  assert.deepEqual([stat.name, stat.sizeBytes, stat.goMode], ["seed", 15, 0o644]);
  assert.equal((await files.stat(id, "/data")).goMode, 2 ** 31 + 0o755);
  assert.equal((await files.stat(id, "/bin/sh")).goMode, 2 ** 27 + 0o777);
  const got = await read(id, "/data/seed");
  assert.deepEqual(
    got.map(({ name, text }) => [name, text]),
    [["seed", "from the image\n"]],
  );
  await lab.manager.remove(id);
});

test("names in the tar are those asked for: with a slash, a dot, through a link", async () => {
  const id = await sh(
    "mkdir -p /d/sub; echo x > /d/f; busybox ln -s d /ld; busybox ln -s /d/f /lf; " +
      "busybox ln /d/f /d/g; touch /ok; sleep 100",
  );
  await settle(id, "/ok");
  const names = async (path: string): Promise<string[]> => (await read(id, path)).map(({ name }) => name);
  const below = ["f", "g", "sub/"];
  assert.deepEqual(await names("/d"), ["d/", ...below.map((name) => `d/${name}`)]);
  assert.deepEqual(await names("/d/"), ["d/", ...below.map((name) => `d/${name}`)]);
  assert.deepEqual(await names("/ld/"), ["ld/", ...below.map((name) => `ld/${name}`)]);
  assert.deepEqual(await names("/ld/."), ["./", ...below.map((name) => `./${name}`)]);
  assert.deepEqual((await read(id, "/lf"))[0]?.linkname, "/d/f");
  assert.equal((await files.stat(id, "/ld")).linkTarget, "/d");
  assert.equal((await files.stat(id, "/lf")).linkTarget, "/d/f");
  const links = (await read(id, "/d")).filter(({ type }) => type === "link");
  assert.deepEqual(
    links.map(({ name, linkname }) => [name, linkname]),
    [["d/g", "d/f"]],
  );
  await assert.rejects(files.stat(id, "/lf/"), /not a directory/);
  await assert.rejects(files.stat(id, "/nope"), {
    message: `Could not find the file /nope in container ${id}`,
  });
  await lab.manager.remove(id, { force: true });
});

test("what is written is there in the running container, owner and mode as told", async () => {
  const id = await sh("while [ ! -e /go ]; do sleep 0.05; done; busybox ls -ln /in; cat /in/p/q/file");
  await write(id, "/", [{ name: "in", type: "directory" }]);
  await write(id, "/in", [
    { name: "p/q/file", text: "hello\n", mode: 0o4755 },
    { name: "abs", type: "symlink", linkname: "/etc" },
  ]);
  await write(id, "/", [{ name: "go", text: "" }]);
  const text = await outputOf(id);
  assert.match(text, /hello/);
  assert.match(text, /7 +8.*abs -> \/etc/);
  await lab.manager.remove(id, { force: true });
});

test("a file does not take a folder's place, nor a folder a file's", async () => {
  const { id } = await lab.manager.create(lab.spec());
  await assert.rejects(write(id, "/", [{ name: "data", text: "x" }]), {
    message: 'cannot overwrite directory "/data" with non-directory "/"',
  });
  await assert.rejects(write(id, "/data", [{ name: "seed", type: "directory" }]), /cannot overwrite non-dir/);
  await write(id, "/", [{ name: "data", text: "now a file" }], false);
  assert.equal((await read(id, "/data"))[0]?.text, "now a file");
  await assert.rejects(write(id, "/data", []), { message: "extraction point is not a directory" });
  await lab.manager.remove(id);
});

test("names, hard links and links that lead out are refused, and nothing outside is touched", async () => {
  const { id } = await lab.manager.create(lab.spec());
  const victim = "/tmp/skc-files-victim";
  writeFileSync(victim, "safe");
  await assert.rejects(
    write(id, "/tmp", [{ name: "../../../tmp/evil", text: "x" }]),
    /is outside of "\/tmp"/,
  );
  await assert.rejects(
    write(id, "/tmp", [{ name: "h", type: "link", linkname: `../..${victim}` }]),
    /hardlink/,
  );
  await assert.rejects(write(id, "/tmp", [{ name: "up", type: "symlink", linkname: "../../x" }]), /symlink/);
  await write(id, "/tmp", [
    { name: "out", type: "symlink", linkname: "/tmp" },
    { name: "out/skc-files-victim", text: "evil" },
    { name: "root", type: "symlink", linkname: "/" },
    { name: "root/tmp/skc-files-new", text: "evil" },
  ]);
  assert.equal(readFileSync(victim, "utf8"), "safe");
  assert.equal(existsSync("/tmp/skc-files-new"), false);
  assert.equal((await read(id, "/tmp/skc-files-victim"))[0]?.text, "evil");
  rmSync(victim);
  await lab.manager.remove(id);
});

test("volumes, binds and tmpfs are read and written through, running or not", async () => {
  const { dir } = lab;
  const mounts = [
    {
      kind: "volume",
      name: "v1",
      target: "/vol",
      readOnly: false,
      noCopy: true,
      subpath: "",
      driver: "local",
    },
    { kind: "tmpfs", target: "/tm", sizeBytes: 0, mode: 0o777, options: [] },
    {
      kind: "bind",
      source: `${dir}/b`,
      target: "/b",
      readOnly: true,
      propagation: "",
      recursive: true,
      createSource: true,
    },
  ].map((mount) => (mount.kind === "volume" ? { ...mount, driverOptions: {}, labels: {} } : mount)) as never;
  const id = await sh("echo t > /tm/t; echo v > /vol/v; touch /ok; sleep 100", { mounts, readOnly: false });
  await settle(id, "/ok");
  assert.equal((await read(id, "/tm/t"))[0]?.text, "t\n");
  assert.equal((await read(id, "/vol/v"))[0]?.text, "v\n");
  await write(id, "/vol", [{ name: "n", text: "new" }]);
  await assert.rejects(write(id, "/b", [{ name: "n", text: "new" }]), {
    message: "mounted volume is marked read-only",
  });
  writeFileSync(`${dir}/b/shown`, "bind");
  await lab.manager.stop(id, { gracePeriodMs: 0 });
  assert.equal((await read(id, "/vol/n"))[0]?.text, "new");
  assert.equal((await read(id, "/b/shown"))[0]?.text, "bind");
  assert.deepEqual(
    (await read(id, "/vol")).map(({ name }) => name),
    ["vol/", "vol/n", "vol/v"],
  );
  await assert.rejects(write(id, "/b", [{ name: "n", text: "new" }]), /marked read-only/);
  const exported = await entriesOf(files.exportRootfs(id, {}));
  assert.ok(exported.some(({ name }) => name === "vol/"));
  assert.ok(!exported.some(({ name }) => name === "vol/n"));
  await lab.manager.remove(id, { force: true });
});

test("a read-only root refuses, in Docker's words", async () => {
  const { id } = await lab.manager.create(lab.spec({ readOnly: true }));
  await assert.rejects(write(id, "/tmp", [{ name: "x", text: "" }]), {
    message: "container rootfs is marked read-only",
    code: "permission-denied",
  });
  await lab.manager.remove(id);
});

test("changes are told by kind, and the engine's own mount points are not", async () => {
  const id = await sh(
    "mkdir -p /n/deep; echo x > /n/f; rm /data/seed; chmod 700 /tmp; rm -r /etc; mkdir /etc; touch /etc/mine",
  );
  await lab.manager.wait(id);
  const shown = (await files.changes(id)).map(({ path, kind }) => `${"CAD"[kind]} ${path}`);
  assert.deepEqual(shown, [
    "C /data",
    "D /data/seed",
    "C /etc",
    "D /etc/group",
    "A /etc/mine",
    "D /etc/passwd",
    "A /n",
    "A /n/deep",
    "A /n/f",
    "C /tmp",
  ]);
  const { writableBytes } = await files.size(id);
  assert.equal(writableBytes, 2);
  await lab.manager.remove(id);
});

test("top lists the container's processes alone, sample counts them", async () => {
  const id = await sh("sleep 100 & sleep 101");
  const { titles, processes } = await files.top(id, "");
  assert.equal(titles[1], "PID");
  assert.ok(processes.length >= 1 && processes.length <= 3);
  const sample = await files.sample(id);
  assert.ok(sample.pids.current >= 1);
  assert.ok(sample.cpu.totalNs > 0 && sample.cpu.systemNs > sample.cpu.totalNs);
  assert.ok(sample.memory.usageBytes > 0 && sample.memory.limitBytes > 0);
  await lab.manager.remove(id, { force: true });
});

test("a container that swaps a folder and a link all the time leads nobody out", async () => {
  const id = await sh(
    "mkdir /real; echo inside > /real/passwd; mkdir /a; " +
      "while :; do busybox mv /a /a2; busybox ln -s /etc /a; busybox rm /a; busybox mv /a2 /a; " +
      "busybox ln -s /../../../etc /b; busybox rm /b; done",
  );
  const host = readFileSync("/etc/passwd", "utf8");
  const end = Date.now() + 3_000;
  let done = 0;
  while (Date.now() < end) {
    const outcome = await write(id, "/a", [{ name: "skc-files-race", text: "x" }]).then(
      () => "written",
      (error: unknown) => String(error),
    );
    if (outcome === "written") done += 1;
    for (const got of await Promise.allSettled([read(id, "/a/passwd"), read(id, "/a/")])) {
      if (got.status === "fulfilled") for (const { text } of got.value) assert.notEqual(text, host);
    }
  }
  assert.equal(existsSync("/etc/skc-files-race"), false);
  assert.ok(done > 0);
  await lab.manager.remove(id, { force: true });
});

test("replacing and comparing what a container swaps removes and tells nothing of the host", async () => {
  const victim = "/tmp/skc-files-victim-tree";
  mkdirSync(`${victim}/deep`, { recursive: true });
  writeFileSync(`${victim}/deep/file`, "host");
  const id = await sh(
    "mkdir /r; while :; do mkdir -p /r/x/deep; echo 1 > /r/x/deep/mine; busybox mv /r/x /r/y; " +
      `busybox ln -s ${victim} /r/x; busybox rm /r/x; busybox rm -r /r/y; done`,
  );
  const end = Date.now() + 2_000;
  while (Date.now() < end) {
    await Promise.allSettled([write(id, "/r", [{ name: "x", text: "x" }], false)]);
    const told = await files.changes(id);
    assert.ok(!told.some(({ path }) => path.endsWith("/file")));
    assert.ok((await files.size(id)).writableBytes < 1_000);
  }
  assert.equal(readFileSync(`${victim}/deep/file`, "utf8"), "host");
  rmSync(victim, { recursive: true });
  await lab.manager.remove(id, { force: true });
});
