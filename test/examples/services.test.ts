/**
 * Examples of services beside a swarm: a cache, a registry of its own, Prometheus, a migration as a gate.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ExampleSwarm } from "../support/examples/example-swarm.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { linesOf, must } from "../support/lab/lab-services.js";
import { IMAGE, tasks, until, untilTasks } from "../support/lab/lab-swarm.js";
import type { CommandOptions } from "../support/lab/shell.js";

let swarm: ExampleSwarm;

before(async () => {
  swarm = await ExampleSwarm.open({
    "skein-example-web": "web-cache/web",
    "skein-example-cache": "web-cache/cache",
    "skein-example-registry": "registry",
    "skein-example-prometheus": "prometheus/prometheus",
    "skein-example-metrics-relay": "prometheus/relay",
    "skein-example-postgres": "migration-gate/db",
    "skein-example-orders": "migration-gate/web",
  });
});

after(() => swarm.close());

const asked = (): LabHost => swarm.lab.host(1);

interface Page {
  readonly status: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** As a client outside asks a node. */
async function get(host: LabHost, portAndPath: string): Promise<Page> {
  const [client] = swarm.lab.clients;
  assert.ok(client);
  const text = await must(
    client.attempt("curl", ["-s", "-i", "--max-time", "10", `http://${host.address}:${portAndPath}`]),
  );
  const [head = "", ...body] = text.replaceAll("\r", "").split("\n\n");
  const [status = "", ...lines] = head.split("\n");
  const headers = lines.map((line) => [line.split(": ")[0] ?? "", line.replace(/^[^:]*: /, "")] as const);
  return { status, headers: new Map(headers), body: body.join("\n\n") };
}

async function label(host: LabHost, name: string): Promise<void> {
  await must(asked().docker(["node", "update", "--label-add", `${name}=true`, host.name]));
}

test("web-cache: pages are remembered for all tasks, and slow without the cache", async () => {
  const [one, two] = swarm.lab.hosts as [LabHost, LabHost];
  const example = swarm.example("web-cache");
  await example.deploy();
  await example.converged();
  const first = await get(one, "8080/page/a");
  assert.equal(first.headers.get("X-Cache"), "miss");
  const servers = new Set<string>();
  await until("both tasks have served it from the cache", 30_000, async () => {
    const page = await get(servers.size % 2 === 0 ? one : two, "8080/page/a");
    assert.equal(page.headers.get("X-Cache"), "hit");
    assert.equal(page.body, first.body);
    servers.add(page.headers.get("X-Served-By") ?? "");
    return servers.size === 2 || undefined;
  });

  await must(asked().docker(["service", "scale", "--detach", "web-cache_cache=0"]));
  await untilCacheSays("off");
  await must(asked().docker(["service", "scale", "--detach", "web-cache_cache=1"]));
  await untilCacheSays("hit");
  await example.remove();

  async function untilCacheSays(word: string): Promise<void> {
    await until(`the cache is ${word}`, 30_000, async () => {
      const { status, headers } = await get(one, "8080/page/a");
      assert.match(status, / 200 /); // always
      return headers.get("X-Cache") === word || undefined;
    });
  }
});

test("prometheus: it finds every node, and what each tells of itself", async () => {
  const example = swarm.example("prometheus");
  await example.deploy();
  await example.converged();
  const values = async (query: string): Promise<readonly string[]> => {
    const { body } = await get(swarm.lab.host(2), `9090/api/v1/query?query=${encodeURIComponent(query)}`);
    const answer = JSON.parse(body) as { data?: { result: { value: [number, string] }[] } };
    return (answer.data?.result ?? []).map(({ value }) => value[1]);
  };
  const untilValues = async (query: string, wanted: readonly string[]): Promise<void> => {
    let seen: readonly string[] = [];
    await until(
      `${query} is ${wanted.join()}`,
      60_000,
      async () => {
        seen = await values(query);
        return seen.join() === wanted.join() || undefined;
      },
      () => seen.join(),
    );
  };
  await untilValues('up{job="skein"}', ["1", "1", "1"]);
  await untilValues("count(count by (hostname) (skein_node_info))", ["3"]);
  await untilValues("skein_raft_has_leader", ["1", "1", "1"]);
  await untilValues('sum(skein_raft_role{role="leader"})', ["1"]);

  // metrics, and nothing else of the API
  const ask = "exec 3<>/dev/tcp/relay/9323; printf 'GET /services HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3";
  assert.match(await example.must("prometheus", `bash -c "${ask}"`), / 404 /);
  await example.remove();
});

test("registry: nodes trust it, and fetch from it with the login of who deploys", async () => {
  // the lab's hosts share this machine's files
  const trusted = "/etc/skein/certs.d/localhost:5000";
  const made = ["/etc/skein/certs.d", "/etc/skein"].filter((path) => !existsSync(path));
  const folder = mkdtempSync(join(swarm.lab.dir, "registry-"));
  const files = join(folder, "files");
  mkdirSync(files);
  const example = swarm.example("registry");
  const password = "for the lab alone";
  const docker = (host: LabHost, args: readonly string[], options: CommandOptions = {}): Promise<string> =>
    must(host.docker(args, { ...options, env: { DOCKER_CONFIG: folder } }));
  try {
    await label(asked(), "registry");
    const make = ["run", "--rm", "-i", "--network", "none", "--user", "root", "-v", `${files}:/files`];
    await docker(asked(), [...make, "skein-example-registry", "make-files", "swarm", "/files"], {
      input: password,
    });
    await example.deploy({ env: { FILES: files } });
    await example.converged();

    const [first, second] = swarm.lab.hosts as [LabHost, LabHost];
    const wrong = await second.docker(["login", "-u", "swarm", "--password-stdin", "localhost:5000"], {
      input: "wrong",
      env: { DOCKER_CONFIG: join(folder, "none") },
    });
    assert.notEqual(wrong.code, 0);
    await docker(second, ["login", "-u", "swarm", "--password-stdin", "localhost:5000"], { input: password });
    await docker(second, ["tag", IMAGE, "localhost:5000/hello:1"]);
    await docker(second, ["push", "--quiet", "localhost:5000/hello:1"]);
    await docker(second, ["rmi", "localhost:5000/hello:1", IMAGE]);
    await docker(first, ["rmi", IMAGE]);

    const app = join(example.folder, "app.yml");
    const deploy = ["stack", "deploy", "--detach", "-c", app];
    await must(first.skein([...deploy, "anonymous"], { env: { DOCKER_CONFIG: join(folder, "none") } }));
    await untilTasks(first, "anonymous_hello", "is refused without a login", (all) =>
      all.some(({ Status }) => Status.State === "rejected"),
    );
    await must(first.skein(["stack", "rm", "anonymous"]));
    await docker(first, ["stack", "deploy", "--with-registry-auth", "-c", app, "hello"]);
    const hello = await untilTasks(
      first,
      "hello_hello",
      "runs on every node",
      (all) => all.filter(({ Status }) => Status.State === "running").length === 3,
      60_000,
    );
    assert.equal(hello.length, 3);
    assert.ok(linesOf(await docker(first, ["images", "-q", "localhost:5000/hello"])).length > 0);
    await must(first.skein(["stack", "rm", "hello"]));
    await example.remove();
  } finally {
    for (const path of [trusted, ...made]) rmSync(path, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  }
});

test("migration-gate: the web service starts when the migration has ended, and outlives one that fails", async () => {
  const example = swarm.example("migration-gate");
  const host = swarm.lab.host(3);
  const served = async (): Promise<string> => (await get(host, "8080/")).body.trim();
  const upgrade = (options: CommandOptions = {}) => {
    const files = ["compose.yml", "upgrade.yml"].flatMap((file) => ["-c", join(example.folder, file)]);
    return asked().skein(["stack", "deploy", ...files, example.name], { timeoutMs: 180_000, ...options });
  };
  await label(swarm.lab.host(2), "database");
  await example.deploy();
  await example.converged();
  assert.equal(await served(), '{"schema": 1, "orders": [["a sail"], ["two oars"]]}');
  const web = await tasks(asked(), "migration-gate_web");
  assert.deepEqual(
    web.map(({ Status }) => Status.State),
    ["running", "running"],
    "none of them started too early",
  );

  const broken = await upgrade({ env: { MIGRATION: "002-broken.sql" } });
  assert.notEqual(broken.code, 0);
  assert.match(broken.stdout + broken.stderr, /migrate/);
  assert.equal(await served(), '{"schema": 1, "orders": [["a sail"], ["two oars"]]}');
  const still = await tasks(asked(), "migration-gate_web");
  assert.deepEqual(still.map(({ ID }) => ID).sort(), web.map(({ ID }) => ID).sort());

  await must(upgrade());
  await example.converged();
  assert.equal(await served(), '{"schema": 2, "orders": [["a sail", 10], ["two oars", 20]]}');
  await example.remove();
});
