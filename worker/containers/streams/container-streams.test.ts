/** Attach and exec against real monitors. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { systemClock } from "../../../base/clock/system-clock.js";
import { openKoffiLinux } from "../../../base/linux/linux-koffi.js";
import { systemRandom } from "../../../base/random/system-random.js";
import type { ContainerSpecification } from "../../../proto/engine/containers.js";
import type { AttachedStream, ContainerStreams, ExecSpecification } from "../../../proto/engine/streams.js";
import { type ContainerLab, openContainerLab } from "../container-lab.js";
import { openContainerStreams } from "./container-streams.js";

const ALL = { stdin: false, stdout: true, stderr: true, logs: false, stream: true };
const EXEC: ExecSpecification = {
  args: ["true"],
  env: [],
  workingDir: "",
  user: "",
  tty: false,
  privileged: false,
  attachStdin: false,
  attachStdout: true,
  attachStderr: true,
  detachKeys: "",
};

async function textOf(stream: AttachedStream | undefined): Promise<{ out: string; err: string }> {
  const text = { out: "", err: "" };
  for await (const { stream: kind, data } of stream?.output ?? [])
    text[kind === 2 ? "err" : "out"] += Buffer.from(data).toString("utf8");
  return text;
}

describe("container streams", { timeout: 120_000 }, () => {
  let lab: ContainerLab;
  let streams: ContainerStreams;

  before(async () => {
    lab = await openContainerLab();
    streams = openContainerStreams({
      containers: lab.manager,
      runDir: lab.runDir,
      linux: await openKoffiLinux(),
      clock: systemClock,
      random: systemRandom,
      log: lab.log,
    });
  });
  after(async () => {
    await streams.close();
    await lab.close();
  });

  const create = async (changes: Partial<ContainerSpecification>): Promise<string> =>
    (await lab.manager.create(lab.spec(changes))).id;
  const sh = (script: string): string[] => ["sh", "-c", script];
  const sleeper = async (changes: Partial<ContainerSpecification> = {}): Promise<string> => {
    const id = await create({ args: ["sleep", "1000"], ...changes });
    await lab.manager.start(id);
    return id;
  };
  const exec = async (
    id: string,
    changes: Partial<ExecSpecification>,
  ): Promise<{ out: string; err: string; code: number | undefined }> => {
    const { id: execId } = await streams.createExec(id, { ...EXEC, ...changes });
    const text = await textOf(await streams.startExec(execId, { detach: false, tty: changes.tty === true }));
    return { ...text, code: streams.getExec(execId).exitCode };
  };

  it("who attaches before the start reads from the first byte to the last", async () => {
    for (let round = 0; round < 10; round++) {
      const id = await create({ args: sh("echo quick; echo low >&2; echo last") });
      const text = textOf(await streams.attach(id, ALL));
      await lab.manager.start(id);
      assert.deepEqual(await text, { out: "quick\nlast\n", err: "low\n" });
      assert.equal((await lab.manager.wait(id)).exitCode, 0);
    }
  });

  it("two clients read the same, and one that leaves disturbs nobody", async () => {
    const id = await create({ args: sh("read x; echo got $x"), openStdin: true, stdinOnce: true });
    const first = await streams.attach(id, { ...ALL, stdin: true });
    const second = textOf(await streams.attach(id, ALL));
    const third = await streams.attach(id, ALL);
    await lab.manager.start(id);
    third.close();
    assert.equal(await first.write(Buffer.from("it\n")), true);
    assert.deepEqual(await Promise.all([textOf(first), second]), [
      { out: "got it\n", err: "" },
      { out: "got it\n", err: "" },
    ]);
  });

  it("the end of input once reaches the process after all of it", async () => {
    const id = await create({ args: ["cat"], openStdin: true, stdinOnce: true });
    const client = await streams.attach(id, { ...ALL, stdin: true });
    const length = 3_000_000;
    const sent = client.write(Buffer.alloc(length, "x")); // before the start: it waits
    await lab.manager.start(id);
    const got = textOf(client);
    await sent;
    client.endInput();
    assert.equal((await got).out.length, length);
    assert.equal((await lab.manager.wait(id)).exitCode, 0);
  });

  it("input that stays open outlives its client", async () => {
    const id = await create({ args: sh("read a; read b; echo $a $b"), openStdin: true });
    await lab.manager.start(id);
    const first = await streams.attach(id, { ...ALL, stdin: true });
    await first.write(Buffer.from("one\n"));
    first.endInput();
    await textOf(first); // its hold ends with its input
    const second = await streams.attach(id, { ...ALL, stdin: true });
    await second.write(Buffer.from("two\n"));
    assert.equal((await textOf(second)).out, "one two\n");
  });

  it("a client that does not read holds the output back, and loses none of it", async () => {
    const id = await create({ args: sh("head -c 8000000 /dev/zero; echo; echo end") });
    const slow = await streams.attach(id, ALL);
    await lab.manager.start(id);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(lab.manager.get(id).state, "running");
    const { out } = await textOf(slow);
    assert.equal(out.length, 8_000_005);
    assert.equal((await lab.manager.wait(id)).exitCode, 0);
  });

  it("an auto-removed container's last output waits for a slow reader", async () => {
    const length = 1_500_000;
    const id = await create({ args: sh(`head -c ${length} /dev/zero; echo end`), autoRemove: true });
    const client = await streams.attach(id, ALL);
    const removed = lab.manager.wait(id, { condition: "removed" });
    await lab.manager.start(id);
    const reader = client.output[Symbol.asyncIterator]();
    let bytes = 0;
    let gone = false;
    void removed.then(() => {
      gone = true;
    });
    // so slowly that the end comes while the queue is full
    while (!gone && bytes < length / 3) bytes += (await reader.next()).value?.data.length ?? 0;
    await Promise.race([removed, new Promise((resolve) => setTimeout(resolve, 1_000))]);
    for (let next = await reader.next(); next.done !== true; next = await reader.next())
      bytes += next.value.data.length;
    assert.equal(bytes, length + 4);
    await removed;
  });

  it("a client of the next run reads that one, though the last is still being read", async () => {
    const id = await create({ args: sh("head -c 1100000 /dev/zero; echo end") });
    const slow = await streams.attach(id, ALL);
    await lab.manager.start(id);
    await lab.manager.wait(id);
    const next = textOf(await streams.attach(id, ALL));
    await lab.manager.start(id);
    assert.equal((await next).out.length, 1_100_004);
    assert.equal((await textOf(slow)).out.length, 1_100_004);
  });

  it("packets that wait when the container has ended are all read, also behind a reset by unread input", async () => {
    for (const openStdin of [false, true]) {
      const length = 60_000;
      const script = `sleep 0.1; head -c ${length} /dev/zero; echo end`;
      const id = await create({ args: sh(script), openStdin, stdinOnce: openStdin });
      const client = await streams.attach(id, { ...ALL, stdin: openStdin });
      const text = textOf(client);
      await lab.manager.start(id);
      if (openStdin) for (let at = 0; at < 20; at++) void client.write(Buffer.alloc(16_384));
      await new Promise((resolve) => setTimeout(resolve, 20));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400); // the daemon is busy meanwhile
      assert.equal((await text).out.length, length + 4);
    }
  });

  it("an exec that ends after its container was removed disturbs nobody", async () => {
    const id = await sleeper({ isolation: { pidMode: "host" } });
    const { id: execId } = await streams.createExec(id, { ...EXEC, args: ["sleep", "0.5"] });
    const text = textOf(await streams.startExec(execId, { detach: false, tty: false }));
    lab.manager.emit("0".repeat(64), "exec_die");
    await lab.manager.remove(id, { force: true });
    await text;
    assert.notEqual(streams.getExec(execId).exitCode, undefined);
  });

  it("with logs nothing is missed and nothing comes twice", async () => {
    const id = await create({ args: sh("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.05; done") });
    await lab.manager.start(id);
    await new Promise((resolve) => setTimeout(resolve, 120));
    const { out } = await textOf(await streams.attach(id, { ...ALL, logs: true }));
    assert.equal(out, [1, 2, 3, 4, 5, 6].map((number) => `line ${number}\n`).join(""));
    await lab.manager.wait(id);
    const past = await textOf(await streams.attach(id, { ...ALL, logs: true, stream: false }));
    assert.equal(past.out, out);
  });

  it("logs as text: a follower gets all of a fast writer's lines", async () => {
    const id = await create({ args: sh("seq 1 200000"), log: { driver: "", maxSizeBytes: 0, maxFiles: 0 } });
    await lab.manager.start(id);
    let text = "";
    for await (const bytes of streams.logs(id, {
      ...{ follow: true, tail: -1, sinceNs: 0n, untilNs: 0n, stdout: true, stderr: true },
      ...{ timestamps: false, details: false },
    })) {
      const frames = Buffer.from(bytes);
      for (let at = 0; at < frames.length; ) {
        const length = frames.readUInt32BE(at + 4);
        text += frames.toString("latin1", at + 8, at + 8 + length);
        at += 8 + length;
      }
    }
    assert.equal(text, Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join(""));
  });

  it("a terminal: one stream, its size, its input", async () => {
    const id = await create({
      args: sh("read x; stty size; echo got $x"),
      openStdin: true,
      stdinOnce: true,
      tty: true,
    });
    const client = await streams.attach(id, { ...ALL, stdin: true });
    await lab.manager.start(id);
    await streams.resize(id, { rows: 33, columns: 77 });
    await client.write(Buffer.from("it\n"));
    const { out, err } = await textOf(client);
    assert.match(out, /33 77\r\ngot it\r\n/);
    assert.equal(err, "");
  });

  it("exec: both streams, exit code, input, environment, folder, user", async () => {
    const id = await sleeper();
    assert.deepEqual(await exec(id, { args: sh("echo out; echo err >&2; exit 7") }), {
      out: "out\n",
      err: "err\n",
      code: 7,
    });
    const { out } = await exec(id, {
      args: sh("echo $A $FROM_IMAGE $HOME; pwd; id -u"),
      env: ["A=1"],
      workingDir: "/tmp",
      user: "alice",
    });
    assert.equal(out, "1 1 /home/alice\n/tmp\n1001\n");
    assert.equal((await exec(id, { args: sh("echo x > /dev/stdout; echo y > /dev/stderr") })).err, "y\n");
    const { id: cat } = await streams.createExec(id, { ...EXEC, args: ["cat"], attachStdin: true });
    const stream = await streams.startExec(cat, { detach: false, tty: false });
    const text = textOf(stream);
    await stream?.write(Buffer.alloc(1_000_000, "y"));
    stream?.endInput();
    assert.equal((await text).out.length, 1_000_000);
    assert.deepEqual([streams.getExec(cat).exitCode, streams.getExec(cat).running], [0, false]);
    assert.match(
      (await exec(id, { args: sh("grep CapEff /proc/self/status"), privileged: true })).out,
      /[1-9a-f]\n/,
    );
  });

  it("exec as a user never reads what a link in the container points to outside", async () => {
    const id = await sleeper();
    const plant =
      "b=/bin/busybox; $b rm /etc/passwd /etc/group; $b ln -s ../../../../../../etc/passwd /etc/passwd; " +
      "$b mkfifo /etc/group; $b readlink /etc/passwd; $b stat -c %F /etc/group";
    assert.equal((await exec(id, { args: sh(plant) })).out, "../../../../../../etc/passwd\nfifo\n");
    const { id: execId } = await streams.createExec(id, { ...EXEC, user: "daemon" });
    await assert.rejects(streams.startExec(execId, { detach: false, tty: false }));
    assert.equal((await exec(id, { args: sh("id -u"), user: "77" })).out, "77\n");
  });

  it("exec of what cannot be run says so in the words clients know", async () => {
    const id = await sleeper();
    const failing = async (changes: Partial<ExecSpecification>): Promise<[string, number | undefined]> => {
      const { id: execId } = await streams.createExec(id, { ...EXEC, ...changes });
      const refusal = await streams.startExec(execId, { detach: false, tty: changes.tty === true }).then(
        () => "",
        (error: Error) => error.message,
      );
      return [refusal, streams.getExec(execId).exitCode];
    };
    const words = (text: string): string =>
      `OCI runtime exec failed: exec failed: unable to start container process: ${text}: unknown`;
    const missing = words('exec: "nope": executable file not found in $PATH');
    assert.deepEqual(await failing({ args: ["nope"] }), [missing, 127]);
    assert.deepEqual(await failing({ args: ["nope"], tty: true }), [missing, 127]);
    assert.deepEqual(await failing({ args: ["/etc/passwd"] }), [
      words('exec: "/etc/passwd": permission denied'),
      126,
    ]);
    assert.deepEqual(await failing({ workingDir: "/nowhere" }), [
      words('chdir to cwd ("/nowhere") set in config.json failed: no such file or directory'),
      126,
    ]);
  });

  it("exec with a terminal: size from the start, input, exit code", async () => {
    const id = await sleeper();
    const script = "read x; stty size; echo got $x $TERM; exit 3";
    const { id: execId } = await streams.createExec(id, {
      ...EXEC,
      args: sh(script),
      tty: true,
      attachStdin: true,
    });
    const size = { rows: 20, columns: 30 };
    const stream = await streams.startExec(execId, { detach: false, tty: true, size });
    const text = textOf(stream);
    await stream?.write(Buffer.from("it\n"));
    assert.match((await text).out, /20 30\r\ngot it xterm\r\n/);
    assert.equal(streams.getExec(execId).exitCode, 3);
    assert.ok(streams.getExec(execId).pid > 0);
  });

  it("a detached exec runs on; execs need a running container, and are started once", async () => {
    const id = await sleeper();
    const { id: execId } = await streams.createExec(id, {
      ...EXEC,
      args: sh("echo x > /tmp/mark; sleep 1000"),
    });
    assert.equal(await streams.startExec(execId, { detach: true, tty: false }), undefined);
    assert.equal(streams.getExec(execId).running, true);
    await assert.rejects(streams.startExec(execId, { detach: true, tty: false }), /is already running/);
    const { id: late } = await streams.createExec(id, EXEC);
    await lab.manager.kill(id);
    await lab.manager.wait(id);
    await assert.rejects(streams.createExec(id, EXEC), /is not running/);
    assert.throws(() => streams.getExec(late), /No such exec instance/);
    assert.throws(() => streams.getExec("nope"), /No such exec instance: nope/);
  });
});
