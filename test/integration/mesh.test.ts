/**
 * Traffic as users see it on three hosts: from outside through any host to any task with the client's own
 * address, between services by name, out of tasks, and no trace of what was removed.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab, type LabClient } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { fromTasks, must, oneRunning, removed, running, type SeenTask } from "../support/lab/lab-services.js";
import {
  call,
  createService,
  formSwarm,
  logLines,
  pidOf,
  type ServiceWish,
  serviceSpec,
  until,
} from "../support/lab/lab-swarm.js";
import { attempt, type CommandResult } from "../support/lab/shell.js";

/** What a client outside the cluster has as its address. */
const CLIENT = "10.99.0.101";
/**
 * Logs each request with its client; the shell passes the stop signal on,
 * which httpd as first process would not heed.
 */
const HTTPD = ["sh", "-c", "trap 'kill $!; exit 0' TERM; httpd -f -vv -p 8080 -h /www & wait"];

let lab: Lab;
let host: LabHost;
let client: LabClient;

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  host = lab.host(1);
  await formSwarm(lab, { managers: 3 });
  const [first] = lab.clients;
  assert.ok(first);
  client = first;
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

const published = (port: number, mode: "ingress" | "host" = "ingress"): Record<string, unknown> => ({
  Protocol: "tcp",
  TargetPort: 8080,
  PublishedPort: port,
  PublishMode: mode,
});

async function createNetwork(name: string, subnet?: string): Promise<string> {
  const ipam = subnet === undefined ? {} : { IPAM: { Config: [{ Subnet: subnet }] } };
  return (
    await call<{ Id: string }>(host, "POST", "/networks/create", { Name: name, Driver: "overlay", ...ipam })
  ).Id;
}

async function scale(service: string, replicas: number): Promise<void> {
  const { Version, Spec } = await call<{ Version: { Index: number }; Spec: object }>(
    host,
    "GET",
    `/services/${service}`,
  );
  await call(host, "POST", `/services/${service}/update?version=${Version.Index}`, {
    ...Spec,
    Mode: { Replicated: { Replicas: replicas } },
  });
}

/** The page that names the task, the client and more, one `key: value` a line. */
function page(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split("\n").flatMap((line) => {
      const [key, ...value] = line.split(": ");
      return key === undefined || value.length === 0 ? [] : [[key, value.join(": ")]];
    }),
  );
}

function curl(through: LabHost, port: number): Promise<CommandResult> {
  return client.attempt("curl", [
    "-sS",
    "--max-time",
    "5",
    `http://${through.address}:${port}/cgi-bin/hello`,
  ]);
}

async function hostOf(task: SeenTask): Promise<LabHost> {
  const { Description } = await call<{ Description: { Hostname: string } }>(
    host,
    "GET",
    `/nodes/${task.NodeID}`,
  );
  const found = lab.hosts.find((candidate) => candidate.name === Description.Hostname);
  assert.ok(found);
  return found;
}

/** A command of the image, in the namespaces of a task. */
async function inTask(task: SeenTask, ...command: string[]): Promise<CommandResult> {
  const pid = await pidOf(await hostOf(task), task.Status.ContainerStatus?.ContainerID ?? "");
  return attempt("nsenter", ["-t", String(pid), "-m", "-n", "/bin/busybox", ...command], {
    timeoutMs: 15_000,
  });
}

/** A request out of a task's network namespace. */
async function getFrom(task: SeenTask, url: string): Promise<CommandResult> {
  const pid = await pidOf(await hostOf(task), task.Status.ContainerStatus?.ContainerID ?? "");
  return attempt("nsenter", ["-t", String(pid), "-n", "curl", "-sS", "--max-time", "3", url], {
    timeoutMs: 15_000,
  });
}

/** Addresses of a name, asked as the task would. */
async function resolve(task: SeenTask, name: string): Promise<string[]> {
  const { stdout } = await inTask(task, "nslookup", "-type=a", name, "127.0.0.11");
  return [...stdout.matchAll(/^Address: (\d+\.\d+\.\d+\.\d+)$/gm)].map((match) => match[1] ?? "").sort();
}

function addressOn(task: SeenTask, network: string): string {
  const attachment = task.NetworksAttachments?.find((one) => one.Network.Spec?.Name === network);
  return attachment?.Addresses[0]?.split("/")[0] ?? "";
}

async function vipOn(service: string, networkId: string): Promise<string> {
  const { Endpoint } = await call<{ Endpoint: { VirtualIPs?: { NetworkID: string; Addr: string }[] } }>(
    host,
    "GET",
    `/services/${service}`,
  );
  return Endpoint.VirtualIPs?.find((vip) => vip.NetworkID === networkId)?.Addr.split("/")[0] ?? "";
}

/** Asks until all of `names` have answered; each answer is looked at. */
async function untilAllAnswered(
  ask: () => Promise<CommandResult>,
  names: readonly string[],
  look: (seen: Record<string, string>) => void,
): Promise<void> {
  const missing = new Set(names);
  let last = "";
  await until(
    `answers of ${names.join(", ")}`,
    15_000,
    async () => {
      const { code, stdout, stderr } = await ask();
      last = `${code} ${stderr}${stdout}`;
      if (code === 0) {
        const seen = page(stdout);
        look(seen);
        missing.delete(seen["host"] ?? "");
      }
      return missing.size === 0 ? true : undefined;
    },
    () => `${[...missing].join(", ")} did not answer; last ${last}`,
  );
}

/**
 * The task's host name inside: its container's short id, or what Docker's default gives;
 * asked from the task itself.
 */
async function insideName(task: SeenTask): Promise<string> {
  const pid = await pidOf(await hostOf(task), task.Status.ContainerStatus?.ContainerID ?? "");
  return (await must(attempt("nsenter", ["-t", String(pid), "-u", "hostname"]))).trim();
}

test("a client outside reaches every task through any host, and each task sees the client's address", async () => {
  await createService(host, { name: "web", command: HTTPD, replicas: 3, ports: [published(8080)] });
  const names = await Promise.all((await running(host, "web", 3)).map(insideName));
  assert.equal(new Set(names).size, 3);
  let answers = 0;
  for (const through of lab.hosts) {
    await untilAllAnswered(
      () => curl(through, 8080),
      names,
      (seen) => {
        answers += 1;
        assert.equal(seen["client"], CLIENT, `through ${through.name}`);
      },
    );
  }
  const logged = await until("each request in the logs", 10_000, async () => {
    const lines = (await logLines(host, "/services/web")).filter((line) =>
      line.includes("url:/cgi-bin/hello"),
    );
    return lines.length >= answers ? lines : undefined;
  });
  assert.deepEqual(
    logged.filter((line) => !line.includes(CLIENT)),
    [],
  );
  await removed(lab, "web");
});

test("services of a network find each other by name: VIP, alias and tasks.NAME, across hosts", async () => {
  const front = await createNetwork("front");
  await call(host, "POST", "/services/create", {
    ...serviceSpec({ name: "server", command: HTTPD }),
    Mode: { Global: {} },
    TaskTemplate: {
      ...taskTemplate({ name: "server", command: HTTPD }),
      Networks: [{ Target: "front", Aliases: ["www"] }],
    },
  });
  await call(host, "POST", "/services/create", {
    ...serviceSpec({ name: "listed", networks: ["front"], replicas: 2 }),
    EndpointSpec: { Mode: "dnsrr" },
  });
  await createService(host, { name: "asker", networks: ["front"], constraints: ["node.hostname==host2"] });
  const servers = await running(host, "server", 3);
  const listed = await running(host, "listed", 2);
  const asker = await oneRunning(host, "asker");
  const vip = await vipOn("server", front);
  assert.match(vip, /^10\./);
  await until("every server ready", 10_000, async () =>
    (await resolve(asker, "tasks.server")).length === 3 ? true : undefined,
  );
  assert.deepEqual(await resolve(asker, "server"), [vip]);
  assert.deepEqual(await resolve(asker, "www"), [vip]);
  assert.deepEqual(
    await resolve(asker, "tasks.server"),
    servers.map((task) => addressOn(task, "front")).sort(),
  );
  assert.deepEqual(
    await resolve(asker, "listed"),
    listed.map((task) => addressOn(task, "front")).sort(),
    "dnsrr: the tasks themselves",
  );
  const names = await Promise.all(servers.map(insideName));
  const own = addressOn(asker, "front");
  await untilAllAnswered(
    () => getFrom(asker, `http://${vip}:8080/cgi-bin/hello`),
    names,
    (seen) => assert.equal(seen["client"], own),
  );
  await Promise.all(["server", "listed", "asker"].map((service) => removed(lab, service)));
  await call(host, "DELETE", "/networks/front");
});

test("networks are apart: names and addresses of one mean nothing in another", async () => {
  await createNetwork("left", "10.99.0.0/24"); // the hosts' own addresses: an overlay may look like them
  await createNetwork("right");
  await createService(host, {
    name: "onleft",
    command: HTTPD,
    networks: ["left"],
    constraints: ["node.hostname==host1"],
  });
  await createService(host, {
    name: "onright",
    command: HTTPD,
    networks: ["right"],
    constraints: ["node.hostname==host2"],
  });
  await createService(host, {
    name: "onboth",
    networks: ["left", "right"],
    constraints: ["node.hostname==host3"],
  });
  const left = await oneRunning(host, "onleft");
  const right = await oneRunning(host, "onright");
  const both = await oneRunning(host, "onboth");
  const get = (from: SeenTask, address: string): Promise<CommandResult> =>
    getFrom(from, `http://${address}:8080/index.html`);
  for (const [to, network] of [
    [left, "left"],
    [right, "right"],
  ] as const) {
    const name = `on${network}`;
    await until(`${name} by name`, 10_000, async () =>
      (await resolve(both, name)).length === 1 ? true : undefined,
    );
    assert.equal(
      (await get(both, addressOn(to, network))).stdout,
      "hello from skein\n",
      `from both to ${network}`,
    );
    assert.equal(
      (await get(both, (await resolve(both, name))[0] ?? "")).stdout,
      "hello from skein\n",
      `from both to ${network} by VIP`,
    );
  }
  const foreign = await Promise.all([
    resolve(left, "onright"),
    resolve(right, "onleft"),
    get(left, addressOn(right, "right")),
  ]);
  assert.deepEqual([foreign[0], foreign[1]], [[], []]);
  assert.notEqual(foreign[2].code, 0);
  await Promise.all(["onleft", "onright", "onboth"].map((service) => removed(lab, service)));
  for (const network of ["left", "right"]) await call(host, "DELETE", `/networks/${network}`);
});

test("a host-mode port: each host answers with its own task; one task too many waits and says why", async () => {
  await createService(host, {
    name: "hosted",
    command: HTTPD,
    replicas: 3,
    ports: [published(9090, "host")],
  });
  const tasks = await running(host, "hosted", 3);
  for (const task of tasks) {
    const on = await hostOf(task);
    const name = await insideName(task);
    const seen = await until(`an answer of ${on.name}`, 10_000, async () => {
      const { code, stdout } = await curl(on, 9090);
      return code === 0 ? page(stdout) : undefined;
    });
    assert.deepEqual([seen["host"], seen["client"]], [name, CLIENT]);
  }
  await scale("hosted", 4);
  const waiting = await fromTasks(host, "hosted", "a task that waits", (all) =>
    all.find((task) => task.Status.State === "pending" && task.Status.Err !== undefined),
  );
  assert.match(waiting.Status.Err ?? "", /no suitable node \(host port 9090 already in use on 3 nodes\)/);
  await removed(lab, "hosted");
});

test("a task reaches the outside, where it appears as its host", async () => {
  const folder = join(lab.dir, "outside");
  mkdirSync(folder);
  writeFileSync(join(folder, "index.html"), "the world\n");
  const server = spawn(
    "nsenter",
    [
      `--net=/run/netns/${client.netns}`,
      "busybox",
      "httpd",
      "-f",
      "-vv",
      "-p",
      `${CLIENT}:9000`,
      "-h",
      folder,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const ended = new Promise<void>((done) => server.once("exit", () => done()));
  let log = "";
  server.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString("utf8");
  });
  try {
    await createNetwork("inner");
    await createService(host, {
      name: "explorer",
      networks: ["inner"],
      constraints: ["node.hostname==host2"],
    });
    const task = await oneRunning(host, "explorer");
    await until("the outside", 10_000, async () => {
      const { stdout } = await getFrom(task, `http://${CLIENT}:9000/index.html`);
      return stdout === "the world\n" ? true : undefined;
    });
    await until(
      "the visit in the log",
      5_000,
      async () => (log.includes("url:/index.html") ? true : undefined),
      () => log,
    );
    assert.match(log, /10\.99\.0\.2\]?:\d+: url:\/index\.html/);
    await removed(lab, "explorer");
    await call(host, "DELETE", "/networks/inner");
  } finally {
    server.kill("SIGKILL");
    await ended;
  }
});

test("with no task left, a connection is refused at once, from outside and inside", async () => {
  const back = await createNetwork("back");
  await createService(host, { name: "shy", command: HTTPD, networks: ["back"], ports: [published(8081)] });
  await createService(host, { name: "visitor", networks: ["back"] });
  await oneRunning(host, "shy");
  const visitor = await oneRunning(host, "visitor");
  const vip = await vipOn("shy", back);
  for (const through of lab.hosts)
    await until(`an answer through ${through.name}`, 10_000, async () =>
      (await curl(through, 8081)).code === 0 ? true : undefined,
    );
  await scale("shy", 0);
  await fromTasks(host, "shy", "no task that runs", (all) =>
    all.every((task) => task.Status.State !== "running") ? true : undefined,
  );
  for (const through of lab.hosts) {
    const before = Date.now();
    const { code, stderr } = await curl(through, 8081);
    assert.equal(code, 7, `through ${through.name}: ${stderr}`); // curl's code for a refused connection
    assert.ok(Date.now() - before < 1_000);
  }
  const { code, stderr } = await getFrom(visitor, `http://${vip}:8080/`);
  assert.equal(code, 7, `by VIP: ${stderr}`);
  await scale("shy", 1);
  await until("answers again", 10_000, async () =>
    (await curl(lab.host(3), 8081)).code === 0 ? true : undefined,
  );
  await Promise.all(["shy", "visitor"].map((service) => removed(lab, service)));
  await call(host, "DELETE", "/networks/back");
});

/** What the kernel holds for a host: rules, links, routes, tables, and mounts below its folders. */
async function kernelTraces(on: LabHost): Promise<string[]> {
  const texts = await Promise.all([
    on.attempt("nft", ["list", "ruleset"]),
    on.attempt("ip", ["-br", "link"]),
    on.attempt("ip", ["rule"]),
    on.attempt("ip", ["route", "show", "table", "all"]),
    on.attempt("ip", ["neigh", "show", "nud", "permanent"]),
  ]);
  const lines = texts.flatMap(({ stdout }) => stdout.split("\n")).map((line) => line.trim());
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
  return [...lines, ...mounts.filter((path) => path.startsWith(`${on.dir}/`))].filter(Boolean).sort();
}

test("removed services and networks leave nothing in the kernel", async () => {
  const clean = await Promise.all(lab.hosts.map(kernelTraces));
  await createNetwork("passing");
  await createService(host, {
    name: "passer",
    command: HTTPD,
    replicas: 6,
    networks: ["passing"],
    ports: [published(8082), published(9092, "ingress")],
  });
  await running(host, "passer", 6);
  await until("an answer", 10_000, async () =>
    (await curl(lab.host(2), 8082)).code === 0 ? true : undefined,
  );
  await removed(lab, "passer");
  await call(host, "DELETE", "/networks/passing");
  for (const [i, on] of lab.hosts.entries()) {
    let now: string[] = [];
    await until(
      `${on.name} is clean`,
      10_000,
      async () => {
        now = await kernelTraces(on);
        return now.join("\n") === clean[i]?.join("\n") ? true : undefined;
      },
      () =>
        JSON.stringify(
          {
            added: now.filter((line) => !clean[i]?.includes(line)),
            gone: clean[i]?.filter((line) => !now.includes(line)),
          },
          undefined,
          2,
        ),
    );
  }
});

function taskTemplate(wish: ServiceWish): object {
  return (serviceSpec(wish) as { TaskTemplate: object }).TaskTemplate; // serviceSpec always has one
}
