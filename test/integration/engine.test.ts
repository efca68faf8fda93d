/**
 * What a service says about its containers, seen from inside them and in the kernel: one host,
 * real crun and conmon.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  fromTasks,
  linesOf,
  must,
  oneRunning,
  removed,
  running,
  type SeenTask,
} from "../support/lab/lab-services.js";
import {
  call,
  containerOf,
  formSwarm,
  logLines,
  pidOf,
  serviceSpec,
  unframed,
  until,
} from "../support/lab/lab-swarm.js";
import { attempt } from "../support/lab/shell.js";

let lab: Lab;
let host: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  await formSwarm(lab, { managers: 1 });
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

interface Wish {
  /** Run by the shell. */
  readonly script: string;
  readonly container?: object;
  /** Resources, RestartPolicy and the like. */
  readonly task?: object;
  readonly replicas?: number;
}

/** Without `task.RestartPolicy`, what ended is not started again. */
async function create(
  name: string,
  { script, container = {}, task = {}, replicas = 1 }: Wish,
): Promise<void> {
  const base = serviceSpec({ name, restart: "none", replicas }) as {
    TaskTemplate: { ContainerSpec: object };
  }; // it always has both
  await call(host, "POST", "/services/create", {
    ...base,
    TaskTemplate: {
      ...base.TaskTemplate,
      ...task,
      ContainerSpec: { ...base.TaskTemplate.ContainerSpec, Command: ["sh", "-c", script], ...container },
    },
  });
}

const ENDED = ["complete", "failed", "rejected", "shutdown"];

/** Runs a script to its end. @returns its task and its lines; the service is gone. */
async function runOnce(name: string, wish: Wish): Promise<{ task: SeenTask; lines: readonly string[] }> {
  await create(name, wish);
  const task = await fromTasks(host, name, "its one task has ended", (all) =>
    all.find(({ Status }) => ENDED.includes(Status.State)),
  );
  const lines = await logLines(host, `/services/${name}`);
  await removed(lab, name);
  return { task, lines };
}

function folder(name: string): string {
  const path = join(lab.dir, name);
  mkdirSync(path);
  return path;
}

/** A cgroup file of a process, by its name in version 2 or in version 1 with the controller. */
function cgroupFile(pid: number, v2: string, controller: string, v1: string): string {
  const groups = linesOf(readFileSync(`/proc/${pid}/cgroup`, "utf8")).map((line) => line.split(":"));
  const old = groups.find(([, controllers]) => controllers?.split(",").includes(controller));
  const path =
    old === undefined ? `/sys/fs/cgroup${groups[0]?.[2]}/${v2}` : `/sys/fs/cgroup/${old[1]}${old[2]}/${v1}`;
  return readFileSync(path, "utf8").trim();
}

test("a process: command, environment with placeholders, user, groups, folder, host name, own limits", async () => {
  const { task, lines } = await runOnce("process", {
    script: "",
    container: {
      Command: [
        "sh",
        "-c",
        'echo "args $0 $1"; id; pwd; hostname; env; ulimit -n; cat ' +
          "/proc/sys/net/ipv4/ip_unprivileged_port_start; cat /etc/hosts /etc/resolv.conf",
        "zero",
      ],
      Args: ["one"],
      Env: ["COLOUR=green", "WHERE={{.Node.Hostname}}/{{.Service.Name}}.{{.Task.Slot}}"],
      User: "web",
      Groups: ["2000"],
      Dir: "/srv/new",
      Hostname: "{{.Service.Name}}-{{.Task.Slot}}",
      Hosts: ["10.0.0.9 db database"],
      DNSConfig: { Search: ["lan"], Options: ["ndots:2"] },
      Ulimits: [{ Name: "nofile", Soft: 1234, Hard: 1234 }],
      Sysctls: { "net.ipv4.ip_unprivileged_port_start": "777" },
    },
  });
  assert.equal(task.Status.State, "complete");
  const expected = [
    "args zero one",
    "uid=1000(web) gid=1000(web) groups=1000(web),2000(extra)",
    "/srv/new",
    "process-1",
    "COLOUR=green",
    "WHERE=host1/process.1",
    "PATH=/bin",
    "HOME=/tmp",
    "1234",
    "777",
    "nameserver 127.0.0.11",
    "search lan",
  ];
  assert.deepEqual(
    expected.filter((line) => !lines.includes(line)),
    [],
    lines.join("\n"),
  );
  assert.ok(
    lines.some((line) => /^10\.0\.0\.9\s+db database$/.test(line)),
    "the extra host is in /etc/hosts",
  );
  assert.ok(lines.some((line) => /^options .*ndots:2/.test(line)));
});

test("mounts: binds, tmpfs with its size, a volume that outlives its task and has the image's files", async () => {
  const shared = folder("shared");
  writeFileSync(join(shared, "from-host"), "out\n");
  const Mounts = [
    { Type: "bind", Source: shared, Target: "/rw" },
    { Type: "bind", Source: shared, Target: "/ro", ReadOnly: true },
    { Type: "tmpfs", Target: "/scratch", TmpfsOptions: { SizeBytes: 1_048_576, Mode: 0o700 } },
    { Type: "volume", Source: "kept", Target: "/greeter" },
  ];
  const script = [
    "cat /ro/from-host",
    "echo in > /rw/from-task",
    "touch /ro/x 2>&1",
    "df -k /scratch | tail -1",
    "stat -c '%a' /scratch",
    "ls /greeter",
    "echo once >> /greeter/count",
    "wc -l < /greeter/count",
  ].join("; ");
  const first = await runOnce("mounts", { script, container: { Mounts } });
  assert.equal(readFileSync(join(shared, "from-task"), "utf8"), "in\n");
  assert.match(
    first.lines.join("\n"),
    /^out\ntouch: \/ro\/x: Read-only file system\ntmpfs +1024 .*\n700\ngreeting\n1$/,
  );
  const second = await runOnce("mounts2", { script, container: { Mounts } });
  assert.equal(second.lines.at(-1), "2", "the volume was kept");
});

test("a bind source that is not there: the task is rejected in Docker's words", async () => {
  const { task } = await runOnce("nowhere", {
    script: "true",
    container: { Mounts: [{ Type: "bind", Source: "/nowhere/at/all", Target: "/x" }] },
  });
  assert.equal(task.Status.State, "rejected");
  assert.equal(
    task.Status.Err,
    'invalid mount config for type "bind": bind source path does not exist: /nowhere/at/all',
  );
});

test("secrets and configs: files in memory with owner and mode; nothing of a secret is on the disk", async () => {
  const word = "honk-honk-unmistakable";
  const data = Buffer.from(`${word}\n`).toString("base64");
  const secret = await call<{ ID: string }>(host, "POST", "/secrets/create", { Name: "word", Data: data });
  const config = await call<{ ID: string }>(host, "POST", "/configs/create", {
    Name: "conf",
    Data: Buffer.from("k = v\n").toString("base64"),
  });
  const { task, lines } = await runOnce("files", {
    script:
      "cd /run/secrets; stat -c '%n %u %g %a' word mine /etc/app.conf; cmp word mine && wc -c < word; " +
      "cat /etc/app.conf; grep -c ' tmpfs ' /proc/mounts; " +
      "grep ' /run/secrets' /proc/mounts | cut -d' ' -f3 | sort -u",
    container: {
      Secrets: [
        { SecretID: secret.ID, SecretName: "word", File: { Name: "word", UID: "0", GID: "0", Mode: 0o444 } },
        {
          SecretID: secret.ID,
          SecretName: "word",
          File: { Name: "mine", UID: "1000", GID: "2000", Mode: 0o400 },
        },
      ],
      Configs: [
        {
          ConfigID: config.ID,
          ConfigName: "conf",
          File: { Name: "/etc/app.conf", UID: "1000", GID: "0", Mode: 0o440 },
        },
      ],
    },
  });
  assert.equal(task.Status.State, "complete", lines.join("\n"));
  assert.deepEqual(
    lines.filter((line) => !/^\d+$/.test(line)),
    ["word 0 0 444", "mine 1000 2000 400", "/etc/app.conf 1000 0 440", "k = v", "tmpfs"],
  );
  const found = await attempt("grep", ["-rlF", word, host.dataDir]);
  assert.deepEqual([found.code, found.stdout], [1, ""]);
  await call(host, "DELETE", "/secrets/word");
  await call(host, "DELETE", "/configs/conf");
});

test("limits of memory, CPU and processes are the kernel's", async () => {
  await create("limited", {
    script: "sleep 1000",
    task: { Resources: { Limits: { MemoryBytes: 67_108_864, NanoCPUs: 500_000_000, Pids: 50 } } },
  });
  const pid = await pidOf(host, containerOf(await oneRunning(host, "limited")));
  assert.equal(cgroupFile(pid, "memory.max", "memory", "memory.limit_in_bytes"), "67108864");
  assert.equal(cgroupFile(pid, "pids.max", "pids", "pids.max"), "50");
  const cpu = cgroupFile(pid, "cpu.max", "cpu", "cpu.cfs_quota_us").split(" ").map(Number);
  const period = cpu[1] ?? Number(cgroupFile(pid, "cpu.max", "cpu", "cpu.cfs_period_us"));
  assert.equal((cpu[0] ?? 0) / period, 0.5);
  await removed(lab, "limited");
});

test("isolation by default: no mounting, Docker's capabilities, seccomp; a read-only root on demand", async () => {
  const script =
    "mount -t tmpfs none /tmp 2>&1; unshare -U true 2>&1; grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' " +
    "/proc/self/status; touch /new && echo writable; cat /proc/keys /proc/timer_list 2>/dev/null | wc -c; " +
    "echo x > /proc/sys/kernel/domainname";
  const { lines } = await runOnce("walled", { script });
  const text = lines.join("\n");
  assert.match(text, /^mount: (permission denied|mounting none on \/tmp failed: Operation not permitted)/);
  assert.match(text, /unshare: .*Operation not permitted/);
  assert.match(text, /CapEff:\s+00000000a80425fb/);
  assert.match(text, /Seccomp:\s+2/);
  assert.match(text, /^writable\n0\n.*\/proc\/sys\/kernel\/domainname: Read-only file system$/m);
  const { lines: strict } = await runOnce("strict", {
    script,
    container: {
      ReadOnly: true,
      CapabilityDrop: ["ALL"],
      CapabilityAdd: ["NET_ADMIN"],
      Privileges: { NoNewPrivileges: true },
    },
  });
  const strictText = strict.join("\n");
  assert.match(strictText, /CapEff:\s+0000000000001000/);
  assert.match(strictText, /CapBnd:\s+0000000000001000/);
  assert.match(strictText, /NoNewPrivs:\s+1/);
  assert.match(strictText, /touch: \/new: Read-only file system/);
});

test("the end of a task: its own stop signal first, SIGKILL after the grace period", async () => {
  await create("polite", {
    script: "trap 'echo told; exit 7' USR1; while :; do sleep 0.1; done",
    container: { StopSignal: "SIGUSR1", StopGracePeriod: 20_000_000_000 },
  });
  await create("deaf", {
    script: "trap '' TERM; while :; do sleep 0.1; done",
    container: { StopGracePeriod: 300_000_000 },
  });
  for (const [name, exitCode] of [
    ["polite", 7],
    ["deaf", 137],
  ] as const) {
    await oneRunning(host, name);
    const { Version, Spec } = await call<{ Version: { Index: number }; Spec: object }>(
      host,
      "GET",
      `/services/${name}`,
    );
    await call(host, "POST", `/services/${name}/update?version=${Version.Index}`, {
      ...Spec,
      TaskTemplate: { ...taskOf(Spec), ForceUpdate: 1 },
    });
    const ended = await fromTasks(
      host,
      name,
      "the first task has ended",
      (all) => all.find((task) => task.DesiredState === "shutdown" && ENDED.includes(task.Status.State)),
      5_000,
    );
    assert.equal(ended.Status.ContainerStatus?.ExitCode, exitCode, name);
    assert.equal(ended.Status.State, "shutdown", name);
    await oneRunning(host, name);
  }
  assert.ok((await logLines(host, "/services/polite")).includes("told"));
  await Promise.all([removed(lab, "polite"), removed(lab, "deaf")]);
});

test("restart policy: on-failure tries as often as said and keeps the exit code; a clean end is complete", async () => {
  const RestartPolicy = { Condition: "on-failure", Delay: 0, MaxAttempts: 2 };
  await create("failing", { script: "echo trying; exit 3", task: { RestartPolicy } });
  const failed = await fromTasks(host, "failing", "three failures", (all) =>
    all.length === 3 && all.every((task) => task.Status.State === "failed") ? all : undefined,
  );
  for (const { Status } of failed)
    assert.deepEqual([Status.Err, Status.ContainerStatus?.ExitCode], ["task: non-zero exit (3)", 3]);
  const { task } = await runOnce("done", { script: "exit 0", task: { RestartPolicy } });
  assert.deepEqual(
    [task.Status.State, task.Status.Message, task.Status.ContainerStatus?.ExitCode],
    ["complete", "finished", 0],
  );
  assert.equal((await fromTasks(host, "failing", "its tasks", (all) => all)).length, 3, "no attempt more");
  await removed(lab, "failing");
});

test("a task the kernel kills for lack of memory says so", async () => {
  await create("hungry", {
    script: "exec dd if=/dev/zero of=/dev/null bs=64M count=4",
    task: { Resources: { Limits: { MemoryBytes: 16 * 1024 * 1024 } } },
  });
  const task = await fromTasks(host, "hungry", "it failed", (all) =>
    all.find(({ Status }) => Status.State === "failed"),
  );
  assert.match(task.Status.Err ?? "", /out of memory/);
  assert.equal(task.Status.ContainerStatus?.ExitCode, 137);
  const { State, HostConfig } = await call<{
    State: { OOMKilled: boolean; ExitCode: number };
    HostConfig: { Memory: number };
  }>(host, "GET", `/containers/${containerOf(task)}/json`);
  assert.deepEqual([State.OOMKilled, State.ExitCode, HostConfig.Memory], [true, 137, 16 * 1024 * 1024]);
  await removed(lab, "hungry");
});

test("a health check: running is what is healthy; what turns unhealthy is replaced", async () => {
  const flags = folder("flags");
  await create("checked", {
    script: "while :; do sleep 0.1; done",
    container: {
      StopGracePeriod: 200_000_000,
      Mounts: [{ Type: "bind", Source: flags, Target: "/flags" }],
      Healthcheck: {
        Test: ["CMD-SHELL", "[ -f /flags/ok ]"],
        Interval: 200_000_000,
        Timeout: 5_000_000_000,
        Retries: 2,
        StartPeriod: 30_000_000_000,
      },
    },
    task: { RestartPolicy: { Condition: "any", Delay: 0 } },
  });
  const starting = await fromTasks(host, "checked", "it starts", (all) =>
    all.find(({ Status }) => Status.State === "starting"),
  );
  const shown = (
    id: string,
  ): Promise<{
    State: { Running: boolean; Health: { Status: string } };
    Mounts: readonly { Source: string; Destination: string }[];
  }> => call(host, "GET", `/containers/${id}/json`);
  const container = await until("its container runs", 10_000, async () => {
    const [one] = await call<{ Id: string }[]>(host, "GET", "/containers/json");
    return one?.Id;
  });
  const { State, Mounts } = await shown(container);
  assert.equal(State.Health.Status, "starting");
  assert.deepEqual(
    Mounts.map(({ Source, Destination }) => [Source, Destination]),
    [[flags, "/flags"]],
  );
  assert.equal((await fromTasks(host, "checked", "the task", (all) => all[0])).Status.State, "starting");
  writeFileSync(join(flags, "ok"), "");
  const healthy = await oneRunning(host, "checked");
  assert.equal(healthy.ID, starting.ID);
  assert.equal((await shown(container)).State.Health.Status, "healthy");
  const [listed] = await call<{ Status: string }[]>(host, "GET", "/containers/json");
  assert.match(listed?.Status ?? "", /^Up .* \(healthy\)$/);
  rmSync(join(flags, "ok"));
  const failed = await fromTasks(host, "checked", "it failed", (all) =>
    all.find((task) => task.ID === healthy.ID && task.Status.State === "failed"),
  );
  assert.match(failed.Status.Err ?? "", /unhealthy container/);
  writeFileSync(join(flags, "ok"), "");
  assert.notEqual((await oneRunning(host, "checked")).ID, healthy.ID);
  await removed(lab, "checked");
});

/** What a log stream that follows has brought so far. */
function following(path: string): { text: () => string; close: () => void } {
  let text = "";
  const call = request({ socketPath: host.socketPath, path }, (answer) =>
    answer.on("data", (chunk: Buffer) => (text += chunk.toString("latin1"))),
  );
  call.on("error", () => {
    // The connection is ended by the test itself.
  });
  call.end();
  return { text: () => text, close: () => call.destroy() };
}

test("service logs: both streams, the last lines, since a moment, and following", async () => {
  const flags = folder("log-flags");
  await create("talker", {
    script:
      "for i in 1 2 3 4 5; do echo line $i; done; echo wrong >&2; while [ ! -f /flags/go ]; do sleep 0.05; " +
      "done; echo late; while :; do sleep 0.1; done",
    container: { Mounts: [{ Type: "bind", Source: flags, Target: "/flags" }], StopGracePeriod: 200_000_000 },
  });
  await oneRunning(host, "talker");
  const logs = async (query: string): Promise<readonly string[]> => linesOf(unframed(await must(raw(query))));
  const raw = (query: string) =>
    attempt("curl", [
      "-sS",
      "--max-time",
      "5",
      "--unix-socket",
      host.socketPath,
      `http://d/services/talker/logs?${query}`,
    ]);
  await until("all lines", 10_000, async () =>
    (await logs("stdout=1&stderr=1")).length === 6 ? true : undefined,
  );
  assert.deepEqual(await logs("stdout=1"), ["line 1", "line 2", "line 3", "line 4", "line 5"]);
  assert.deepEqual(await logs("stderr=1"), ["wrong"]);
  // Docker counts the lines of both streams, whichever is asked for
  assert.equal((await logs("stdout=1&stderr=1&tail=2")).length, 2);
  assert.ok((await logs("stdout=1&tail=3")).includes("line 5"));
  const [stamped] = await logs("stderr=1&timestamps=1");
  assert.match(stamped ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z wrong$/);
  const stream = following("/services/talker/logs?stdout=1&follow=1&tail=2");
  try {
    await until("the last line", 10_000, async () => (stream.text().includes("line 5") ? true : undefined));
    const since = Date.now() / 1000;
    writeFileSync(join(flags, "go"), "");
    await until(
      "the late line",
      10_000,
      async () => (stream.text().includes("late") ? true : undefined),
      stream.text,
    );
    assert.ok(!stream.text().includes("line 4"));
    assert.deepEqual(await logs(`stdout=1&stderr=1&since=${since}`), ["late"]);
  } finally {
    stream.close();
  }
  await removed(lab, "talker");
});

test("after all services are gone, no container, no process and no group is left", async () => {
  assert.deepEqual(await call(host, "GET", "/containers/json?all=1"), []);
  await running(host, "nobody", 0);
  const groups = await attempt("find", [
    "/sys/fs/cgroup",
    "-mindepth",
    "2",
    "-type",
    "d",
    "-path",
    `*/${host.cgroupParent}/*`,
  ]);
  assert.equal(groups.stdout, "");
});

function taskOf(spec: object): object {
  return (spec as { TaskTemplate: object }).TaskTemplate; // every service has one
}
