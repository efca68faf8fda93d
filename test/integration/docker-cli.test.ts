/**
 * The stock docker CLI against three hosts: what a user of Docker Swarm types every day,
 * and what they read back.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { busyboxImage, busyboxRootfs } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { linesOf, must, noContainers, running, seenTasks } from "../support/lab/lab-services.js";
import { formSwarm, until } from "../support/lab/lab-swarm.js";
import { runSync } from "../support/lab/shell.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..");
const skip = runSync("docker", ["--version"]) ? false : "the docker command is not installed";

let lab: Lab;
let host: LabHost;

/** @returns the lines of what docker printed. */
async function docker(...args: string[]): Promise<string[]> {
  return linesOf(await must(host.docker(args, { timeoutMs: 40_000 })));
}

/** A command that must be refused. @returns its words. */
async function refused(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await host.docker(args);
  assert.notEqual(code, 0, `docker ${args.join(" ")} went through: ${stdout}`);
  return stderr.trim();
}

const HTTPD = ["skein-hello:latest", "httpd", "-f", "-vv", "-h", "/www"];
const SLEEP = ["skein-hello:latest", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"];

describe("stock docker CLI", { skip }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 3 });
    host = lab.host(1);
    await formSwarm(lab, { managers: 3 });
  });

  after(async () => {
    assert.deepEqual(await lab.close(), []);
  });

  test("version and info: the server, and its place in the swarm", async () => {
    assert.match(
      (
        await docker("version", "--format", "{{.Server.Version}} {{.Server.APIVersion}} {{.Server.Os}}")
      ).join(),
      /^\d+\.\d+\.\d+\S* 1\.\d+ linux$/,
    );
    const info = await docker(
      "info",
      "--format",
      "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.Managers}} {{.Swarm.Nodes}} {{.Name}}",
    );
    assert.deepEqual(info, ["active true 3 3 host1"]);
    const words = (await docker("info")).join("\n");
    assert.match(words, /Swarm: active/);
    assert.match(words, /Is Manager: true/);
    assert.match(words, /Node Address: 10\.99\.0\.1/);
  });

  test("swarm: a second init is refused, tokens rotate, update is seen", async () => {
    assert.match(await refused("swarm", "init"), /This node is already part of a swarm/);
    const [worker] = await docker("swarm", "join-token", "-q", "worker");
    const [manager] = await docker("swarm", "join-token", "-q", "manager");
    assert.match(worker ?? "", /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
    assert.notEqual(worker, manager);
    const [rotated] = await docker("swarm", "join-token", "-q", "--rotate", "worker");
    assert.match(rotated ?? "", /^SWMTKN-1-/);
    assert.notEqual(rotated, worker);
    assert.deepEqual(await docker("swarm", "join-token", "-q", "worker"), [rotated]);
    assert.match(
      (await docker("swarm", "join-token", "manager")).join("\n"),
      /docker swarm join --token SWMTKN-1-\S+ 10\.99\.0\.1:2377/,
    );
    assert.deepEqual(await docker("swarm", "update", "--task-history-limit", "3"), ["Swarm updated."]);
    assert.match((await docker("info")).join("\n"), /Task History Retention Limit: 3/);
  });

  test("node: ls, inspect, update, promote and demote, ps", async () => {
    const nodes = await docker(
      "node",
      "ls",
      "--format",
      "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}",
    );
    assert.deepEqual(nodes.sort(), [
      "host1 Ready Active Leader",
      "host2 Ready Active Reachable",
      "host3 Ready Active Reachable",
    ]);
    assert.match((await docker("node", "ls")).join("\n"), /\* {3}host1 /);
    assert.match(
      (await docker("node", "inspect", "--pretty", "self")).join("\n"),
      /Hostname:\s+host1[\s\S]*State:\s+Ready[\s\S]*Leader:\s+Yes/,
    );
    assert.match(await refused("node", "inspect", "nobody"), /node nobody not found/);

    assert.deepEqual(await docker("node", "update", "--label-add", "zone=east", "host2"), ["host2"]);
    assert.deepEqual(await docker("node", "inspect", "--format", "{{.Spec.Labels.zone}}", "host2"), ["east"]);
    assert.deepEqual(
      await docker("node", "ls", "-q", "--filter", "node.label=zone=east"),
      await docker("node", "inspect", "--format", "{{.ID}}", "host2"),
    );

    assert.deepEqual(await docker("node", "demote", "host3"), ["Manager host3 demoted in the swarm."]);
    await until("host3 is a worker", 15_000, async () => {
      const list = await docker("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}");
      const own = await lab.host(3).docker(["info", "--format", "{{.Swarm.ControlAvailable}}"]);
      return list.includes("host3 Ready") && own.stdout.trim() === "false" ? true : undefined;
    });
    const asWorker = await lab.host(3).docker(["node", "ls"]);
    assert.match(
      asWorker.stderr,
      /This node is not a swarm manager\. Worker nodes can't be used to view or modify cluster state/,
    );
    assert.deepEqual(await docker("node", "promote", "host3"), [
      "Node host3 promoted to a manager in the swarm.",
    ]);
    await until("host3 manages again", 15_000, async () => {
      const list = await docker("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}");
      return list.includes("host3 Ready Reachable") ? true : undefined;
    });
  });

  test("node update --availability drain moves tasks away, active takes new ones", async () => {
    await docker(
      "service",
      "create",
      "-d",
      "--no-resolve-image",
      "--name",
      "drained",
      "--replicas",
      "3",
      "--restart-delay",
      "100ms",
      ...SLEEP,
    );
    await running(host, "drained", 3);
    await docker("node", "update", "--availability", "drain", "host2");
    await until("host2 is empty", 20_000, async () => {
      const onHost2 = await docker("node", "ps", "host2", "--filter", "desired-state=running", "-q");
      const replicas = await docker("service", "ls", "--filter", "name=drained", "--format", "{{.Replicas}}");
      return onHost2.length === 0 && replicas[0] === "3/3" ? true : undefined;
    });
    await docker("node", "update", "--availability", "active", "host2");
    await docker("service", "scale", "-d", "drained=5");
    await running(host, "drained", 5);
    assert.ok((await docker("node", "ps", "host2", "--filter", "desired-state=running", "-q")).length >= 1);
    await docker("service", "rm", "drained");
  });

  test("service: create, ls, ps, inspect, scale, logs, rm", async () => {
    const created = await docker(
      "service",
      "create",
      "--name",
      "web",
      "--replicas",
      "3",
      "-p",
      "8080:80",
      "--update-monitor",
      "1s",
      "--stop-grace-period",
      "500ms",
      ...HTTPD,
    );
    assert.match(
      created.join("\n"),
      /^[0-9a-z]{25}\n[\s\S]*3 out of 3 tasks[\s\S]*Service [0-9a-z]{25} converged$/,
    );
    assert.deepEqual(
      await docker("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}} {{.Ports}}"),
      ["web replicated 3/3 skein-hello:latest *:8080->80/tcp"],
    );
    const ps = await docker(
      "service",
      "ps",
      "web",
      "--format",
      "{{.Name}} {{.Image}} {{.Node}} {{.DesiredState}} {{.CurrentState}} {{.Error}}",
    );
    assert.deepEqual(
      ps.map((line) => line.replace(/ (?:\d+ \w+|Less than a second|About a minute) ago/, "")).sort(),
      ["web.1", "web.2", "web.3"].map(
        (name, i) => `${name} skein-hello:latest ${ps.sort()[i]?.split(" ")[2]} Running Running`,
      ),
    );
    assert.equal(new Set(ps.map((line) => line.split(" ")[2])).size, 3, "one task per host");
    assert.match(
      (await docker("service", "inspect", "--pretty", "web")).join("\n"),
      /Name:\s+web[\s\S]*Replicas:\s+3[\s\S]*PublishedPort = 8080/,
    );

    const before = (await running(host, "web", 3)).map((task) => task.ID);
    assert.match(
      (await docker("service", "scale", "web=6")).join("\n"),
      /^web scaled to 6\n[\s\S]*6 out of 6 tasks/,
    );
    const grown = (await running(host, "web", 6)).map((task) => task.ID);
    assert.deepEqual(
      before.filter((id) => !grown.includes(id)),
      [],
      "scaling leaves running tasks alone",
    );

    for (const each of lab.hosts)
      await must(
        client().attempt("curl", ["-sSf", "--max-time", "5", `http://${each.address}:8080/index.html`]),
      );
    const logs = await until("three requests in the logs", 10_000, async () => {
      const { stdout, stderr } = await host.docker(["service", "logs", "web"]);
      const lines = linesOf(stdout + stderr).filter((line) => line.includes("url:/index.html"));
      return lines.length === 3 ? lines : undefined;
    });
    for (const line of logs)
      assert.match(line, /^web\.\d\.[0-9a-z]{12}@host\d +\| .*10\.99\.0\.101\S*: url:\/index\.html$/);

    assert.match(
      await refused("service", "create", "-d", "--no-resolve-image", "--name", "web", ...SLEEP),
      /name conflicts with an existing object: service web already exists/,
    );
    assert.match(
      await refused(
        "service",
        "create",
        "-d",
        "--no-resolve-image",
        "--name",
        "web2",
        "-p",
        "8080:80",
        ...SLEEP,
      ),
      /port '8080' is already in use by service 'web'/,
    );
    assert.match(await refused("service", "ps", "nosuch"), /no such service: nosuch/i);
    assert.deepEqual(await docker("service", "rm", "web"), ["web"]);
    assert.match(await refused("service", "inspect", "web"), /no such service: web/i);
    await noContainers(lab, "com.docker.swarm.service.name=web");
  });

  test("service update rolls, rollback goes back, and both say so", async () => {
    await docker(
      "service",
      "create",
      "-d",
      "--no-resolve-image",
      "--name",
      "rolled",
      "--replicas",
      "2",
      "--update-delay",
      "0s",
      "--update-monitor",
      "500ms",
      "--rollback-monitor",
      "500ms",
      ...SLEEP,
    );
    const first = await running(host, "rolled", 2);
    const updated = await docker("service", "update", "--env-add", "COLOUR=green", "rolled");
    assert.match(updated.join("\n"), /^rolled\n[\s\S]*converged$/);
    const second = await running(host, "rolled", 2);
    assert.deepEqual(
      second.map((task) => task.Spec.ContainerSpec.Env),
      [["COLOUR=green"], ["COLOUR=green"]],
    );
    assert.ok(second.every((task) => !first.some((old) => old.ID === task.ID)));
    assert.deepEqual(
      await docker(
        "service",
        "inspect",
        "--format",
        "{{.UpdateStatus.State}} {{.UpdateStatus.Message}}",
        "rolled",
      ),
      ["completed update completed"],
    );
    assert.match(
      (await docker("service", "ps", "rolled")).join("\n"),
      /rolled\.1 [\s\S]*\\_ rolled\.1 .*Shutdown/,
    );

    const back = await docker("service", "rollback", "rolled");
    assert.match(back.join("\n"), /rollback: manually requested rollback|rolled/);
    const third = await running(host, "rolled", 2);
    assert.deepEqual(
      third.map((task) => task.Spec.ContainerSpec.Env ?? []),
      [[], []],
    );
    await until("the rollback is over", 10_000, async () => {
      const [state] = await docker("service", "inspect", "--format", "{{.UpdateStatus.State}}", "rolled");
      return state === "rollback_completed" ? true : undefined;
    });
    await docker("service", "rm", "rolled");
  });

  test("stack: deploy, ls, ps, services; again changes nothing; rm takes everything", async () => {
    const file = join(PROJECT, "examples/hello/compose.yml");
    const deployed = await docker("stack", "deploy", "-d", "-c", file, "hello");
    assert.deepEqual([...deployed].sort(), [
      "Creating config hello_motto",
      "Creating network hello_front",
      "Creating secret hello_password",
      "Creating service hello_greeter",
      "Creating service hello_web",
    ]);
    const web = await running(host, "hello_web", 2);
    const greeter = await running(host, "hello_greeter", 1);
    assert.deepEqual(await docker("stack", "ls", "--format", "{{.Name}} {{.Services}}"), ["hello 2"]);
    assert.deepEqual(
      (await docker("stack", "services", "hello", "--format", "{{.Name}} {{.Replicas}}")).sort(),
      ["hello_greeter 1/1", "hello_web 2/2"],
    );
    assert.deepEqual(
      (await docker("stack", "ps", "hello", "--format", "{{.Name}} {{.DesiredState}}")).sort(),
      ["hello_greeter.1 Running", "hello_web.1 Running", "hello_web.2 Running"],
    );
    for (const each of lab.hosts) {
      await until(`the page through ${each.name}`, 10_000, async () => {
        const { stdout } = await client().attempt("curl", [
          "-sS",
          "--max-time",
          "5",
          `http://${each.address}:8080/cgi-bin/hello`,
        ]);
        return /motto: The formation holds/.test(stdout) &&
          /secret: present/.test(stdout) &&
          /greeting: honk/.test(stdout)
          ? true
          : undefined;
      });
    }

    assert.match(
      (await docker("stack", "deploy", "-d", "--resolve-image", "never", "-c", file, "hello")).join("\n"),
      /Updating service hello_web/,
    );
    await until("the store has settled", 10_000, async () => {
      const states = await docker(
        "service",
        "inspect",
        "--format",
        "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}",
        "hello_web",
        "hello_greeter",
      );
      return states.includes("updating") ? undefined : true;
    });
    assert.deepEqual(
      (await seenTasks(host, "hello_web")).map((task) => task.ID).sort(),
      web.map((task) => task.ID).sort(),
    );
    assert.deepEqual(
      (await seenTasks(host, "hello_greeter")).map((task) => task.ID),
      greeter.map((task) => task.ID),
    );

    await docker("stack", "rm", "hello");
    await noContainers(lab, "com.docker.stack.namespace=hello", 25_000);
    assert.deepEqual(await docker("stack", "ls", "--format", "{{.Name}}"), []);
    for (const kind of ["network", "secret", "config"]) {
      assert.deepEqual(
        await docker(kind, "ls", "--filter", "label=com.docker.stack.namespace=hello", "-q"),
        [],
        kind,
      );
    }
  });

  test("secret and config: create, ls, inspect, rm", async () => {
    for (const kind of ["secret", "config"]) {
      const path = join(lab.dir, `${kind}.txt`);
      writeFileSync(path, "honk\n");
      const [id] = await docker(kind, "create", "--label", "tier=front", "note", path);
      assert.match(id ?? "", /^[0-9a-z]{25}$/);
      assert.deepEqual(await docker(kind, "ls", "--format", "{{.ID}} {{.Name}}"), [`${id} note`]);
      assert.deepEqual(
        await docker(kind, "inspect", "--format", "{{.ID}} {{.Spec.Name}} {{.Spec.Labels.tier}}", "note"),
        [`${id} note front`],
      );
      assert.match((await docker(kind, "inspect", "--pretty", "note")).join("\n"), /Name:\s+note/);
      assert.match(await refused(kind, "create", "note", path), /AlreadyExists|already exists/);
      assert.match(
        await refused(kind, "inspect", "other"),
        new RegExp(`no such ${kind}|${kind} other not found`, "i"),
      );

      await docker(
        "service",
        "create",
        "-d",
        "--no-resolve-image",
        "--name",
        "holder",
        `--${kind}`,
        "note",
        ...SLEEP,
      );
      assert.match(
        await refused(kind, "rm", "note"),
        new RegExp(`${kind} 'note' is in use by the following service: holder`),
      );
      await running(host, "holder", 1);
      await docker("service", "rm", "holder");
      assert.deepEqual(await docker(kind, "rm", "note"), ["note"]);
      assert.deepEqual(await docker(kind, "ls", "-q"), []);
    }
    assert.deepEqual(
      await docker("secret", "create", "piped", join(lab.dir, "secret.txt")).then((lines) => lines.length),
      1,
    );
    assert.doesNotMatch(
      JSON.stringify(await docker("secret", "inspect", "piped")),
      /aG9uawo=|"Data"/,
      "a secret never comes back",
    );
    await docker("secret", "rm", "piped");
  });

  test("network: create, ls, inspect, rm", async () => {
    const [id] = await docker(
      "network",
      "create",
      "-d",
      "overlay",
      "--subnet",
      "10.20.0.0/24",
      "--label",
      "a=b",
      "--attachable",
      "mine",
    );
    assert.match(id ?? "", /^[0-9a-z]{25}$/);
    assert.deepEqual(
      await docker(
        "network",
        "ls",
        "--filter",
        "driver=overlay",
        "--filter",
        "name=mine",
        "--format",
        "{{.ID}} {{.Name}} {{.Driver}} {{.Scope}}",
      ),
      [`${id?.slice(0, 12)} mine overlay swarm`],
    );
    assert.deepEqual(
      await docker(
        "network",
        "inspect",
        "--format",
        "{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}} {{.Attachable}} {{.Labels.a}}",
        "mine",
      ),
      ["10.20.0.0/24 10.20.0.1 true b"],
    );
    assert.ok((await docker("network", "ls", "--format", "{{.Name}}")).includes("ingress"));
    assert.match(
      await refused("network", "create", "-d", "overlay", "mine"),
      /network with name mine already exists/,
    );
    assert.match(
      await refused("network", "create", "-d", "overlay", "--subnet", "10.20.0.0/24", "other"),
      /overlaps/i,
    );
    await docker(
      "service",
      "create",
      "-d",
      "--no-resolve-image",
      "--name",
      "netuser",
      "--network",
      "mine",
      ...SLEEP,
    );
    assert.match(
      await refused("network", "rm", "mine"),
      /network mine is in use by the following service: netuser/,
    );
    await running(host, "netuser", 1);
    await docker("service", "rm", "netuser");
    assert.deepEqual(
      await until("the network is free", 10_000, async () => {
        const { code, stdout } = await host.docker(["network", "rm", "mine"]);
        return code === 0 ? linesOf(stdout) : undefined;
      }),
      ["mine"],
    );
    assert.match(await refused("network", "inspect", "mine"), /network mine not found/);
  });

  test("events: what happens to services and containers is told as it happens", async () => {
    const child = spawn(
      "docker",
      ["events", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"],
      {
        env: { ...process.env, DOCKER_HOST: `unix://${host.socketPath}` },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    try {
      // The stream has begun once a first event was seen.
      let probe = 0;
      await until("the stream", 10_000, async () => {
        await docker(
          "service",
          "create",
          "-d",
          "--no-resolve-image",
          "--name",
          `probe${probe}`,
          "--replicas",
          "0",
          ...SLEEP,
        );
        await docker("service", "rm", `probe${probe++}`);
        return text.includes("service create probe") ? true : undefined;
      });
      await docker(
        "service",
        "create",
        "-d",
        "--no-resolve-image",
        "--name",
        "told",
        "--mode",
        "global",
        ...SLEEP,
      );
      await running(host, "told", 3);
      await docker("service", "rm", "told");
      await noContainers(lab, "com.docker.swarm.service.name=told");
      const wanted = [
        /^service create told$/m,
        /^service remove told$/m,
        /^container start told\./m,
        /^container die told\./m,
        /^container destroy told\./m,
      ];
      await until(
        "all events",
        10_000,
        async () => (wanted.every((line) => line.test(text)) ? true : undefined),
        () => text,
      );
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  });

  test("images: load, import, tag, ls, inspect, rmi; ps", async () => {
    const loadPath = join(lab.dir, "load.tar");
    writeFileSync(loadPath, await busyboxImage({ tags: ["small:1"], env: ["A=1"] }));
    assert.match((await docker("load", "-i", loadPath)).join("\n"), /Loaded image: small:1/);
    const importPath = join(lab.dir, "import.tar");
    writeFileSync(importPath, await busyboxRootfs());
    const [imported] = await docker("import", "-c", 'CMD ["sh"]', "-m", "by hand", importPath, "bare:2");
    assert.match(imported ?? "", /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(await docker("tag", "bare:2", "bare:3"), []);
    const names = await docker("images", "--format", "{{.Repository}}:{{.Tag}}");
    for (const name of ["small:1", "bare:2", "bare:3", "skein-hello:latest"])
      assert.ok(names.includes(name), name);
    assert.deepEqual(await docker("images", "--no-trunc", "-q", "bare:3"), [imported]);
    assert.deepEqual(
      await docker("image", "inspect", "--format", "{{.Id}} {{json .Config.Cmd}} {{.Comment}}", "bare:3"),
      [`${imported} ["sh"] by hand`],
    );
    assert.deepEqual(await docker("image", "inspect", "--format", "{{json .Config.Env}}", "small:1"), [
      '["PATH=/bin","A=1"]',
    ]);
    assert.deepEqual(await docker("rmi", "bare:2"), ["Untagged: bare:2"]);
    assert.match((await docker("rmi", "bare:3")).join("\n"), /^Untagged: bare:3\nDeleted: sha256:/);
    await docker("rmi", "small:1");
    assert.match(await refused("rmi", "bare:3"), /No such image: bare:3/);
    assert.match(await refused("image", "inspect", "bare:3"), /No such image: bare:3/);

    await docker(
      "service",
      "create",
      "-d",
      "--no-resolve-image",
      "--name",
      "shown",
      "--constraint",
      "node.hostname==host1",
      ...SLEEP,
    );
    const [task] = await running(host, "shown", 1);
    const rows = await docker(
      "ps",
      "--no-trunc",
      "--filter",
      "name=shown",
      "--format",
      "{{.Names}} {{.Image}} {{.State}}",
    );
    assert.deepEqual(rows, [`shown.1.${task?.ID} skein-hello:latest running`]);
    assert.match(await refused("rmi", "skein-hello:latest"), /conflict/);
    await docker("service", "rm", "shown");
  });
});

function client(): (typeof lab.clients)[number] {
  const first = lab.clients[0];
  assert.ok(first);
  return first;
}
