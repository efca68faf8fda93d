/**
 * Services, stacks and events by the stock docker CLI on three hosts: what a user types every day,
 * and what they read back.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DockerCli, STAYING, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { linesOf, must, noContainers, running, seenTasks } from "../support/lab/lab-services.js";
import { formSwarm, until } from "../support/lab/lab-swarm.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..");
const HTTPD = ["skein-hello:latest", "httpd", "-f", "-vv", "-h", "/www"];

let lab: Lab;
let host: LabHost;
let cli: DockerCli;
const docker = (...args: string[]): Promise<string[]> => cli.lines(...args);
const refused = (...args: string[]): Promise<string> => cli.refused(...args);

describe("services by the stock docker CLI", { skip: skipWithoutDocker }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 3 });
    host = lab.host(1);
    cli = new DockerCli(host);
    await formSwarm(lab, { managers: 3 });
  });

  after(async () => {
    assert.deepEqual(await lab.close(), []);
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
      await refused("service", "create", "-d", "--no-resolve-image", "--name", "web", ...STAYING),
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
        ...STAYING,
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
      ...STAYING,
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

  test("a job: its tasks run to their end and stay complete", async () => {
    const created = await docker(
      ...["service", "create", "--no-resolve-image", "--name", "job", "--mode", "replicated-job"],
      ...["--replicas", "3", "--max-concurrent", "2", "skein-hello:latest", "echo", "done"],
    );
    assert.match(created.join("\n"), /^[0-9a-z]{25}\n[\s\S]*job complete$/);
    const [line = ""] = await docker(
      ...["service", "ls", "--filter", "name=job", "--format", "{{.Mode}} {{.Replicas}}"],
    );
    assert.match(line, /^replicated job .*\(3\/3 completed\)$/);
    assert.deepEqual(await docker("service", "logs", "--raw", "job"), ["done", "done", "done"]);
    assert.match((await docker("service", "ps", "job")).join("\n"), /Complete +Complete /);
    await docker("service", "rm", "job");
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
    const networks = await Promise.all(
      lab.hosts.map(async (each) => {
        const there = new DockerCli(each);
        const label = "label=com.docker.swarm.service.name=hello_web";
        const [id] = await there.lines("ps", "-q", "--filter", label);
        const format =
          "{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{$net.IPAddress}}{{end}}";
        return id === undefined ? [] : there.lines("inspect", "--format", format, id);
      }),
    );
    assert.match(networks.flat().join("\n"), /^hello_front 10\.\d+\.\d+\.\d+$/m);
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
    let sinceMs = 0;
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
          ...STAYING,
        );
        await docker("service", "rm", `probe${probe++}`);
        return text.includes("service create probe") ? true : undefined;
      });
      sinceMs = Date.now();
      await docker(
        "service",
        "create",
        "-d",
        "--no-resolve-image",
        "--name",
        "told",
        "--mode",
        "global",
        ...STAYING,
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
      const past = await docker(
        ...["events", "--since", String(sinceMs / 1000), "--until", String(Date.now() / 1000)],
        ...["--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"],
      );
      for (const line of wanted) assert.match(past.join("\n"), line);
      assert.doesNotMatch(past.join("\n"), /^service create probe/m);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  });
});

function client(): (typeof lab.clients)[number] {
  const first = lab.clients[0];
  assert.ok(first);
  return first;
}
