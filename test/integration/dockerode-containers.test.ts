/**
 * dockerode, unmodified, through the whole life of images, containers, volumes and networks on one host
 * without a swarm: what programs written for Docker call, and the shapes they read.
 */
import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { after, before, test } from "node:test";
import Docker from "dockerode";
import { extract, pack } from "tar-stream";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";

const IMAGE = "skein-hello:latest";
const SLEEPER = ["sh", "-c", "trap 'exit 5' TERM; echo up; while true; do sleep 0.1; done"];

let lab: Lab;
let docker: Docker;

before(async () => {
  lab = await Lab.open({ hosts: 1 });
  await lab.host(1).start();
  docker = new Docker({ socketPath: lab.host(1).socketPath });
  await followed(await docker.loadImage(Readable.from([await busyboxImage()])));
});

after(async () => {
  for (const { Id } of await docker.listContainers({ all: true }))
    await docker.getContainer(Id).remove({ force: true, v: true });
  assert.deepEqual(await lab.close(), []);
});

function followed(stream: NodeJS.ReadableStream): Promise<{ stream?: string; status?: string }[]> {
  return new Promise((done, failed) => {
    docker.modem.followProgress(stream, (error, output) => (error === null ? done(output) : failed(error)));
  });
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString();
  return text;
}

/** What stdout and stderr got, once the stream has ended. */
async function demuxed(stream: NodeJS.ReadableStream): Promise<{ out: string; err: string }> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  docker.modem.demuxStream(stream, out, err);
  const ended = new Promise<void>((resolve) => {
    stream.once("end", resolve);
    stream.once("close", resolve);
  });
  void ended.then(() => {
    out.end();
    err.end();
  });
  const [outText, errText] = await Promise.all([textOf(out), textOf(err)]);
  return { out: outText, err: errText };
}

async function refused(promise: Promise<unknown>): Promise<{ statusCode: number; message: string }> {
  try {
    await promise;
  } catch (error) {
    return error as { statusCode: number; message: string }; // docker-modem's errors have both
  }
  assert.fail("it went through");
}

async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, text] of Object.entries(files)) tar.entry({ name }, text);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer); // tar-stream yields Buffers
  return Buffer.concat(chunks);
}

async function filesOf(stream: NodeJS.ReadableStream): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const reader = extract();
  stream.pipe(reader);
  for await (const entry of reader) files[entry.header.name] = await textOf(Readable.from(entry));
  return files;
}

async function running(name: string, options: Docker.ContainerCreateOptions = {}): Promise<Docker.Container> {
  const container = await docker.createContainer({ name, Image: IMAGE, Cmd: SLEEPER, ...options });
  await container.start();
  return container;
}

test("run: output by stream, exit code, removed by itself", async () => {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([textOf(out), textOf(err)]);
  const [result, container] = (await docker.run(
    IMAGE,
    ["sh", "-c", "echo one; echo two >&2; exit 7"],
    [out, err],
    {
      Tty: false,
      name: "run1",
      HostConfig: { AutoRemove: true },
    },
  )) as [{ StatusCode: number }, Docker.Container];
  out.end();
  err.end();
  assert.deepEqual(await texts, ["one\n", "two\n"]);
  assert.equal(result.StatusCode, 7);
  const gone = await refused(container.wait({ condition: "removed" }).then(() => container.inspect()));
  assert.equal(gone.statusCode, 404);
});

test("create, inspect, start, stop, restart, kill, rename, update, remove", async () => {
  const container = await docker.createContainer({
    name: "life",
    Image: IMAGE,
    Cmd: SLEEPER,
    Env: ["A=1"],
    Labels: { made: "by dockerode" },
    HostConfig: { Memory: 64 * 1024 * 1024, RestartPolicy: { Name: "no" } },
  });
  const created = await container.inspect();
  assert.equal(created.State.Status, "created");
  assert.ok(created.Config.Env.includes("A=1"));
  assert.deepEqual([created.HostConfig.Memory, created.HostConfig.MemorySwap], [2 ** 26, 2 ** 27]);
  await container.start();
  assert.equal((await refused(container.start())).statusCode, 304);
  const started = await container.inspect();
  assert.ok(started.State.Running && started.State.Pid > 0);
  assert.equal((await refused(container.remove())).statusCode, 409);
  const stopped = container.wait({ condition: "next-exit" });
  await container.stop({ t: 10 });
  assert.deepEqual(await stopped, { StatusCode: 5 });
  assert.equal((await refused(container.stop())).statusCode, 304);
  await container.restart();
  await container.rename({ name: "life2" });
  assert.equal((await docker.getContainer("life2").inspect()).Id, container.id);
  await container.update({ CpuShares: 512 });
  assert.equal((await container.inspect()).HostConfig.CpuShares, 512);
  await container.kill({ signal: "SIGKILL" });
  assert.deepEqual(await container.wait(), { StatusCode: 137 });
  assert.equal((await refused(container.kill())).statusCode, 409);
  await container.remove();
  assert.equal((await refused(container.inspect())).statusCode, 404);
});

test("attach before the start: input, output, and the end of both", async () => {
  const container = await docker.createContainer({
    Image: IMAGE,
    Cmd: ["cat"],
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await container.attach({
    stream: true,
    hijack: true,
    stdin: true,
    stdout: true,
    stderr: true,
  });
  const output = demuxed(stream);
  await container.start();
  stream.write("first\n");
  stream.end("second\n");
  assert.deepEqual(await output, { out: "first\nsecond\n", err: "" });
  assert.deepEqual(await container.wait(), { StatusCode: 0 });
  await container.remove();
});

test("exec: streams, exit code, and what is not there", async () => {
  const container = await running("exec1");
  const exec = await container.exec({
    Cmd: ["sh", "-c", "echo out; echo err >&2; read line; echo got $line; exit 3"],
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await exec.start({ hijack: true, stdin: true });
  const output = demuxed(stream);
  stream.write("word\n");
  assert.deepEqual(await output, { out: "out\ngot word\n", err: "err\n" });
  const seen = await exec.inspect();
  assert.deepEqual([seen.Running, seen.ExitCode], [false, 3]);
  await container.pause();
  assert.equal((await container.inspect()).State.Status, "paused");
  assert.equal((await refused(container.exec({ Cmd: ["true"] }))).statusCode, 409);
  await container.unpause();
  await container.remove({ force: true });
});

test("logs: what was written, by stream, and as it comes", async () => {
  const container = await docker.createContainer({
    Image: IMAGE,
    Cmd: ["sh", "-c", "echo a; echo b >&2; sleep 0.3; echo c"],
  });
  await container.start();
  const live = await container.logs({ follow: true, stdout: true, stderr: true });
  assert.deepEqual(await demuxed(live), { out: "a\nc\n", err: "b\n" });
  // not followed: dockerode gives all of it at once
  const tail = (await container.logs({ stdout: true, stderr: false, tail: 1 })) as unknown as Buffer;
  assert.equal(tail.subarray(8).toString(), "c\n");
  await container.remove();
});

test("files: put, get, stat, changes, export", async () => {
  const container = await running("files1");
  await container.putArchive(await tarOf({ "note.txt": "honk" }), { path: "/tmp" });
  assert.deepEqual(await filesOf(await container.getArchive({ path: "/tmp/note.txt" })), {
    "note.txt": "honk",
  });
  const changes = (await container.changes()) as { Path: string; Kind: number }[];
  assert.ok(
    changes.some(({ Path, Kind }) => Path === "/tmp/note.txt" && Kind === 1),
    JSON.stringify(changes),
  );
  const all = await filesOf(await container.export());
  assert.equal(all["tmp/note.txt"], "honk");
  assert.equal((await refused(container.getArchive({ path: "/nope" }))).statusCode, 404);
  await container.remove({ force: true });
});

test("stats and top: numbers of a running container", async () => {
  const container = await running("stats1");
  const stats = await container.stats({ stream: false });
  assert.ok(stats.memory_stats.usage > 0);
  assert.ok(stats.cpu_stats.cpu_usage.total_usage > 0);
  const top = await container.top();
  assert.ok((top.Processes as string[][]).some((row) => row.join(" ").includes("sleep 0.1")));
  await container.remove({ force: true });
});

test("commit: an image of what changed runs", async () => {
  const container = await running("commit1");
  await container.putArchive(await tarOf({ motto: "fly" }), { path: "/" });
  const { Id } = await container.commit({ repo: "flying", tag: "1", comment: "by test" });
  assert.match(Id, /^sha256:[0-9a-f]{64}$/);
  const out = new PassThrough();
  const text = textOf(out);
  await docker.run("flying:1", ["cat", "/motto"], out, { HostConfig: { AutoRemove: true } });
  out.end();
  assert.match(await text, /fly/);
  await container.remove({ force: true });
  await docker.getImage("flying:1").remove();
});

test("volumes: made, mounted, kept, in use, removed", async () => {
  await docker.createVolume({ Name: "kept", Labels: { tier: "back" } });
  const container = await docker.createContainer({
    Image: IMAGE,
    Cmd: ["sh", "-c", "echo data > /v/file"],
    HostConfig: { Binds: ["kept:/v"] },
  });
  await container.start();
  await container.wait();
  const { Mounts } = await container.inspect();
  assert.deepEqual([Mounts[0]?.Name, Mounts[0]?.Destination, Mounts[0]?.RW], ["kept", "/v", true]);
  assert.equal((await refused(docker.getVolume("kept").remove())).statusCode, 409);
  await container.remove();
  const { Volumes } = await docker.listVolumes({ filters: { label: ["tier=back"] } });
  assert.deepEqual(
    Volumes.map(({ Name }) => Name),
    ["kept"],
  );
  await docker.getVolume("kept").remove();
  assert.equal((await refused(docker.getVolume("kept").inspect())).statusCode, 404);
});

test("networks: containers find each other by name; connected and disconnected while they run", async () => {
  const network = await docker.createNetwork({ Name: "pond", Driver: "bridge" });
  const server = await running("goose", {
    Cmd: ["sh", "-c", "echo honk > /index.html; exec httpd -f -p 80 -h /"],
    HostConfig: { NetworkMode: "pond" },
  });
  const fetched = async (container: string): Promise<string> => {
    const exec = await docker.getContainer(container).exec({
      Cmd: ["sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 goose 80 | tail -n 1"],
      AttachStdout: true,
    });
    return (await demuxed(await exec.start({}))).out.trim();
  };
  const client = await running("duck");
  assert.equal(await fetched("duck"), "");
  await network.connect({ Container: "duck" });
  assert.equal(await fetched("duck"), "honk");
  const seen = await client.inspect();
  assert.deepEqual(Object.keys(seen.NetworkSettings.Networks).sort(), ["bridge", "pond"]);
  const members = (await network.inspect()).Containers as Record<string, { Name: string }>;
  assert.deepEqual(
    Object.values(members)
      .map(({ Name }) => Name)
      .sort(),
    ["duck", "goose"],
  );
  assert.equal((await refused(network.remove())).statusCode, 403);
  await network.disconnect({ Container: "duck" });
  assert.equal(await fetched("duck"), "");
  await client.remove({ force: true });
  await server.remove({ force: true });
  await network.remove();
});

test("list and prune: filters in every shape clients send", async () => {
  const one = await running("listed1", { Labels: { flock: "a" } });
  await docker.createContainer({ name: "listed2", Image: IMAGE, Cmd: ["true"], Labels: { flock: "b" } });
  const names = async (options: Docker.ContainerListOptions): Promise<(string | undefined)[]> =>
    (await docker.listContainers(options)).map(({ Names }) => Names[0]);
  assert.deepEqual(await names({ filters: { label: ["flock"] } }), ["/listed1"]);
  assert.deepEqual(await names({ all: true, filters: { label: ["flock"] } }), ["/listed2", "/listed1"]);
  assert.deepEqual(await names({ filters: '{"status":{"created":true},"label":{"flock":true}}' }), [
    "/listed2",
  ]);
  const pruned = await docker.pruneContainers({ filters: { label: ["flock=b"] } });
  assert.equal(pruned.ContainersDeleted.length, 1);
  assert.deepEqual(await names({ all: true, filters: { label: ["flock"] } }), ["/listed1"]);
  await one.remove({ force: true });
});

test("events: a container's life as it is told", async () => {
  const since = Math.floor(Date.now() / 1000) - 1;
  const container = await docker.createContainer({ name: "told", Image: IMAGE, Cmd: ["false"] });
  await container.start();
  await container.wait();
  await container.remove();
  const stream = await docker.getEvents({
    since,
    until: Math.ceil(Date.now() / 1000) + 1,
    filters: { container: ["told"], type: ["container"] },
  });
  const events = (await textOf(stream))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { Action: string; Actor: { Attributes: Record<string, string> } });
  assert.deepEqual(
    events.map(({ Action }) => Action),
    ["create", "start", "die", "destroy"],
  );
  assert.deepEqual(
    [events[2]?.Actor.Attributes["exitCode"], events[2]?.Actor.Attributes["name"]],
    ["1", "told"],
  );
});
