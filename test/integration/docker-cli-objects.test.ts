/**
 * Swarm, nodes, secrets, configs, networks and images by the stock docker CLI on three hosts.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { busyboxImage, busyboxRootfs } from "../support/lab/busybox-image.js";
import { DockerCli, STAYING, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { linesOf, running } from "../support/lab/lab-services.js";
import { formSwarm, until } from "../support/lab/lab-swarm.js";

let lab: Lab;
let host: LabHost;
let cli: DockerCli;
const docker = (...args: string[]): Promise<string[]> => cli.lines(...args);
const refused = (...args: string[]): Promise<string> => cli.refused(...args);

describe("objects by the stock docker CLI", { skip: skipWithoutDocker }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 3 });
    host = lab.host(1);
    cli = new DockerCli(host);
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
      ...STAYING,
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

  test("inspect without a kind finds services and secrets; a task's volume is listed", async () => {
    await docker(
      ...[
        "service",
        "create",
        "-d",
        "--no-resolve-image",
        "--name",
        "plain",
        "--mount",
        "source=kept,target=/v",
      ],
      ...["--constraint", "node.hostname==host1", ...STAYING],
    );
    await running(host, "plain", 1);
    assert.deepEqual(await docker("inspect", "--format", "{{.Spec.Name}}", "plain"), ["plain"]);
    assert.deepEqual(await docker("volume", "ls", "--format", "{{.Driver}} {{.Name}}"), ["local kept"]);
    assert.deepEqual(await docker("volume", "inspect", "--format", "{{.Scope}}", "kept"), ["local"]);
    const path = join(lab.dir, "inspected.txt");
    writeFileSync(path, "honk");
    const [id = ""] = await docker("secret", "create", "hidden", path);
    assert.deepEqual(await docker("inspect", "--format", "{{.Spec.Name}}", id), ["hidden"]);
    assert.match(await refused("inspect", "nothing"), /No such object: nothing/);
    await docker("service", "rm", "plain");
    await docker("secret", "rm", "hidden");
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
        ...STAYING,
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
      ...STAYING,
    );
    assert.match(await refused("network", "rm", "mine"), /network mine is in use by service netuser/);
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
      ...STAYING,
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
