/**
 * Services on their nodes' own networks: host and none. By the stock docker command, by the API and in
 * a stack; what cannot go with them is refused, and nothing is left of them.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DockerCli, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { linesOf, must, noContainers } from "../support/lab/lab-services.js";
import {
  call,
  containerOf,
  dissolve,
  formSwarm,
  HTTPD,
  IMAGE,
  messageIn,
  networkTraces,
  pidOf,
  SLEEPER,
  serviceSpec,
  until,
  untilRunning,
} from "../support/lab/lab-swarm.js";

let lab: Lab;
let host: LabHost;
let cli: DockerCli;

interface Attached {
  readonly NetworksAttachments?: readonly {
    readonly Network: { readonly Spec?: { readonly Name: string } };
  }[];
}

async function running(service: string): Promise<{ readonly pid: number; readonly networks: unknown }> {
  const [task] = await untilRunning(host, service, 1);
  assert.ok(task);
  const { NetworksAttachments = [] } = await call<Attached>(host, "GET", `/tasks/${task.ID}`);
  const networks = NetworksAttachments.map(({ Network }) => Network.Spec?.Name);
  return { pid: await pidOf(host, containerOf(task)), networks };
}

const linksOf = async (pid: number): Promise<string[]> =>
  linesOf(await must(host.attempt("nsenter", ["-t", String(pid), "-n", "ip", "-o", "link"]))).map(
    (line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? line,
  );

async function answers(): Promise<void> {
  const [client] = lab.clients;
  assert.ok(client);
  const url = `http://${host.address}:8080/index.html`;
  await until("the node's own address answers", 10_000, async () => {
    const { code } = await client.attempt("curl", ["-sSf", "--max-time", "2", url]);
    return code === 0 || undefined;
  });
}

describe("services on the networks of their nodes", { skip: skipWithoutDocker }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 1, clients: 1 });
    host = lab.host(1);
    cli = new DockerCli(host);
    await formSwarm(lab, { managers: 1 });
  });

  after(async () => {
    assert.deepEqual(await dissolve(lab), []);
  });

  test("host by the stock docker command: it answers at the node's address, and leaves nothing", async () => {
    const traces = await networkTraces(host);
    const given = ["--name", "web", "--network", "host", "--stop-grace-period", "500ms"];
    await cli.lines("service", "create", "-d", ...given, IMAGE, ...HTTPD);
    await answers();
    const { pid, networks } = await running("web");
    assert.deepEqual(networks, ["host"]);
    assert.equal(
      readlinkSync(`/proc/${pid}/ns/net`),
      readlinkSync(`/proc/${host.daemonPid}/ns/net`),
      "the task is in its node's namespace",
    );
    assert.match((await cli.lines("service", "inspect", "--pretty", "web")).join("\n"), /Networks: host/);
    assert.deepEqual(await networkTraces(host), traces);

    const away = ["service", "update", "-d", "--network-rm", "host", "web"];
    await cli.lines(...away);
    await until("the task has a network of its own", 20_000, async () => {
      const now = await running("web");
      return (await linksOf(now.pid)).length > 1 && now.pid !== pid ? true : undefined;
    });
    await cli.lines("service", "rm", "web");
    await noContainers(lab, "com.docker.swarm.service.name=web");
  });

  test("none has the loopback alone; what cannot go with such a network is refused", async () => {
    await call(host, "POST", "/services/create", serviceSpec({ name: "apart", networks: ["none"] }));
    const { pid, networks } = await running("apart");
    assert.deepEqual(networks, ["none"]);
    assert.deepEqual(await linksOf(pid), ["lo"]);
    await cli.lines("service", "rm", "apart");
    await noContainers(lab, "com.docker.swarm.service.name=apart");

    const own = await call<{ Id: string }>(host, "GET", "/networks/host");
    const published = serviceSpec({
      name: "no",
      networks: [own.Id],
      ports: [{ TargetPort: 80, PublishMode: "host" }],
    });
    const answer = await host.api("POST", "/services/create", published);
    assert.match(messageIn(answer), /network host of the node excludes published ports/);
    assert.equal(answer.status, 400);
  });

  test("a stack's services are there, too", async () => {
    const folder = mkdtempSync(join(lab.dir, "stack-"));
    const both = {
      image: IMAGE,
      stop_grace_period: "500ms",
      deploy: { update_config: { monitor: "500ms" } },
    };
    const services = {
      web: { ...both, command: HTTPD, network_mode: "host" },
      named: { ...both, command: SLEEPER, networks: ["node"] },
    };
    const path = join(folder, "compose.yaml");
    const networks = { node: { external: true, name: "none" } };
    // JSON is YAML
    writeFileSync(path, JSON.stringify({ services, networks }).replaceAll("$", "$$$$"));
    await must(host.skein(["stack", "deploy", "-c", path, "nodes"], { timeoutMs: 40_000 }));
    await answers();
    assert.deepEqual(await linksOf((await running("nodes_named")).pid), ["lo"]);
    assert.match(await must(host.skein(["stack", "diff", "nodes"])), /no change/);
    await must(host.skein(["stack", "rm", "nodes"], { timeoutMs: 40_000 }));
    await noContainers(lab, "com.docker.swarm.service.name=nodes_web");
    rmSync(folder, { recursive: true, force: true });
  });
});
