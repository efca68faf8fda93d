/**
 * What containers may see, do and use up beyond the defaults, as they see it themselves: on the machine's own
 * runtime, with devices, namespaces, groups and volumes of its own.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type {
  ContainerIsolation,
  ContainerMount,
  ContainerRecord,
  ContainerResources,
  ContainerSpecification,
} from "../../proto/engine/containers.js";
import { type ContainerLab, openContainerLab } from "../../worker/containers/container-lab.js";
import { heldCapabilities } from "../../worker/runtime/linux-kernel-facts.js";
import { patient } from "../support/patience.js";

const NO_LIMITS: ContainerResources = { memoryBytes: 0, swapBytes: undefined, nanoCpus: 0, pidsLimit: 0 };
const isVersion2 = existsSync("/sys/fs/cgroup/cgroup.controllers");
const ownNamespace = (kind: string): string => readlinkSync(`/proc/self/ns/${kind}`);

const volume = (changes: Partial<Extract<ContainerMount, { kind: "volume" }>>): ContainerMount => ({
  kind: "volume",
  name: "data",
  target: "/v",
  readOnly: false,
  noCopy: false,
  subpath: "",
  driver: "",
  driverOptions: {},
  labels: {},
  ...changes,
});

async function waitForHealth(lab: ContainerLab, id: string): Promise<void> {
  const deadline = Date.now() + patient(30_000);
  while (lab.manager.find(id)?.health !== "healthy") {
    assert.ok(Date.now() < deadline, `health: ${lab.manager.find(id)?.health}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("isolation of containers", () => {
  let lab: ContainerLab;
  before(async () => {
    lab = await openContainerLab();
  });
  after(() => lab.close());

  async function shell(
    script: string,
    isolation: ContainerIsolation = {},
    changes: Partial<ContainerSpecification> = {},
  ): Promise<string> {
    const args = ["sh", "-c", script];
    const { id } = await lab.manager.create(lab.spec({ args, isolation, ...changes }));
    try {
      await lab.manager.start(id);
      await lab.manager.wait(id);
      let text = "";
      const options = { follow: false, tail: -1, sinceMs: 0, stdout: true, stderr: true };
      for await (const line of lab.manager.logs(id, options)) text += Buffer.from(line.data).toString("utf8");
      return text;
    } finally {
      await lab.manager.remove(id, { force: true, removeVolumes: true });
    }
  }

  async function started(changes: Partial<ContainerSpecification>): Promise<ContainerRecord> {
    const { id } = await lab.manager.create(lab.spec({ args: ["sleep", "1000"], ...changes }));
    return lab.manager.start(id);
  }
  const remove = (record: ContainerRecord): Promise<void> =>
    lab.manager.remove(record.id, { force: true, removeVolumes: true });
  const refused = (isolation: ContainerIsolation, words: RegExp): Promise<void> =>
    assert.rejects(shell("true", isolation), words);

  it("a privileged container has every capability and device, and nothing is masked or read-only", async () => {
    const script =
      "grep -E 'CapBnd|Seccomp:' /proc/self/status; grep -cE ' /proc/' /proc/mounts; " +
      "grep ' /sys ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1; test -c /dev/kmsg && echo kmsg; " +
      "mount -t tmpfs none /tmp && echo mounted; ls /dev/pts | grep -c ptmx";
    const bits = heldCapabilities(readFileSync("/proc/self/status", "utf8")).length;
    const text = await shell(script, { privileged: true });
    const held = BigInt(`0x${/CapBnd:\t([0-9a-f]+)/.exec(text)?.[1]}`);
    assert.equal([...held.toString(2)].filter((bit) => bit === "1").length, bits);
    assert.equal(text.split("\n").slice(1).join("\n"), "Seccomp:\t0\n0\nrw\nkmsg\nmounted\n1\n");
  });

  it("ALL capabilities less one, in the bounding set of a user who holds none", async () => {
    const text = await shell(
      "grep -E 'CapBnd|CapEff' /proc/self/status",
      {},
      {
        capAdd: ["all"],
        capDrop: ["cap_net_raw"],
        user: "alice",
      },
    );
    const all = heldCapabilities(readFileSync("/proc/self/status", "utf8"));
    const bits = [...BigInt(`0x${/CapBnd:\t([0-9a-f]+)/.exec(text)?.[1]}`).toString(2)];
    assert.equal(bits.filter((bit) => bit === "1").length, all.length - 1);
    assert.match(text, /CapEff:\t0000000000000000/);
  });

  it("devices are at their places, with their permissions; a folder gives all below it", async () => {
    const null2 = { pathOnHost: "/dev/null", pathInContainer: "/dev/sink", permissions: "rw" };
    const text = await shell("stat -c '%t %T %a' /dev/sink; echo x > /dev/sink && echo written", {
      devices: [null2],
    });
    assert.equal(text, "1 3 666\nwritten\n");
    const folder = { pathOnHost: "/dev/cpu", pathInContainer: "/dev/mine", permissions: "r" };
    if (existsSync("/dev/cpu/0/cpuid"))
      assert.equal(await shell("test -c /dev/mine/0/cpuid && echo there", { devices: [folder] }), "there\n");
    await refused(
      { devices: [{ ...null2, pathOnHost: "/dev/none-such" }] },
      /adding custom device "\/dev\/none-such": no such file or directory/,
    );
    await refused({ devices: [{ ...null2, pathOnHost: "/etc/hosts" }] }, /not a device node/);
    await refused({ devices: [{ ...null2, permissions: "rx" }] }, /invalid device mode: rx/);
  });

  it("a device rule lets a node be used that was made inside", async () => {
    const script = "mknod /k c 10 237 && (: </k) 2>/dev/null && echo read || echo refused";
    assert.equal(await shell(script), "refused\n");
    assert.equal(await shell(script, { deviceCgroupRules: ["c 10:237 rwm"] }), "read\n");
    await refused({ deviceCgroupRules: ["c 1 rwm"] }, /invalid device cgroup rule format: 'c 1 rwm'/);
  });

  it("devices by driver are refused by name where nothing offers them", async () => {
    const request = { driver: "", count: 1, deviceIds: [], capabilities: [["gpu"]], options: {} };
    await refused(
      { deviceRequests: [request] },
      /could not select device driver "" with capabilities: \[\[gpu\]\]/,
    );
    const cdi = { ...request, driver: "cdi", count: 0, deviceIds: ["vendor.com/none=1"], capabilities: [] };
    await refused({ deviceRequests: [cdi] }, /unresolvable CDI devices vendor.com\/none=1/);
  });

  it("masked and read-only paths are those asked for", async () => {
    const look = "grep -cE ' /proc/(sys|keys) ' /proc/mounts";
    assert.equal(await shell(look), "2\n");
    assert.equal(await shell(look, { systemPathsUnconfined: true }), "0\n");
    assert.equal(await shell(look, { maskedPaths: ["/proc/keys"], readonlyPaths: [] }), "1\n");
  });

  it("shared memory has the size asked for, or is none", async () => {
    const look = "grep ' /dev/shm ' /proc/mounts | cut -d' ' -f4";
    assert.match(await shell(look), /size=65536k/);
    assert.match(await shell(look, { shmSizeBytes: 1 << 20 }), /size=1024k/);
    assert.equal(await shell(look, { ipcMode: "none" }), "");
  });

  it("ipc: the host's, or another's that shares it", async () => {
    assert.equal(
      (await shell("readlink /proc/self/ns/ipc", { ipcMode: "host" })).trim(),
      ownNamespace("ipc"),
    );
    const donor = await started({
      args: ["sh", "-c", "echo hi > /dev/shm/note; sleep 1000"],
      isolation: { ipcMode: "shareable", shmSizeBytes: 2 << 20 },
    });
    const closed = await started({});
    try {
      const ns = readlinkSync(`/proc/${donor.pid}/ns/ipc`);
      const script = "readlink /proc/self/ns/ipc; cat /dev/shm/note";
      assert.equal(await shell(script, { ipcMode: `container:${donor.name}` }), `${ns}\nhi\n`);
      await refused({ ipcMode: `container:${closed.id}` }, /non-shareable IPC \(hint: use IpcMode:shareable/);
      await lab.reopen(); // found again, and let go at the end
      assert.match(await shell(script, { ipcMode: `container:${donor.id}` }), /hi/);
    } finally {
      await remove(donor);
      await remove(closed);
    }
    assert.deepEqual(
      lab.traces().mounts.filter((line) => line.includes("/r/m/")),
      [],
    );
    await refused({ ipcMode: "container:none-such" }, /No such container: none-such/);
    await refused({ ipcMode: "foo" }, /invalid IPC mode: foo/);
  });

  it("pid: the host's, or another's", async () => {
    assert.equal(
      (await shell("readlink /proc/self/ns/pid", { pidMode: "host" })).trim(),
      ownNamespace("pid"),
    );
    const other = await started({});
    try {
      assert.match(await shell("ps", { pidMode: `container:${other.id}` }), /sleep 1000/);
    } finally {
      await remove(other);
    }
    const created = await lab.manager.create(lab.spec({ args: ["true"] }));
    await refused({ pidMode: `container:${created.id}` }, /is not running/);
    await remove(created);
  });

  it("uts: the host's name, or its own with a domain", async () => {
    const own = { hostname: "box", domainname: "example.org" };
    const look = "hostname; cat /proc/sys/kernel/domainname";
    assert.equal(await shell(look, {}, own), "box\nexample.org\n");
    assert.equal((await shell("hostname", { utsMode: "host" })).trim(), hostname());
    await refused({ utsMode: "foo" }, /invalid UTS mode: foo/);
  });

  it("control groups: own view or the host's, below the parent asked for", async () => {
    const look = "readlink /proc/self/ns/cgroup";
    assert.notEqual((await shell(look, { cgroupnsMode: "private" })).trim(), ownNamespace("cgroup"));
    assert.equal((await shell(look, { cgroupnsMode: "host" })).trim(), ownNamespace("cgroup"));
    assert.equal((await shell(look)).trim() === ownNamespace("cgroup"), !isVersion2);
    const parent = `${lab.cgroupParent}/deep`;
    const record = await started({ isolation: { cgroupParent: parent } });
    assert.match(readFileSync(`/proc/${record.pid}/cgroup`, "utf8"), new RegExp(`:${parent}/${record.id}\n`));
    await remove(record);
  });

  it("a network namespace of its own lets everybody open low ports and ping", async () => {
    const look = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range";
    assert.equal(await shell(look), "0\n0\t2147483647\n");
  });

  it("limits reach the group's files", async () => {
    const disk = ["/dev/vda", "/dev/sda", "/dev/loop0"].find((path) => existsSync(path)) ?? "/dev/loop0";
    const record = await started({
      resources: {
        ...NO_LIMITS,
        memoryBytes: 64 << 20,
        memoryReservationBytes: 32 << 20,
        cpuShares: 512,
        cpuPeriod: 50_000,
        cpuQuota: 20_000,
        cpusetCpus: "0",
        blkioReadBps: [{ path: disk, rate: 1 << 20 }],
        ...(isVersion2 ? {} : { memorySwappiness: 10, oomKillDisable: true }),
      },
    });
    const file = (controller: string, name: string): string => lab.cgroupFile(record.id, controller, name);
    if (isVersion2) {
      assert.equal(file("memory", "memory.low"), String(32 << 20));
      assert.equal(file("cpu", "cpu.max"), "20000 50000");
      assert.equal(file("cpuset", "cpuset.cpus"), "0");
      assert.match(file("io", "io.max"), /rbps=1048576/);
    } else {
      assert.equal(file("memory", "memory.soft_limit_in_bytes"), String(32 << 20));
      assert.equal(file("memory", "memory.memsw.limit_in_bytes"), String(128 << 20));
      assert.equal(file("memory", "memory.swappiness"), "10");
      assert.match(file("memory", "memory.oom_control"), /oom_kill_disable 1/);
      assert.equal(file("cpu", "cpu.shares"), "512");
      assert.equal(file("cpu", "cpu.cfs_quota_us"), "20000");
      assert.equal(file("cpu", "cpu.cfs_period_us"), "50000");
      assert.equal(file("cpuset", "cpuset.cpus"), "0");
      assert.match(file("blkio", "blkio.throttle.read_bps_device"), / 1048576$/);
    }
    await remove(record);
  });

  it("what this kernel lacks is left out with a warning, what none could do is refused", async () => {
    const ask = (resources: Partial<ContainerResources>): Promise<ContainerRecord> =>
      lab.manager.create(lab.spec({ args: ["true"], resources: { ...NO_LIMITS, ...resources } }));
    if (!isVersion2 && !existsSync("/sys/fs/cgroup/blkio/blkio.weight")) {
      const record = await ask({ blkioWeight: 500 });
      assert.deepEqual(record.warnings, [
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
      ]);
      assert.equal(record.specification.resources.blkioWeight, undefined);
      await lab.manager.start(record.id);
      await lab.manager.wait(record.id);
      await remove(record);
    }
    await assert.rejects(ask({ memoryBytes: 1 }), /Minimum memory limit allowed is 6MB/);
    await assert.rejects(ask({ cpusetCpus: "900" }), /Requested CPUs are not available - requested 900/);
    await assert.rejects(ask({ cpusetMems: "x" }), /Invalid value x for cpuset mems: invalid format: x/);
  });

  it("standard input does not make a container's user the owner of the machine's /dev/null", async () => {
    const attempt = "chmod 0 /proc/self/fd/0 2>/dev/null; true";
    const times = { intervalMs: 100, timeoutMs: 2_000, startPeriodMs: 0, startIntervalMs: 0 };
    const { id } = await started({
      user: "100:101",
      args: ["sh", "-c", `${attempt}; exec sleep 1000`],
      healthcheck: { test: ["CMD-SHELL", attempt], ...times, retries: 1 },
    });
    await waitForHealth(lab, id);
    const { uid, gid, mode } = statSync("/dev/null");
    assert.deepEqual([uid, gid, (mode & 0o777).toString(8)], [0, 0, "666"]);
    await lab.manager.remove(id, { force: true, removeVolumes: true });
  });

  it("tmpfs: noexec unless told otherwise", async () => {
    const tmpfs = (options: string[]): ContainerMount[] => [
      { kind: "tmpfs", target: "/t", sizeBytes: 0, mode: 0, options },
    ];
    const look = "grep ' /t ' /proc/mounts | cut -d' ' -f4";
    assert.match(await shell(look, {}, { mounts: tmpfs([]) }), /noexec/);
    const open = await shell(look, {}, { mounts: tmpfs(["exec", "size=1m", "mode=700"]) });
    assert.match(open, /size=1024k,mode=700/);
    assert.doesNotMatch(open, /noexec/);
  });

  it("a read-only bind is so below its other mounts, too, unless that is switched off", async () => {
    const source = join(lab.dir, "outer");
    mkdirSync(join(source, "inner"), { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "none", join(source, "inner")]);
    try {
      const bind = (readOnlyRecursive: "default" | "disabled" | "forced"): ContainerMount => ({
        kind: "bind",
        source,
        target: "/b",
        readOnly: true,
        propagation: "",
        recursive: true,
        createSource: false,
        readOnlyRecursive,
      });
      const write = (mode: "default" | "disabled" | "forced"): Promise<string> =>
        shell("touch /b/x; touch /b/inner/x && echo written", {}, { mounts: [bind(mode)] });
      assert.match(await write("disabled"), /x: Read-only file system\n?.*written|written\n.*Read-only/);
      for (const mode of ["default", "forced"] as const)
        assert.doesNotMatch(await write(mode), /written/, mode);
    } finally {
      execFileSync("umount", [join(source, "inner")]);
    }
  });

  it("init is the first process and reaps what is left to it", async () => {
    const text = await shell("cat /proc/1/comm; (sleep 0 &) ; sleep 1; ps", {}, { init: true });
    assert.match(text, /^docker-init\n/);
    assert.doesNotMatch(text, /\[sleep\]|zombie/);
  });

  it("runc runs what asks for it, also after a restart of the daemon", async () => {
    const record = await started({ isolation: { runtime: "runc" } });
    await lab.reopen();
    await lab.manager.stop(record.id, { gracePeriodMs: 0 });
    await remove(record);
    assert.match(await shell("grep Seccomp: /proc/self/status", { runtime: "runc" }), /2/);
    await refused({ runtime: "fly" }, /unknown or invalid runtime name: fly/);
  });

  it("a custom seccomp profile is followed, also by a privileged container", async () => {
    const profile = Buffer.from(
      JSON.stringify({
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }],
      }),
    );
    const seccomp = { kind: "custom", profile } as const;
    for (const privileged of [false, true])
      assert.match(await shell("mkdir /x && echo made", { privileged }, { seccomp }), /not permitted/);
    const bad = { kind: "custom", profile: Buffer.from("{") } as const;
    await assert.rejects(shell("true", {}, { seccomp: bad }), /seccomp profile is not JSON/);
  });

  it("what cannot be honoured is refused by name", async () => {
    await refused({ storageOptions: { size: "1G" } }, /--storage-opt is supported only for overlay over xfs/);
    await refused({ storageOptions: { foo: "1" } }, /Unknown option foo/);
    await refused({ selinuxLabels: ["type:svirt_t"] }, /SELinux label "type:svirt_t"/);
    assert.equal(await shell("echo on", { selinuxLabels: ["disable"] }), "on\n");
    await refused({ usernsMode: "foo" }, /invalid user namespace mode: foo/);
    await refused({ cgroupnsMode: "foo" }, /invalid cgroup namespace mode: foo/);
    await refused({ apparmorProfile: "mine" }, /AppArmor profile mine/);
    assert.equal(await shell("echo on", { apparmorProfile: "unconfined" }), "on\n");
  });

  it("a part of a volume is mounted, but nothing beyond it", async () => {
    await shell(
      "mkdir -p /v/sub; echo in > /v/sub/f; ln -s /etc /v/out; ln -s sub /v/link",
      {},
      {
        mounts: [volume({ noCopy: true })],
      },
    );
    const mounted = (subpath: string): Promise<string> =>
      shell("cat /v/f || ls /v", {}, { mounts: [volume({ subpath })] });
    assert.equal(await mounted("sub"), "in\n");
    assert.equal(await mounted("/link/"), "in\n");
    await assert.rejects(mounted("out"), /subpath out leads out of volume data/);
    await assert.rejects(mounted("../data"), /leads out of volume data/);
    await assert.rejects(mounted("none"), /subpath none does not exist in volume data/);
    assert.deepEqual(
      lab.traces().mounts.filter((line) => line.includes("/r/m/")),
      [],
    );
    await lab.manager.volumes.remove("data");
  });

  it("a volume's options are mounted while somebody uses it, and an image is a read-only folder", async () => {
    const driverOptions = { type: "tmpfs", device: "tmpfs", o: "size=1m,mode=700" };
    const mounts = [volume({ name: "mem", driverOptions })];
    const record = await started({ mounts });
    const look = "grep ' /v ' /proc/mounts | cut -d' ' -f3,4; ls /v";
    assert.match(await shell(look, {}, { mounts }), /^tmpfs rw.*size=1024k,mode=700/);
    await assert.rejects(lab.manager.volumes.remove("mem"), new RegExp(`in use - \\[${record.id}\\]`));
    await lab.reopen();
    await remove(record);
    assert.deepEqual(
      lab.traces().mounts.filter((line) => line.includes("volumes")),
      [],
    );
    await lab.manager.volumes.remove("mem");
    const image: ContainerMount = { kind: "image", image: "busybox", target: "/i", subpath: "" };
    assert.match(
      await shell("cat /i/data/seed; touch /i/x", {}, { mounts: [image] }),
      /from the image\n.*Read-only file system/,
    );
    assert.match(
      await shell("cat /i/seed", {}, { mounts: [{ ...image, subpath: "data" }] }),
      /from the image/,
    );
  });

  it("an unnamed volume goes with the last container that has it", async () => {
    const first = await started({ mounts: [volume({ name: "" })] });
    const second = await started({ volumesFrom: [first.name] });
    const unnamed = (): number => lab.manager.volumes.list().filter(({ anonymous }) => anonymous).length;
    assert.equal(unnamed(), 1);
    await remove(first);
    assert.equal(unnamed(), 1);
    await remove(second);
    assert.equal(unnamed(), 0);
  });

  it("a bind volume shows the host's folder and leaves it when it is removed", async () => {
    const source = join(lab.dir, "kept");
    mkdirSync(source);
    writeFileSync(join(source, "f"), "host\n");
    symlinkSync("/etc/passwd", join(source, "link"));
    const driverOptions = { type: "none", device: source, o: "bind,ro" };
    const text = await shell(
      "cat /v/f; grep ' /v ' /proc/mounts; touch /v/g",
      {},
      { mounts: [volume({ name: "bound", driverOptions })] },
    );
    assert.match(text, /^host\n.* ro,.*\n.*Read-only file system/);
    await lab.manager.volumes.remove("bound");
    assert.equal(readFileSync(join(source, "f"), "utf8"), "host\n");
    const missing = { ...driverOptions, device: "/no/such/folder" };
    await assert.rejects(
      shell("true", {}, { mounts: [volume({ name: "lost", driverOptions: missing })] }),
      /failed to mount local volume: mount \/no\/such\/folder:.*: no such file or directory/,
    );
    await lab.manager.volumes.remove("lost");
  });
});
