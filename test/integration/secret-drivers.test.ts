/**
 * Secrets of a driver, from a plugin on the manager's host to a file in a container on another. Edge: to the
 * lab and a plugin's socket, which all hosts of the lab share.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must } from "../support/lab/lab-services.js";
import { dissolve, formSwarm, until } from "../support/lab/lab-swarm.js";

const FOLDER = "/run/skein/plugins";
const DRIVER = `lab-vault-${process.pid}`;
const HELLO = "skein-hello:latest";

let lab: Lab;
let one: LabHost;
/** Of the questions: which tasks, of which services. */
const asked: { readonly service: string; readonly task: string; readonly node: string }[] = [];

const plugin = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer); // no encoding is set
  const end = (answer: object): void => void response.end(JSON.stringify(answer));
  if (request.url === "/Plugin.Activate") return end({ Implements: ["secretprovider"] });
  const question = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, string>;
  const {
    ServiceName: service = "",
    TaskID: task = "",
    NodeID: node = "",
    SecretName: secret = "",
  } = question;
  asked.push({ service, task, node });
  if (secret === "sealed") return end({ Err: "the vault is sealed" });
  const value = secret === "shared" ? `shared ${asked.length}` : `for ${task}`;
  return end({ Value: Buffer.from(value).toString("base64"), DoNotReuse: secret !== "shared" });
});

before(async () => {
  mkdirSync(FOLDER, { recursive: true });
  plugin.listen(`${FOLDER}/${DRIVER}.sock`);
  await once(plugin, "listening");
  lab = await Lab.open({ hosts: 2 });
  await formSwarm(lab, { managers: 1 });
  one = lab.host(1);
  for (const secret of ["own", "shared", "sealed"])
    await must(one.skein(["secret", "create", "--driver", DRIVER, secret]));
});

after(async () => {
  plugin.closeAllConnections();
  plugin.close();
  rmSync(`${FOLDER}/${DRIVER}.sock`, { force: true });
  assert.deepEqual(await dissolve(lab), []);
});

const create = (name: string, secret: string, ...flags: string[]): Promise<string> =>
  must(
    one.skein([
      ...["service", "create", "--detach", "--name", name, "--secret", secret],
      ...["--constraint", "node.hostname==host2", "--stop-grace-period", "0s", ...flags],
      ...[HELLO, "sh", "-c", `cat /run/secrets/${secret}; echo; exec sleep 1000`],
    ]),
  );

/** Different lines of the service's tasks, as soon as there are so many lines. */
const said = (name: string, lines: number): Promise<ReadonlySet<string>> =>
  until(`${name} says ${lines} lines`, 60_000, async () => {
    const { stdout } = await one.skein(["service", "logs", "--raw", name]);
    const all = stdout.split("\n").filter((line) => line !== "");
    return all.length >= lines ? new Set(all) : undefined;
  });
/** Tasks of the service that the plugin was asked for; more than it has, where one was replaced. */
const askedFor = (name: string): string[] =>
  asked.filter(({ service }) => service === name).map(({ task }) => `for ${task}`);

test("each task has what the driver gives it alone, also those that come later", async () => {
  await create("web", "own", "--replicas", "2");
  await said("web", 2);
  await must(one.skein(["service", "scale", "--detach", "web=3"]));
  const all = await said("web", 3);
  assert.ok(all.size >= 3);
  const known = askedFor("web");
  assert.deepEqual(
    [...all].filter((line) => !known.includes(line)),
    [],
  );
  await must(one.skein(["service", "rm", "web"]));
});

test("what may be used again is asked for once for the tasks of a node", async () => {
  await create("cache", "shared", "--replicas", "3");
  const all = await said("cache", 3);
  assert.equal(all.size, askedFor("cache").length);
  assert.ok(all.size < 3);
  await must(one.skein(["service", "rm", "cache"]));
});

test("a refusal is the task's cause, and the data is nowhere on the manager", async () => {
  await create("locked", "sealed", "--restart-condition", "none");
  const error = await until("it is told", 40_000, async () => {
    const format = ["--no-trunc", "--format", "{{.Error}}"];
    const { stdout } = await one.skein(["service", "ps", ...format, "locked"]);
    return stdout.includes("sealed") ? stdout : undefined;
  });
  assert.match(error, /secret sealed is not available: driver lab-vault-\d+: .*the vault is sealed/);
  assert.match(await must(one.skein(["service", "why", "locked"])), /the vault is sealed/);
  const { stdout } = await one.skein(["secret", "inspect", "own"]);
  assert.ok(!stdout.includes('Data"') && stdout.includes(DRIVER), stdout);
  const [{ task } = { task: "none" }] = asked;
  // under run/ are the tasks' own tmpfs; what containers write is in their logs
  const where = ["--exclude-dir=run", "--exclude=log*", "--exclude=*.log", lab.dir];
  const { stdout: found } = spawnSync("grep", ["-rlsF", `for ${task}`, ...where], { encoding: "utf8" });
  assert.equal(found, "", "no file of manager, daemon or agent holds it");
  await must(one.skein(["service", "rm", "locked"]));
});
