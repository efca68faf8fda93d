/**
 * What a hostile container or image must not get at: its own image's layers, the daemon's socket, other
 * containers' secrets and processes, the host's files. By the stock docker CLI where it has words for it.
 */
import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildImage, dockerArchive, type TarEntry } from "../support/image-tar.js";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { DockerCli, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";

const IMAGE = "skein-hello:latest";
let lab: Lab;
let host: LabHost;
let cli: DockerCli;
let dir: string;
const docker = (...args: string[]): Promise<string[]> => cli.lines(...args);

/** Runs a script in a container of its own, whatever its exit code. @returns what it printed, both streams. */
async function inside(script: string, ...options: string[]): Promise<string> {
  const args = ["run", "--rm", "--network", "none", ...options, IMAGE, "sh", "-c", script];
  const { stdout, stderr } = await host.docker(args, { timeoutMs: 30_000 });
  return stdout + stderr;
}

/** Names, kinds, sizes and contents of a tree. */
function pictureOf(path: string): unknown {
  const stats = lstatSync(path);
  if (stats.isDirectory())
    return [stats.mode, readdirSync(path).map((name) => [name, pictureOf(join(path, name))])];
  if (stats.isSymbolicLink()) return readlinkSync(path);
  return [stats.mode, stats.size, stats.isFile() && stats.size < 100_000 ? readFileSync(path, "latin1") : ""];
}

describe("containers and images that mean harm", { skip: skipWithoutDocker }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 1 });
    host = lab.host(1);
    cli = new DockerCli(host);
    await host.start();
    dir = join(host.dir, "escape");
    mkdirSync(dir);
    writeFileSync(join(dir, "image.tar"), await busyboxImage());
    await docker("load", "-q", "-i", join(dir, "image.tar"));
  });

  after(async () => {
    assert.deepEqual(await lab.close(), []);
  });

  test("a container cannot change the layers of its image", async () => {
    const layers = join(host.dataDir, "images", "layers");
    const before = pictureOf(layers);
    const words = await inside(
      "rm -rf /www /etc/passwd; echo evil > /bin/evil; chmod 777 /bin/busybox; " +
        "mount -o remount,rw / ; mount -t overlay overlay -o lowerdir=/bin /tmp; echo done",
    );
    assert.match(words, /done/);
    assert.deepEqual(pictureOf(layers), before);
    assert.match(await inside("cat /www/index.html; ls /bin/evil"), /hello from skein[\s\S]*No such file/);
  });

  test("a container finds no socket of the daemon, by path or in the abstract", async () => {
    const words = await inside(
      `ls ${host.socketPath} ${host.runDir} /run/skein /var/run/docker.sock; cat /proc/net/unix`,
    );
    assert.doesNotMatch(words, /skein\.sock\n/);
    assert.equal(words.match(/No such file/g)?.length, 4, words);
    const shared = await inside("cat /proc/net/unix", "--network", "host");
    assert.doesNotMatch(shared, /@\S*(skein|conmon)/, "no abstract socket of ours");
  });

  test("a container sees its own processes alone, and the host's root by none of them", async () => {
    const words = await inside(
      "ls -d /proc/[0-9]* ; ls /proc/1/root/ ; readlink /proc/1/exe; cat /proc/1/root/etc/shadow; " +
        `ls /proc/1/root${host.dir} /proc/self/cwd${host.dir} /proc/self/fd/3/..`,
    );
    assert.doesNotMatch(words, /skeind|escape|image\.tar/);
    const pids = words.split("\n").filter((line) => /^\/proc\/\d+$/.test(line));
    assert.ok(pids.length <= 3, pids.join());
    const fds = await inside("ls -l /proc/1/fd /proc/self/fd");
    assert.doesNotMatch(fds, new RegExp(`${host.dir}|/tmp/|/run/`), "no handle of ours came along");
  });

  test("a container cannot write where the kernel listens, nor make devices that reach the host", async () => {
    const words = await inside(
      "for path in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe " +
        "/sys/kernel/uevent_helper /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/*/cgroup.procs; do " +
        "echo x > $path 2>/dev/null && echo wrote $path; done; " +
        "busybox mknod /disk b 254 0 && busybox head -c 1 /disk && echo read the disk; " +
        "busybox mknod /mem c 1 1 && busybox head -c 1 /mem && echo read the memory; " +
        "cat /proc/kcore | busybox head -c 1 | wc -c; unshare -m true && echo unshared",
    );
    assert.doesNotMatch(words, /wrote|read the|unshared/);
  });

  test("a container sees nothing of another's root, volume or secret files", async () => {
    await docker(
      "run",
      "-d",
      "--name",
      "other",
      "--network",
      "none",
      "-v",
      "hidden:/v",
      IMAGE,
      "sh",
      "-c",
      "echo treasure > /v/secret; echo treasure > /run/secret; sleep 600",
    ); // prettier-ignore
    const words = await inside(
      "busybox find / -xdev -name secret 2>/dev/null; cat /proc/*/root/run/secret; " +
        `ls ${host.dataDir} ${host.runDir}; busybox grep -r treasure /run /tmp /var /dev/shm`,
    );
    assert.doesNotMatch(words, /treasure|\/secret$/m);
    await docker("rm", "-fv", "other");
    await docker("volume", "rm", "hidden");
  });

  test("images whose layers lead out are refused, and leave nothing on the host", async () => {
    const victim = join(dir, "victim");
    writeFileSync(victim, "host");
    const up = "../".repeat(20);
    const attacks: Readonly<Record<string, readonly TarEntry[]>> = {
      "name upwards": [{ name: `${up}${dir.slice(1)}/made`, content: "evil" }],
      "absolute name": [{ name: `${dir}/made`, content: "evil" }],
      "hard link upwards": [{ name: "hard", type: "link", linkname: `${up}${victim.slice(1)}` }],
      "hard link, absolute": [
        { name: "hard", type: "link", linkname: victim },
        { name: "hard", content: "evil" },
      ],
      "through a link": [
        { name: "way", type: "symlink", linkname: dir },
        { name: "way/made", content: "evil" },
        { name: "way/victim", content: "evil" },
      ],
      "through a link upwards": [
        { name: "a/b/way", type: "symlink", linkname: `${up}${dir.slice(1)}` },
        { name: "a/b/way/made", content: "evil" },
      ],
      "whiteout upwards": [{ name: `${up}${dir.slice(1)}/.wh.victim`, content: "" }],
      "opaque through a link": [
        { name: "way", type: "symlink", linkname: dir },
        { name: "way/.wh..wh..opq", content: "" },
        { name: "way/.wh.victim", content: "" },
      ],
      "redirected folder": [
        { name: "redirected", type: "directory", pax: { "SCHILY.xattr.trusted.overlay.redirect": dir } },
      ],
    };
    const beforeImages = pictureOf(join(host.dataDir, "images", "layers"));
    for (const [name, entries] of Object.entries(attacks)) {
      const image = await buildImage({ layers: [entries] });
      const file = join(host.dir, "attack.tar");
      writeFileSync(file, await dockerArchive(image, ["attack:1"]));
      const { code } = await host.docker(["load", "-q", "-i", file]);
      assert.equal(existsSync(join(dir, "made")), false, name);
      assert.equal(readFileSync(victim, "utf8"), "host", name);
      assert.equal(lstatSync(victim).nlink, 1, name);
      // what was not refused was contained: it goes away with its image
      if (code === 0) await docker("rmi", "attack:1");
      assert.deepEqual(pictureOf(join(host.dataDir, "images", "layers")), beforeImages, name);
      assert.deepEqual(readdirSync(join(host.dataDir, "images", "tmp")), [], name);
    }
    assert.match((await docker("images", "-q")).join(), /^[0-9a-f]{12}$/);
  });

  test("archives copied in that lead out are refused, and leave nothing on the host", async () => {
    await docker("create", "--name", "target", "--network", "none", IMAGE, "true");
    const victim = join(dir, "victim");
    writeFileSync(victim, "host");
    const image = await buildImage({
      layers: [
        [
          { name: "way", type: "symlink", linkname: dir },
          { name: "way/victim", content: "evil" },
        ],
        [{ name: `${"../".repeat(12)}${victim.slice(1)}`, content: "evil" }],
        [{ name: "hard", type: "link", linkname: `${"../".repeat(12)}${victim.slice(1)}` }],
      ],
    });
    for (const tar of image.plainLayers) {
      await host.api("PUT", "/v1.41/containers/target/archive?path=/tmp", tar);
      assert.equal(readFileSync(victim, "utf8"), "host");
      assert.equal(lstatSync(victim).nlink, 1);
    }
    await docker("rm", "target");
  });
});
