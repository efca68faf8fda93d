/**
 * New data of configs and secrets reaches the running tasks by their service's update rules, and a rollback
 * takes it back; by our command and by the stock `docker stack deploy`.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { call, dissolve, formSwarm, IMAGE, type LabContainer, until } from "../support/lab/lab-swarm.js";
import type { CommandResult } from "../support/lab/shell.js";

let lab: Lab;
let folder: string;

before(async () => {
  lab = await Lab.open({ hosts: 2, clients: 0 });
  await formSwarm(lab, { managers: 1 });
  folder = mkdtempSync(join(lab.dir, "files-"));
});

after(async () => {
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(await dissolve(lab), []);
});

const SLEEP = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done";

async function ok(result: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await result;
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

/** What each running container of a service reads, in order of host. */
async function contents(service: string, path: string): Promise<readonly string[]> {
  const read = async (host: LabHost): Promise<string[]> => {
    const all = await call<readonly LabContainer[]>(host, "GET", "/containers/json");
    const own = all.filter(({ Labels }) => Labels["com.docker.swarm.service.name"] === service);
    const texts: string[] = [];
    for (const { Id } of own) {
      const { code, stdout } = await host.docker(["exec", Id, "cat", path]);
      if (code === 0) texts.push(stdout.trim()); // else it is just being replaced
    }
    return texts;
  };
  return (await Promise.all(lab.hosts.map(read))).flat();
}

async function untilContents(service: string, path: string, wanted: readonly string[]): Promise<void> {
  let last: readonly string[] = [];
  await until(
    `${service} reads ${wanted.join()} from ${path}`,
    30_000,
    async () => {
      last = await contents(service, path);
      return last.join() === wanted.join() || undefined;
    },
    () => last.join(),
  );
}

test("new data rolls the service, which goes back with a rollback; nothing of it is left on the node", async () => {
  const host = lab.host(1);
  await ok(host.docker(["config", "create", "page", "-"], { input: "one" }));
  await ok(host.docker(["secret", "create", "key", "-"], { input: "first secret" }));
  await ok(
    host.docker([
      "service",
      "create",
      "--quiet",
      "--name",
      "web",
      "--replicas",
      "2",
      "--config",
      "source=page,target=/page",
      "--secret",
      "key",
      "--update-monitor",
      "1ms",
      "--rollback-monitor",
      "1ms",
      IMAGE,
      "sh",
      "-c",
      SLEEP,
    ]),
  );
  await untilContents("web", "/page", ["one", "one"]);

  assert.match(await ok(host.skein(["config", "update", "page", "-"], { input: "two" })), /page: version 2/);
  await untilContents("web", "/page", ["two", "two"]);
  const history = await ok(host.docker(["service", "inspect", "web", "--format", "{{json .PreviousSpec}}"]));
  assert.match(history, /"ConfigName":"page"/);

  await ok(host.skein(["secret", "update", "key", "-"], { input: "second secret" }));
  await untilContents("web", "/run/secrets/key", ["second secret", "second secret"]);
  await ok(host.docker(["service", "rollback", "--quiet", "web"]));
  await untilContents("web", "/run/secrets/key", ["first secret", "first secret"]);
  await untilContents("web", "/page", ["two", "two"]);

  const inspected = await ok(host.docker(["secret", "inspect", "key"]));
  assert.doesNotMatch(inspected, /secret"|Zmlyc3Q|c2Vjb25k/, "no data, not even in base64");
  assert.match(await ok(host.skein(["secret", "ls"])), /key +2 /);
  for (const each of lab.hosts) {
    const found = await each.attempt("grep", ["-rlE", "(first|second) secret", each.dir]);
    const onDisk = found.stdout.split("\n").filter((path) => path !== "" && !path.includes("/run/"));
    assert.deepEqual(onDisk, []);
  }
});

test("stack deploy with a changed config file updates the services, under the same name", async () => {
  const host = lab.host(1);
  const compose = join(folder, "compose.yml");
  writeFileSync(
    compose,
    `services:
  app:
    image: ${IMAGE}
    command: ["sh", "-c", "${SLEEP.split("$").join("$$")}"]
    configs: [{source: settings, target: /settings}]
    deploy: {update_config: {monitor: 1ms}}
configs:
  settings: {file: ./settings.txt}
`,
  );
  for (const data of ["a = 1", "a = 2"]) {
    writeFileSync(join(folder, "settings.txt"), data);
    await ok(host.docker(["stack", "deploy", "--detach=true", "-c", compose, "s"]));
    await untilContents("s_app", "/settings", [data]);
  }
});
