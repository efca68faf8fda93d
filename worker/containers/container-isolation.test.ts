/** What a real container may see, do and use up. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type ContainerLab, openContainerLab } from "./container-lab.js";
import type { ContainerRecord, ContainerSpecification } from "./container-manager.js";

describe("container isolation", () => {
  let lab: ContainerLab;
  before(async () => {
    lab = await openContainerLab();
  });
  after(() => lab.close());

  async function run(
    changes: Partial<ContainerSpecification>,
  ): Promise<{ record: ContainerRecord; stdout: string; stderr: string }> {
    const { id } = await lab.manager.create(lab.spec(changes));
    await lab.manager.start(id);
    const record = await lab.manager.wait(id);
    const out = { stdout: "", stderr: "" };
    for await (const line of lab.manager.logs(id, {
      follow: false,
      tail: -1,
      sinceMs: 0,
      stdout: true,
      stderr: true,
    })) {
      out[line.stream] += Buffer.from(line.data).toString("utf8");
    }
    await lab.manager.remove(id);
    return { record, ...out };
  }
  const shell = (script: string, changes: Partial<ContainerSpecification> = {}): ReturnType<typeof run> =>
    run({ ...changes, args: ["sh", "-c", script] });

  it("output is split by stream, a last piece has no newline", async () => {
    const { stdout, stderr } = await shell("echo out; echo err >&2; printf end");
    assert.equal(stdout, "out\nend");
    assert.equal(stderr, "err\n");
  });

  it("environment, hostname, working folder and name files are set", async () => {
    const { stdout } = await shell(
      "echo $FROM_IMAGE $MINE $PATH; hostname; pwd; cat /etc/hostname; grep -c localhost /etc/hosts; " +
        "cat /etc/resolv.conf",
      {
        env: ["MINE=2", "FROM_IMAGE=changed"],
        hostname: "box1",
        workingDir: "/new/folder",
        resolvConf: "nameserver 127.0.0.11\n",
      },
    );
    assert.equal(
      stdout,
      "changed 2 /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" +
        "box1\n/new/folder\nbox1\n2\nnameserver 127.0.0.11\n",
    );
  });

  it("a user by name has the uid, groups and home of the image, and no capabilities", async () => {
    const { stdout } = await shell("id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status", {
      user: "alice",
    });
    assert.equal(stdout, "1001\n1002\n1002 1003\n/home/alice\nCapEff:\t0000000000000000\n");
  });

  it("capabilities are Docker's default set, plus and minus what was asked", async () => {
    const cap = async (changes: Partial<ContainerSpecification>): Promise<string> =>
      (await shell("grep CapEff /proc/self/status", changes)).stdout.split("\t")[1]?.trim() ?? "";
    assert.equal(await cap({}), "00000000a80425fb");
    assert.equal(await cap({ capDrop: ["ALL"], capAdd: ["NET_ADMIN"] }), "0000000000001000");
  });

  it("the default seccomp filter refuses mounts and namespaces, normal work runs", async () => {
    const script =
      "grep Seccomp: /proc/self/status; unshare -m true; mount -t tmpfs none /tmp; " +
      "mkdir /tmp/x && touch /tmp/x/y && ls /tmp/x";
    const { stdout, stderr } = await shell(script, { capAdd: ["SYS_CHROOT"] });
    assert.equal(stdout, "Seccomp:\t2\ny\n");
    assert.match(stderr, /unshare.*Operation not permitted/);
    assert.match(stderr, /mount.*(not permitted|denied)/i);
    const open = await shell("grep Seccomp: /proc/self/status", { seccomp: { kind: "unconfined" } });
    assert.equal(open.stdout, "Seccomp:\t0\n");
  });

  it("a read-only root takes no write, a tmpfs on it does", async () => {
    const { stdout, stderr } = await shell("touch /x; touch /scratch/x && ls /scratch", {
      readOnly: true,
      mounts: [{ kind: "tmpfs", target: "/scratch", sizeBytes: 1 << 20, mode: 0o1777, options: [] }],
    });
    assert.match(stderr, /Read-only file system/);
    assert.equal(stdout, "x\n");
  });

  it("secrets are files on a tmpfs with the owner and mode asked for", async () => {
    const { stdout } = await shell(
      [
        "cat /run/secrets/key; stat -c '%u %g %a' /run/secrets/key; cat /etc/app.conf",
        "grep ' /run/secrets ' /proc/mounts | grep -c tmpfs; grep -c ' /etc/app.conf tmpfs' /proc/mounts",
        "echo x > /run/secrets/key",
      ].join("; "),
      {
        files: [
          { target: "/run/secrets/key", data: Buffer.from("hush\n"), uid: 5, gid: 6, mode: 0o440 },
          { target: "/etc/app.conf", data: Buffer.from("conf\n"), uid: 0, gid: 0, mode: 0o444 },
        ],
      },
    );
    assert.equal(stdout, "hush\n5 6 440\nconf\n1\n1\n");
    assert.equal(existsSync(join(lab.runDir, "s")), true);
  });

  it("a secret in a folder below /run/secrets is read by each runtime", async () => {
    const file = (target: string) => ({ target, data: Buffer.from(target), uid: 0, gid: 0, mode: 0o400 });
    const files = [file("/run/secrets/a"), file("/run/secrets/app/key"), file("/etc/app/config")];
    const args = ["cat", ...files.map(({ target }) => target)];
    for (const runtime of ["crun", "runc"] as const) {
      const own = await openContainerLab({ runtime });
      try {
        const { id } = await own.manager.create(own.spec({ args, files }));
        await own.manager.start(id);
        assert.equal((await own.manager.wait(id)).exitCode, 0, runtime);
      } finally {
        await own.close();
      }
    }
  });

  it("limits are in the container's control group", async () => {
    const { id } = await lab.manager.create(
      lab.spec({
        args: ["sleep", "60"],
        resources: { memoryBytes: 32 << 20, swapBytes: 32 << 20, nanoCpus: 5e8, pidsLimit: 17 },
        ulimits: [{ name: "nofile", soft: 123, hard: 456 }],
      }),
    );
    const { pid } = await lab.manager.start(id);
    if (existsSync("/sys/fs/cgroup/cgroup.controllers")) {
      assert.equal(lab.cgroupFile(id, "", "memory.max"), String(32 << 20));
      assert.equal(lab.cgroupFile(id, "", "cpu.max"), "50000 100000");
    } else {
      assert.equal(lab.cgroupFile(id, "memory", "memory.limit_in_bytes"), String(32 << 20));
      assert.equal(lab.cgroupFile(id, "cpu", "cpu.cfs_quota_us"), "50000");
    }
    assert.equal(lab.cgroupFile(id, "pids", "pids.max"), "17");
    assert.match(readFileSync(`/proc/${pid}/limits`, "utf8"), /Max open files\s+123\s+456/);
    await lab.manager.remove(id, { force: true });
  });

  it("too much memory ends it with 137 and the word oom", async () => {
    const events: string[] = [];
    const off = lab.manager.onEvent((event) => events.push(event.kind));
    const { record } = await shell("x=$(head -c 60000000 /dev/zero | tr '\\0' a)", {
      resources: { memoryBytes: 20 << 20, swapBytes: 20 << 20, nanoCpus: 0, pidsLimit: 0 },
    });
    assert.equal(record.oomKilled, true);
    assert.notEqual(record.exitCode, 0);
    assert.ok(events.includes("oom"));
    off();
  });

  it("a bind mount shows the host's folder, a missing one is refused", async () => {
    const source = join(lab.dir, "bind");
    await mkdir(source);
    await writeFile(join(source, "f"), "host\n");
    const bind = {
      kind: "bind",
      source,
      target: "/b",
      readOnly: true,
      propagation: "",
      recursive: true,
      createSource: false,
    } as const;
    const { stdout, stderr } = await shell("cat /b/f; touch /b/g", { mounts: [bind] });
    assert.equal(stdout, "host\n");
    assert.match(stderr, /Read-only/);
    await assert.rejects(
      shell("true", { mounts: [{ ...bind, source: "/no/such/folder" }] }),
      /bind source path does not exist: \/no\/such\/folder/,
    );
  });

  it("a named volume takes what the image has and keeps what was written, an anonymous one goes", async () => {
    const volume = {
      kind: "volume",
      name: "data1",
      target: "/data",
      readOnly: false,
      noCopy: false,
      subpath: "",
      driver: "",
      driverOptions: {},
      labels: {},
    } as const;
    assert.equal(
      (await shell("cat /data/seed; echo more > /data/new", { mounts: [volume] })).stdout,
      "from the image\n",
    );
    assert.equal((await shell("cat /data/new", { mounts: [volume] })).stdout, "more\n");
    assert.deepEqual(
      lab.manager.volumes.list().map((v) => v.name),
      ["data1"],
    );
    await shell("true", { mounts: [{ ...volume, name: "" }] });
    assert.deepEqual(
      lab.manager.volumes.list().map((v) => v.name),
      ["data1"],
    );
    assert.equal(
      (await shell("ls /data", { mounts: [{ ...volume, name: "bare", noCopy: true }] })).stdout,
      "",
    );
  });

  it("what cannot be honoured is refused by name", async () => {
    const refused = (changes: Partial<ContainerSpecification>, words: RegExp): Promise<void> =>
      assert.rejects(run(changes), words);
    await refused({ image: "nosuch" }, /No such image: nosuch/);
    await refused({ capAdd: ["FLY"] }, /unknown capability: "CAP_FLY"/);
    await refused({ stopSignal: "SIGNOPE" }, /Invalid signal: SIGNOPE/);
    await refused({ sysctls: { "kernel.panic": "1" } }, /sysctl "kernel.panic"/);
    await refused({ user: "nobody-here" }, /unable to find user nobody-here/);
    await refused({ args: ["/no/such/program"] }, /no\/such\/program/);
  });

  it("sysctls of its own namespaces are set", async () => {
    const { stdout } = await shell(
      "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmni",
      {
        sysctls: { "net.ipv4.ip_unprivileged_port_start": "0", "kernel.shmmni": "100" },
      },
    );
    assert.equal(stdout, "0\n100\n");
  });

  it("a terminal is a terminal", async () => {
    const { stdout } = await shell("test -t 1 && echo tty $TERM", { tty: true });
    assert.equal(stdout, "tty xterm\r\n");
  });
});
