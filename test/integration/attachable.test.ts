/**
 * Plain containers on attachable overlays, with the stock docker command: from a manager and from workers,
 * by name and by a service's virtual address, joined and left live, through kills of the daemon and without
 * managers, and what is left of them: nothing.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DockerCli, STAYING, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { call, formSwarm, HTTPD, IMAGE, SLEEPER, until } from "../support/lab/lab-swarm.js";

interface SeenNetworks {
  readonly [name: string]: {
    readonly IPAddress: string;
    readonly IPPrefixLen: number;
    readonly GlobalIPv6Address: string;
    readonly Gateway: string;
    readonly MacAddress: string;
    readonly NetworkID: string;
    readonly DNSNames: readonly string[] | null;
    readonly IPAMConfig: { readonly IPv4Address?: string } | null;
  };
}

let lab: Lab;
let cli: readonly DockerCli[];
const docker = (index: number, ...args: string[]): Promise<string[]> =>
  (cli[index - 1] ?? assert.fail()).lines(...args);
const refused = (index: number, ...args: string[]): Promise<string> =>
  (cli[index - 1] ?? assert.fail()).refused(...args);

/** Attachments as the cluster has them, by container id. */
async function attachments(host: LabHost = lab.host(1)): Promise<readonly string[]> {
  const filters = encodeURIComponent(JSON.stringify({ runtime: ["attachment"] }));
  const tasks = await call<readonly { Spec: { NetworkAttachmentSpec: { ContainerID: string } } }[]>(
    host,
    "GET",
    `/tasks?filters=${filters}`,
  );
  return tasks.map(({ Spec }) => Spec.NetworkAttachmentSpec.ContainerID).sort();
}

async function networksOf(index: number, name: string): Promise<SeenNetworks> {
  const [line = "{}"] = await docker(
    index,
    "inspect",
    name,
    "--format",
    "{{json .NetworkSettings.Networks}}",
  );
  return JSON.parse(line) as SeenNetworks; // the template asks for just that
}

async function addressOf(index: number, name: string, network = "mesh"): Promise<string> {
  return (await networksOf(index, name))[network]?.IPAddress ?? "";
}

const runs = (index: number, name: string, ...options: string[]): Promise<string[]> =>
  docker(index, "run", "-d", "--name", name, ...options, IMAGE, ...SLEEPER);

/** Until the container reaches the other by that name or address: it is told within milliseconds. */
async function reaches(index: number, name: string, target: string): Promise<void> {
  let last = "";
  await until(
    `${name} on host${index} reaches ${target}`,
    15_000,
    async () => {
      const { code, stdout, stderr } = await lab
        .host(index)
        .docker(["exec", name, "ping", "-c", "1", "-W", "2", target]);
      last = stderr || stdout;
      return code === 0 ? true : undefined;
    },
    () => last,
  );
}

async function fetches(index: number, name: string, url: string): Promise<string> {
  let last = "";
  return until(
    `${name} on host${index} fetches ${url}`,
    15_000,
    async () => {
      const { code, stdout, stderr } = await lab
        .host(index)
        .docker(["exec", name, "wget", "-q", "-O", "-", url], { timeoutMs: 5_000 });
      last = stderr;
      return code === 0 ? stdout : undefined;
    },
    () => last,
  );
}

async function removed(...places: readonly (readonly [index: number, name: string])[]): Promise<void> {
  await Promise.all(places.map(([index, name]) => docker(index, "rm", "-f", name)));
}

/** Resolves when the cluster has no attachment any more. */
function untilNoneIsLeft(): Promise<true> {
  let last = "";
  return until(
    "no attachment is left",
    10_000,
    async () => {
      const left = await attachments();
      last = left.join();
      return left.length === 0 ? true : undefined;
    },
    () => last,
  );
}

before(async () => {
  if (skipWithoutDocker) return;
  lab = await Lab.open({ hosts: 3 });
  await formSwarm(lab, { managers: 1 });
  cli = [1, 2, 3].map((index) => new DockerCli(lab.host(index)));
  await docker(1, "network", "create", "-d", "overlay", "--attachable", "--subnet", "10.77.0.0/24", "mesh");
  await docker(1, "network", "create", "-d", "overlay", "--attachable", "side");
  await docker(1, "network", "create", "-d", "overlay", "--attachable", "--internal", "inner");
  await docker(1, "network", "create", "-d", "overlay", "closed");
});

after(async () => {
  if (!skipWithoutDocker) assert.deepEqual(await lab.close(), []);
});

const options = { skip: skipWithoutDocker };

test(
  "containers of two workers and a service find each other on an attachable network",
  options,
  async () => {
    await docker(
      1,
      ...[
        "service",
        "create",
        "-d",
        "--name",
        "web",
        "--stop-grace-period",
        "1s",
        "--network",
        "mesh",
        IMAGE,
        ...HTTPD,
      ],
    );
    await runs(2, "two", "--network", "mesh", "--network-alias", "zwei", "--hostname", "twohost");
    await runs(3, "three", "--network", "mesh");
    for (const name of ["three", "10.77.0.1"]) await reaches(2, "two", name);
    for (const name of ["two", "zwei", "twohost", "two.mesh", await addressOf(2, "two")])
      await reaches(3, "three", name);
    assert.match(await fetches(2, "two", "http://web:8080/"), /./);
    assert.match(await fetches(3, "three", "http://tasks.web:8080/"), /./);

    const seen = (await networksOf(2, "two"))["mesh"];
    const [id = ""] = await docker(2, "inspect", "two", "--format", "{{.Id}}");
    assert.match(seen?.IPAddress ?? "", /^10\.77\.0\.\d+$/);
    assert.deepEqual(
      { ...seen, IPAddress: "", MacAddress: "", EndpointID: "", NetworkID: "" },
      {
        ...seen,
        ...{ IPAddress: "", MacAddress: "", EndpointID: "", NetworkID: "" },
        ...{ IPPrefixLen: 24, Gateway: "", IPAMConfig: { IPv4Address: seen?.IPAddress } },
        DNSNames: ["two", "zwei", id.slice(0, 12), "twohost"],
      },
    );
    const [bytes] = [seen?.IPAddress.split(".").map((part) => Number(part).toString(16).padStart(2, "0"))];
    assert.equal(seen?.MacAddress, `02:42:${bytes?.join(":")}`);
    const [members = "{}"] = await docker(
      2,
      "network",
      "inspect",
      "mesh",
      "--format",
      "{{json .Containers}}",
    );
    assert.deepEqual(
      Object.values(JSON.parse(members) as Record<string, { Name: string; IPv4Address: string }>)
        .filter(({ Name }) => Name === "two")
        .map(({ IPv4Address }) => IPv4Address),
      [`${seen?.IPAddress}/24`],
    );
    const three = (await docker(3, "inspect", "three", "--format", "{{.Id}}"))[0] ?? "";
    assert.deepEqual(await attachments(), [id, three].sort());
    assert.deepEqual(
      (await docker(1, "node", "ps", "host2", "--format", "{{.Name}}")).filter(
        (name) => !name.startsWith("web"),
      ),
      [],
    );
    assert.match(await refused(1, "network", "rm", "side", "mesh"), /is in use by (service|task)/);
    await docker(1, "network", "create", "-d", "overlay", "--attachable", "side");
  },
);

test("a task's container finds plain ones by their names", options, async () => {
  const [task = ""] = await docker(1, "service", "ps", "web", "-q", "--no-trunc");
  const [placed = ""] = await docker(1, "service", "ps", "web", "--format", "{{.Node}}");
  const index = Number(placed.replace("host", ""));
  const [name = ""] = await docker(index, "ps", "--filter", `label=com.docker.swarm.task.id=${task}`, "-q");
  await reaches(index, name, "zwei");
  await reaches(index, name, "three");
});

test(
  "a task's container joins further overlays, keeps its own, and leaves nothing when it is replaced",
  options,
  async () => {
    const [placed = ""] = await docker(1, "service", "ps", "web", "--format", "{{.Node}}");
    const index = Number(placed.replace("host", ""));
    const [name = ""] = await docker(
      index,
      "ps",
      "--filter",
      "label=com.docker.swarm.service.name=web",
      "-q",
    );
    await runs(3, "aside", "--network", "side");
    const before = (await attachments()).length;
    await docker(index, "network", "connect", "--alias", "guest", "side", name);
    assert.deepEqual(Object.keys(await networksOf(index, name)).sort(), ["mesh", "side"]);
    await reaches(index, name, "aside");
    await reaches(3, "aside", "guest");
    await reaches(index, name, "two");
    await lab.host(index).killDaemon();
    await lab.host(index).start();
    await reaches(3, "aside", "guest");
    await reaches(index, name, "aside");
    assert.match(
      await refused(index, "network", "connect", "bridge", name),
      /attachable overlay networks only/,
    );
    await docker(index, "network", "disconnect", "side", name);
    await until("its place was given back", 10_000, async () =>
      (await attachments()).length === before ? true : undefined,
    );
    await docker(index, "network", "connect", "side", name);
    await docker(1, "service", "update", "--force", "-d", "web");
    let last = "";
    await until(
      "the old one's place was given back",
      60_000,
      async () => {
        const left = await attachments();
        last = [...left, ...(await docker(1, "service", "ps", "web", "--no-trunc"))].join("\n");
        return left.length === before ? true : undefined;
      },
      () => last,
    );
    await removed([3, "aside"]);
  },
);

test("what cannot be attached is refused in Docker's words", options, async () => {
  const start = "failed to set up container networking: ";
  assert.match(
    await refused(2, "run", "--rm", "--network", "closed", ...STAYING),
    new RegExp(
      `${start}Could not attach to network closed: rpc error: code = PermissionDenied ` +
        "desc = network closed not manually attachable",
    ),
  );
  assert.match(
    await refused(3, "run", "--rm", "--network", "nosuch", ...STAYING),
    /Could not attach to network nosuch: rpc error: code = NotFound desc = network nosuch not found/,
  );
  assert.match(await refused(2, "network", "connect", "closed", "two"), /not manually attachable/);
  assert.match(
    await refused(2, "network", "connect", "mesh", "two"),
    /two is already attached to network mesh/,
  );
  const taken = await addressOf(3, "three");
  assert.match(
    await refused(2, "run", "--rm", "--network", "mesh", "--ip", taken, ...STAYING),
    /attaching to network failed.*in use/,
  );
  assert.equal((await attachments()).length, 2, "refusals left nothing");
});

test(
  "networks are joined and left live, with aliases and chosen addresses; the default route stays",
  options,
  async () => {
    await runs(2, "plain");
    const routes = (name: string): Promise<string[]> => docker(2, "exec", name, "ip", "route");
    const before = (await routes("plain")).find((line) => line.startsWith("default"));
    await docker(2, "network", "connect", "--alias", "neu", "--ip", "10.77.0.99", "mesh", "plain");
    await docker(2, "network", "connect", "side", "plain");
    assert.equal(await addressOf(2, "plain"), "10.77.0.99");
    assert.equal(
      (await routes("plain")).find((line) => line.startsWith("default")),
      before,
    );
    await reaches(3, "three", "neu");
    await docker(2, "rename", "plain", "renamed");
    await reaches(3, "three", "renamed");
    await docker(2, "network", "disconnect", "mesh", "renamed");
    assert.deepEqual(Object.keys(await networksOf(2, "renamed")).sort(), ["bridge", "side"]);
    await until("the name is gone", 10_000, async () => {
      const { code } = await lab.host(3).docker(["exec", "three", "nslookup", "neu"]);
      return code === 0 ? undefined : true;
    });
    await docker(2, "network", "disconnect", "bridge", "renamed");
    assert.equal(
      (await routes("renamed")).filter((line) => line.startsWith("default")).length,
      1,
      "its own way out",
    );
    await removed([2, "renamed"]);
  },
);

test(
  "a container on an overlay alone gets out, and its ports are published; on an internal one it does not",
  options,
  async () => {
    await docker(3, "run", "-d", "--name", "served", "--network", "mesh", "-p", "8099:8080", IMAGE, ...HTTPD);
    await reaches(3, "served", lab.host(1).address);
    await until("the published port answers", 10_000, async () => {
      const { code } = await lab.host(1).attempt("curl", ["-sf", `http://${lab.host(3).address}:8099/`]);
      return code === 0 ? true : undefined;
    });
    const [line = "{}"] = await docker(
      3,
      "network",
      "inspect",
      "docker_gwbridge",
      "--format",
      "{{json .Containers}}",
    );
    const names = Object.values(JSON.parse(line) as Record<string, { Name: string }>).map(({ Name }) => Name);
    assert.ok(names.length >= 2 && names.every((name) => name.startsWith("gateway_")), names.join());
    assert.deepEqual(Object.keys(await networksOf(3, "served")), ["mesh"]);
    await runs(3, "kept", "--network", "inner");
    assert.deepEqual(
      (await docker(3, "exec", "kept", "ip", "route")).filter((route) => route.startsWith("default")),
      [],
    );
    await removed([3, "served"], [3, "kept"]);
  },
);

test(
  "a killed daemon leaves the container on its network, with its address, and no second one",
  options,
  async () => {
    const before = [await addressOf(2, "two"), await attachments()] as const;
    await lab.host(2).killDaemon();
    await reaches(3, "three", before[0]);
    await lab.host(2).start();
    assert.equal(await addressOf(2, "two"), before[0]);
    await reaches(2, "two", "three");
    await reaches(3, "three", "zwei");
    assert.deepEqual(await attachments(), before[1]);
    // what the daemon did not see end is given back when it returns
    await runs(2, "ending", "--network", "mesh");
    const [pid = ""] = await docker(2, "inspect", "ending", "--format", "{{.State.Pid}}");
    await lab.host(2).killDaemon();
    process.kill(Number(pid), "SIGKILL");
    await lab.host(2).start();
    await until("its place was given back", 15_000, async () =>
      (await attachments()).length === before[1].length ? true : undefined,
    );
    await removed([2, "ending"]);
  },
);

test("a container whose policy starts it with the daemon gets its place again", options, async () => {
  const before = (await attachments()).length;
  await runs(2, "always", "--restart", "always", "--network", "mesh");
  const [pid = ""] = await docker(2, "inspect", "always", "--format", "{{.State.Pid}}");
  await lab.host(2).killDaemon();
  process.kill(Number(pid), "SIGKILL");
  await lab.host(2).start();
  await until("it runs again", 20_000, async () => {
    const [state] = await docker(2, "inspect", "always", "--format", "{{.State.Status}}");
    return state === "running" ? true : undefined;
  });
  await reaches(3, "three", "always");
  await until("it has one place", 10_000, async () =>
    (await attachments()).length === before + 1 ? true : undefined,
  );
  await removed([2, "always"]);
});

test("a network of both families gives both addresses", options, async () => {
  await docker(1, "network", "create", "-d", "overlay", "--attachable", "--ipv6", "six");
  await runs(2, "six2", "--network", "six");
  await runs(3, "six3");
  await docker(3, "network", "connect", "six", "six3");
  const seen = (await networksOf(3, "six3"))["six"];
  assert.match(seen?.GlobalIPv6Address ?? "", /^fd53:6b65:696f:/);
  await reaches(2, "six2", seen?.IPAddress ?? "");
  await reaches(2, "six2", seen?.GlobalIPv6Address ?? "");
  await removed([2, "six2"], [3, "six3"]);
});

test("without managers containers go on, and a start is refused in a bounded time", options, async () => {
  await lab.host(1).killDaemon();
  await reaches(3, "three", "two");
  const began = Date.now();
  assert.match(
    await refused(2, "run", "--rm", "--network", "mesh", ...STAYING),
    /Could not attach to network mesh: rpc error: code = Unavailable/,
  );
  assert.ok(Date.now() - began < 30_000);
  await docker(3, "stop", "-t", "0", "three");
  await lab.host(1).start();
  await until("a manager answers", 30_000, async () =>
    (await lab.host(1).api("GET", "/nodes")).status === 200 ? true : undefined,
  );
  await until("the place of the one that stopped was given back", 30_000, async () => {
    const left = await attachments();
    return left.length === 1 ? true : undefined;
  });
});

test("stopped, started, restarted: one place at a time", options, async () => {
  await docker(3, "start", "three");
  await reaches(2, "two", "three");
  await docker(2, "restart", "-t", "0", "two");
  await reaches(3, "three", "two");
  await until("two attachments", 10_000, async () => ((await attachments()).length === 2 ? true : undefined));
  await docker(2, "create", "--name", "later", "--network", "mesh", IMAGE, ...SLEEPER);
  await docker(2, "network", "connect", "side", "later");
  assert.equal((await attachments()).length, 2, "a created one has no place yet");
  await docker(2, "start", "later");
  assert.equal((await attachments()).length, 4);
  await removed([2, "later"]);
});

test("a node that leaves takes its places along; what is removed leaves no trace", options, async () => {
  await lab.host(3).docker(["swarm", "leave"]);
  await until("only the other's place is left", 10_000, async () =>
    (await attachments()).length === 1 ? true : undefined,
  );
  await removed([2, "two"], [3, "three"]);
  await untilNoneIsLeft();
  await docker(1, "service", "rm", "web");
  const namespaces = (): string[] => {
    const dir = join(lab.host(2).runDir, "net", "ns");
    return existsSync(dir) ? readdirSync(dir).filter((name) => name.startsWith("net-")) : [];
  };
  await until(
    "host2 has no overlay",
    30_000,
    async () => (namespaces().length === 0 ? true : undefined),
    () => namespaces().join(),
  );
  await docker(1, "network", "rm", "mesh", "side", "inner", "closed", "six");
  const [links = ""] = [(await lab.host(2).attempt("ip", ["-o", "link"])).stdout];
  assert.doesNotMatch(links, /skv|: v[0-9a-f]{14}/);
});
