/**
 * Copying, changes, export, top and stats by the stock docker CLI: what its users see, for a container that
 * runs and for one that does not.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { DockerCli, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { linesOf, must } from "../support/lab/lab-services.js";
import { attempt } from "../support/lab/shell.js";

const IMAGE = "skein-hello:latest";
let lab: Lab;
let host: LabHost;
let cli: DockerCli;
let dir: string;
const docker = (...args: string[]): Promise<string[]> => cli.lines(...args);
const refused = (...args: string[]): Promise<string> => cli.refused(...args);
/** A line of shell in which `docker` speaks to the host. */
const shell = async (line: string): Promise<string[]> =>
  linesOf(
    await must(
      attempt("sh", ["-c", line], { env: { ...process.env, DOCKER_HOST: `unix://${host.socketPath}` } }),
    ),
  );
const local = (name: string): string => join(dir, name);

describe("files of containers by the stock docker CLI", { skip: skipWithoutDocker }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 1 });
    host = lab.host(1);
    cli = new DockerCli(host);
    await host.start();
    dir = join(host.dir, "copies");
    mkdirSync(join(dir, "folder/sub"), { recursive: true });
    writeFileSync(local("file"), "single\n", { mode: 0o640 });
    writeFileSync(local("folder/one"), "one\n");
    writeFileSync(local("folder/sub/two"), "two\n");
    symlinkSync("one", local("folder/link"));
    symlinkSync("folder", local("folderlink"));
    writeFileSync(local("image.tar"), await busyboxImage());
    await docker("load", "-q", "-i", local("image.tar"));
    await docker(
      "run",
      "-d",
      "--name",
      "run",
      "--network",
      "none",
      "-v",
      "vol:/vol",
      "--tmpfs",
      "/tm",
      IMAGE,
      "sleep",
      "600",
    );
    await docker("create", "--name", "made", "--network", "none", "-v", "vol:/vol", IMAGE, "true");
    await docker(
      "create",
      "--name",
      "ro",
      "--network",
      "none",
      "--read-only",
      "-v",
      "vol:/vol",
      IMAGE,
      "true",
    );
  });

  after(async () => {
    if (host !== undefined) await host.docker(["rm", "-fv", "run", "made", "ro"]);
    assert.deepEqual(await lab.close(), []);
  });

  for (const name of ["run", "made"]) {
    test(`${name}: files and folders go in by docker cp's rules`, async () => {
      const names = async (path: string): Promise<string[]> =>
        (await shell(`docker cp ${name}:${path} - | tar t`)).sort();
      await docker("cp", local("file"), `${name}:/tmp`);
      await docker("cp", local("file"), `${name}:/tmp/renamed`);
      assert.deepEqual(await names("/tmp"), ["tmp/", "tmp/file", "tmp/renamed"]);
      const tree = ["link", "one", "sub/", "sub/two"];
      await docker("cp", local("folder"), `${name}:/root/new`);
      assert.deepEqual(await names("/root/new"), ["new/", ...tree.map((path) => `new/${path}`)]);
      await docker("cp", local("folder"), `${name}:/root/new`); // it is there: below it
      assert.ok((await names("/root/new")).includes("new/folder/sub/two"));
      await docker("cp", `${local("folder")}/.`, `${name}:/var`);
      assert.deepEqual(await names("/var/."), ["./", ...tree.map((path) => `./${path}`)]);
      await docker("cp", "-L", local("folderlink"), `${name}:/run/followed`);
      assert.deepEqual(await names("/run/followed"), [
        "followed/",
        ...tree.map((path) => `followed/${path}`),
      ]);
      await shell(`tar -C ${dir} -cz folder file | docker cp - ${name}:/greeter`);
      assert.ok((await names("/greeter")).includes("greeter/folder/sub/two"));
    });

    test(`${name}: what must not be is refused in Docker's words`, async () => {
      assert.match(
        await refused("cp", local("file"), `${name}:/nowhere/x`),
        new RegExp(`Could not find the file /nowhere in container ${name}`),
      );
      assert.match(await refused("cp", `${name}:/nope`, dir), /Could not find the file \/nope in container/);
      assert.match(await refused("cp", local("folder"), `${name}:/etc/passwd`), /cannot copy directory/);
      assert.match(await refused("cp", "nobody:/x", dir), /No such container: nobody/);
    });

    test(`${name}: files and folders come out, links followed when asked`, async () => {
      const out = local(`out-${name}`);
      mkdirSync(out);
      await docker("cp", `${name}:/etc/passwd`, `${out}/passwd`);
      assert.match(readFileSync(`${out}/passwd`, "utf8"), /^root:/);
      await docker("cp", `${name}:/root/new`, `${out}/tree`);
      assert.equal(readlinkSync(`${out}/tree/link`), "one");
      assert.equal(readFileSync(`${out}/tree/sub/two`, "utf8"), "two\n");
      await docker("cp", `${name}:/bin/sh`, `${out}/sh`);
      assert.equal(readlinkSync(`${out}/sh`), "busybox");
      await docker("cp", "-L", `${name}:/bin/sh`, `${out}/program`);
      assert.ok(statSync(`${out}/program`).size > 500_000);
      await docker("cp", "-a", `${name}:/tmp/file`, `${out}/archived`);
      assert.equal(statSync(`${out}/archived`).mode & 0o777, 0o640);
    });
  }

  test("a volume is the same from a container that runs and from one that does not", async () => {
    await docker("cp", local("file"), "made:/vol/from-made");
    assert.deepEqual(await docker("exec", "run", "cat", "/vol/from-made"), ["single"]);
    await docker("cp", local("file"), "run:/tm/in-tmpfs");
    assert.deepEqual(await docker("exec", "run", "cat", "/tm/in-tmpfs"), ["single"]);
    assert.match(await refused("cp", local("file"), "ro:/tmp"), /container rootfs is marked read-only/);
    await docker("cp", local("file"), "ro:/vol/from-ro");
    assert.deepEqual(await shell("docker cp ro:/vol/from-ro - | tar xO"), ["single"]);
  });

  test("a link in the container that leads to the host leads to the container", async () => {
    const victim = local("victim");
    writeFileSync(victim, "host");
    await docker("exec", "run", "busybox", "ln", "-s", dir, "/evil");
    await docker("exec", "run", "mkdir", "-p", dir);
    await docker("cp", local("file"), "run:/evil/victim");
    assert.equal(readFileSync(victim, "utf8"), "host");
    assert.deepEqual(await docker("exec", "run", "cat", victim), ["single"]);
    await docker(
      "exec",
      "run",
      "busybox",
      "ln",
      "-s",
      "/proc/1/root/../../../../../../etc/hostname",
      "/evil2",
    );
    await docker("cp", "-L", "run:/evil2", local("stolen"));
    assert.deepEqual(linesOf(readFileSync(local("stolen"), "utf8")), await docker("exec", "run", "hostname"));
  });

  test("diff names what was changed, added and deleted; export holds it all", async () => {
    await docker(
      "run",
      "--name",
      "changed",
      "--network",
      "none",
      IMAGE,
      "sh",
      "-c",
      "echo x > /new; rm /www/index.html",
    );
    assert.deepEqual(await docker("diff", "changed"), ["A /new", "C /www", "D /www/index.html"]);
    const names = await shell("docker export changed | tar t");
    assert.ok(names.includes("new") && names.includes("bin/busybox") && !names.includes("www/index.html"));
    await docker("rm", "changed");
  });

  test("top shows the container's processes alone", async () => {
    const lines = await docker("top", "run");
    assert.match(lines[0] ?? "", /^UID +PID +PPID +C +STIME +TTY +TIME +CMD$/);
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? "", /sleep 600$/);
    assert.match((await docker("top", "run", "-eo", "pid,comm"))[1] ?? "", /^\d+ +sleep$/);
    assert.match(await refused("top", "made"), /is not running/);
    assert.match(await refused("top", "run", "-o", "comm"), /Couldn't find PID field in ps output/);
  });

  test("stats: a busy container has a share of the CPUs, a stopped one zeros", async () => {
    await docker(
      "run",
      "-d",
      "--name",
      "busy",
      "--network",
      "none",
      "-m",
      "64m",
      IMAGE,
      "sh",
      "-c",
      "while :; do :; done",
    );
    const format = "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}";
    const lines = await docker("stats", "--no-stream", "--format", format, "busy", "made");
    const [, share, limit, pids] = /^busy ([\d.]+)% \S+ \/ (\S+) (\d+)$/.exec(lines[0] ?? "") ?? [];
    assert.ok(Number(share) > 5 && Number(share) < 110, lines[0]);
    assert.deepEqual([limit, pids], ["64MiB", "1"]);
    assert.match(lines[1] ?? "", /^made 0\.00% 0B \/ 0B 0$/);
    await docker("rm", "-f", "busy");
  });
});
