/**
 * Every flag of services, secrets, configs and networks with the stock command on one host: what the service
 * says it stores, and what a running task shows of it. The lines are test/matrix.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CONNECTING, LOOKING, PREPARING, ROTATING } from "../matrix/command-rows.js";
import { at, type Batch, type CommandRow, type FlagRow, type Json } from "../matrix/matrix-row.js";
import { serviceBatches } from "../matrix/service-rows.js";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must, running, type SeenTask } from "../support/lab/lab-services.js";
import { call, containerOf, initSwarm, until } from "../support/lab/lab-swarm.js";
import type { CommandResult } from "../support/lab/shell.js";

let lab: Lab;
let host: LabHost;
/** It ends when it is told to: the stock command leaves out a grace period of 0. */
const STAYING = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"];
const SAYS = "echo first; echo second; printf 'third \\033 line\\n'; exec sleep 1000";

before(async () => {
  if (skipWithoutDocker !== false) return;
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  mkdirSync(join(lab.dir, "bound"));
  writeFileSync(join(lab.dir, "bound", "there"), "");
  writeFileSync(join(lab.dir, "env"), "FROM_FILE=yes\n");
  await host.start(["--node-generic-resource", "GPU=a,GPU=b", "--node-generic-resource", "SSD=3"]);
  await initSwarm(host);
  const tags = ["skein-hello:latest", "skein-hello:2"];
  await call(host, "POST", "/images/load?quiet=1", await busyboxImage({ tags }));
});

after(async () => {
  if (skipWithoutDocker === false) assert.deepEqual(await lab.close(), []);
});

const docker = (args: readonly string[], input = ""): Promise<CommandResult> =>
  host.docker(args, { timeoutMs: 40_000, input });

/** What does not hold, one line each. */
class Findings {
  readonly #lines: string[] = [];

  check(what: string, assertion: () => void): void {
    try {
      assertion();
    } catch (error) {
      this.#lines.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  none(): void {
    assert.equal(this.#lines.join("\n\n"), "");
  }
}

async function runCommand(findings: Findings, row: CommandRow): Promise<void> {
  const line = `docker ${row.args.join(" ")}`;
  const { code, stdout, stderr } = await docker(row.args, row.input);
  const { prints, fails } = row;
  if (fails !== undefined) {
    findings.check(line, () => assert.ok(code !== 0 && fails.test(stderr), `${code}: ${stdout}${stderr}`));
    return;
  }
  findings.check(line, () => assert.equal(code, 0, stderr.trim()));
  if (prints !== undefined) findings.check(line, () => assert.match(stdout, prints));
  for (const next of row.afterwards ?? []) {
    const after_ = await docker(next.args);
    const what = `${line}, then docker ${next.args.join(" ")}`;
    findings.check(what, () => assert.match(`${after_.stdout}${after_.stderr}`, next.prints));
  }
}

async function runCommands(rows: readonly CommandRow[]): Promise<void> {
  const findings = new Findings();
  for (const row of rows) await runCommand(findings, row);
  findings.none();
}

/** @returns as many running tasks as asked for, all of the service's present specification. */
async function upToDate({ name, running: count = 1 }: Batch): Promise<readonly SeenTask[]> {
  const filters = encodeURIComponent(
    JSON.stringify({ service: [name], "_up-to-date": ["true"], "desired-state": ["running"] }),
  );
  return until(`${name}: ${count} tasks as asked`, 30_000, async () => {
    const service = await call<Json>(host, "GET", `/services/${name}`);
    const found = await call<SeenTask[]>(host, "GET", `/tasks?filters=${filters}`);
    const isDone = found.length === count && found.every(({ Status }) => Status.State === "running");
    return isDone && at(service, "UpdateStatus/State") !== "updating" ? found : undefined;
  });
}

async function judge(batch: Batch, rows: readonly FlagRow[], findings: Findings): Promise<void> {
  // the stock command drops fields it does not know
  const inspect = ["service", "inspect", batch.name];
  const service = JSON.parse(
    await must(batch.cli === "skein" ? host.skein(inspect) : docker(inspect)),
  ) as Json[];
  for (const { flag, stored = {} } of rows) {
    for (const [path, expected] of Object.entries(stored)) {
      findings.check(`${flag} stores ${path}`, () =>
        assert.deepEqual(at(service[0]?.["Spec"], path), expected),
      );
    }
  }
  const shown = rows.some(({ container, inside }) => container !== undefined || inside !== undefined);
  if (!shown) return;
  const [task] = [...(await upToDate(batch))].sort((a, b) => (a.Slot ?? 0) - (b.Slot ?? 0));
  assert.ok(task !== undefined, `${batch.name} has no task of its present specification`);
  const id = containerOf(task);
  if (rows.some(({ container }) => container?.["State/Health/Status"] !== undefined)) {
    await until(`${batch.name}: healthy`, 15_000, async () => {
      const seen = await call<Json>(host, "GET", `/containers/${id}/json`);
      return at(seen, "State/Health/Status") === "healthy" ? true : undefined;
    });
  }
  const [container] = JSON.parse(await must(docker(["inspect", id]))) as Json[];
  const probes = rows.flatMap(({ flag, inside = {} }) =>
    Object.entries(inside).map(([shell, expected]) => ({ flag, shell, expected })),
  );
  for (const row of rows) {
    for (const [path, expected] of Object.entries(row.container ?? {})) {
      const found = at(container, path);
      findings.check(`${row.flag} shows ${path}`, () => assert.deepEqual(found, expected));
    }
  }
  if (probes.length === 0) return;
  const script = probes.map(({ shell }, index) => `printf '\\n@@${index}\\n'; ${shell}`).join("\n");
  const { stdout, stderr } = await docker(["exec", id, "sh", "-c", script]);
  const parts = stdout.split(/^@@\d+\r?\n/m).slice(1);
  for (const [index, { flag, shell, expected }] of probes.entries()) {
    const said = (parts[index] ?? `nothing: ${stderr}`).replaceAll("\r", "").trim();
    findings.check(`${flag}: ${shell}`, () => {
      if (typeof expected === "string") assert.equal(said, expected);
      else assert.match(said, expected);
    });
  }
}

async function runBatch(batch: Batch): Promise<void> {
  const findings = new Findings();
  const command = (args: readonly string[], cli = batch.cli): Promise<CommandResult> =>
    cli === "skein" ? host.skein(args, { timeoutMs: 40_000 }) : docker(args);
  const flags = (rows: readonly FlagRow[]): string[] => rows.flatMap(({ args }) => args);
  const printed = await must(command(["service", "create", ...flags(batch.create), ...batch.command]));
  if (batch.prints !== undefined) assert.match(printed, batch.prints);
  const first = batch.update?.some(({ args }) => args[0] === "--replicas") ? 1 : (batch.running ?? 1);
  await judge({ ...batch, running: first }, batch.create, findings);
  if (batch.update !== undefined) {
    await must(command(["service", "update", ...flags(batch.update), batch.name], batch.updateCli));
    await judge(batch, batch.update, findings);
  }
  findings.none();
}

async function planning(): Promise<void> {
  const plan = (...args: string[]): Promise<CommandResult> => host.skein(["plan", ...args]);
  const scale = await plan("scale", "m-scaled=3");
  assert.deepEqual([scale.code, scale.stderr], [0, ""]);
  assert.match(
    scale.stdout,
    /^Plan: scale of service m-scaled to 3\n\nm-scaled: 2 tasks more\n {2}m-scaled\.2 {2}-> host1/,
  );
  assert.match(scale.stdout, /\n\nEverything fits\.\n$/);
  const drain = await plan("drain", "host1", "--format", "json");
  const told = JSON.parse(drain.stdout) as Json;
  assert.deepEqual([drain.code, told["Title"], told["Fits"]], [3, "drain of node host1", false]);
  const update = await plan("service", "update", "--constraint-add", "node.role==worker", "m-scaled");
  assert.equal(update.code, 3);
  assert.match(update.stdout, /m-scaled\.1 {2}host1 -> nowhere .*: no suitable node \(.*1 node/);
  assert.match(update.stdout, /Does not fit: 1 task would find no node\.\n$/);
  const image = ["--reserve-memory", "8m", "--replicas", "2", "skein-hello:latest", "sleep", "1"];
  const create = await plan("service", "create", "--name", "m-next", ...image);
  assert.deepEqual([create.code, create.stderr], [0, ""]);
  assert.match(create.stdout, /^Plan: creation of service m-next\n\nm-next: 2 tasks more\n/);
  const any = await plan("loss", "--any");
  assert.equal(any.code, 3);
  assert.match(
    any.stdout,
    /Each node in turn, the worst first:\n {2}host1: \d+ tasks there, \d+ tasks would/,
  );
  const wrong = await plan("loss");
  assert.deepEqual([wrong.code, wrong.stderr], [2, "Error: plan loss takes a node, or --any\n"]);
  const missing = await plan("drain", "nobody");
  assert.deepEqual([missing.code, missing.stderr], [1, "Error: node nobody not found\n"]);
  const services = await call<Json[]>(host, "GET", "/services");
  assert.ok(services.every((service) => at(service, "Spec/Name") !== "m-next"));
}

describe("every flag with the stock command", { skip: skipWithoutDocker }, () => {
  test("secret, config and network create", () => runCommands(PREPARING));

  test("two more services", async () => {
    const image = ["--no-resolve-image", "--stop-grace-period", "0s", "skein-hello:latest"];
    const brief = ["--update-monitor", "100ms", "--rollback-monitor", "100ms"];
    const said = ["--log-driver", "json-file", "--log-opt", "labels=word", "--container-label", "word=up"];
    await Promise.all([
      must(docker(["service", "create", "-d", "--name", "m-said", ...said, ...image, "sh", "-c", SAYS])),
      must(docker(["service", "create", "-d", "--name", "m-scaled", ...brief, ...image, ...STAYING])),
    ]);
    await running(host, "m-said", 1);
  });

  for (const name of ["plain", "health", "global", "job", "swap", "windows"]) {
    test(`service create and update: m-${name}`, async () => {
      const places = { bound: join(lab.dir, "bound"), envFile: join(lab.dir, "env") };
      const batch = serviceBatches(places).find((each) => each.name === `m-${name}`);
      assert.ok(batch !== undefined);
      await runBatch(batch);
    });
  }

  test("looking at services, secrets, configs and networks", () => runCommands(LOOKING));
  test("containers on networks", () => runCommands(CONNECTING));
  test("skein plan: words, JSON and exit codes", planning);
  test("the swarm's certificates", () => runCommands(ROTATING));
});
