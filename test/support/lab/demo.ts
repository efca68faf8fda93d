/**
 * The demo: three hosts on this machine form a swarm and run examples/hello, for real. Edge: to the lab.
 * With --check it exits 0 when every step held, 1 with the step that did not; without,
 * it stays up until Ctrl-C.
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { busyboxImage } from "./busybox-image.js";
import { Lab } from "./lab.js";
import type { LabHost } from "./lab-host.js";
import type { CommandResult } from "./shell.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = resolve(HERE, HERE.includes("/dist/") ? "../../../.." : "../../..");
const checkOnly = process.argv.includes("--check");
const startedAt = Date.now();

function say(text: string): void {
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1).padStart(5);
  console.log(`\x1b[1m[${seconds} s]\x1b[0m ${text}`);
}

function show(result: CommandResult): void {
  for (const line of result.stdout.trimEnd().split("\n")) console.log(`          ${line}`);
}

/** @throws {Error} naming the command when it failed. */
async function must(what: string, result: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await result;
  if (code !== 0) throw new Error(`${what} failed with ${code}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

async function until(what: string, timeoutMs: number, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await condition()) return;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`${what} did not happen within ${timeoutMs / 1000} s`);
}

async function replicas(host: LabHost): Promise<string> {
  const { stdout } = await host.skein(["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]);
  return stdout.trim().replaceAll("\n", ", ");
}

async function converged(
  host: LabHost,
  expected: Readonly<Record<string, string>>,
  timeoutMs = 60_000,
): Promise<void> {
  let last = "";
  await until(`convergence to ${JSON.stringify(expected)}`, timeoutMs, async () => {
    const now = await replicas(host);
    if (now !== last) say(`  ${now}`);
    last = now;
    return Object.entries(expected).every(([name, count]) => now.split(", ").includes(`${name} ${count}`));
  });
}

async function curl(lab: Lab, host: LabHost, path = "/cgi-bin/hello"): Promise<CommandResult> {
  const client = lab.clients[0];
  if (client === undefined) throw new Error("the lab has no client");
  return client.attempt("curl", ["-sS", "--max-time", "5", `http://${host.address}:8080${path}`]);
}

async function deploy(lab: Lab): Promise<void> {
  const [first] = lab.hosts;
  if (first === undefined) throw new Error("the lab has no host");
  say("swarm init on host1");
  await must("swarm init", first.skein(["swarm", "init", "--advertise-addr", first.address]));
  const token = (await must("join-token", first.skein(["swarm", "join-token", "-q", "manager"]))).trim();
  for (const host of lab.hosts.slice(1)) {
    say(`swarm join on ${host.name}, as a manager that also works`);
    await must(
      "swarm join",
      host.skein([
        "swarm",
        "join",
        "--token",
        token,
        "--advertise-addr",
        host.address,
        `${first.address}:2377`,
      ]),
    );
  }
  await until("three ready managers", 30_000, async () => {
    const { stdout } = await first.skein(["node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}"]);
    return (
      stdout.split("\n").filter((line) => /^Ready (Leader|Reachable)$/.test(line.trim())).length ===
      lab.hosts.length
    );
  });
  say("building a small image from busybox and loading it on each host");
  const image = await busyboxImage();
  for (const host of lab.hosts) {
    const { status, body } = await host.api("POST", "/images/load?quiet=1", image);
    if (status !== 200) throw new Error(`image load on ${host.name} answered ${status}: ${body}`);
  }
  say("stack deploy -c examples/hello/compose.yml hello");
  await must(
    "stack deploy",
    first.skein(["stack", "deploy", "-c", resolve(PROJECT, "examples/hello/compose.yml"), "hello"]),
  );
  await converged(first, { hello_web: "2/2", hello_greeter: "1/1" });
  show(await first.skein(["node", "ls"]));
  show(await first.skein(["service", "ps", "hello_web"]));
}

async function visit(lab: Lab): Promise<void> {
  for (const host of lab.hosts) {
    let answer: CommandResult = { code: 1, stdout: "", stderr: "" };
    await until(`an answer through ${host.name}`, 10_000, async () => {
      answer = await curl(lab, host);
      return answer.code === 0 && answer.stdout.includes("greeting: honk");
    });
    say(`curl http://${host.address}:8080/cgi-bin/hello from outside, through ${host.name}:`);
    show(answer);
    for (const expected of [
      `client: ${lab.clients[0]?.address}`,
      "motto: The formation holds",
      "secret: present",
    ]) {
      if (!answer.stdout.includes(expected))
        throw new Error(`the answer through ${host.name} lacks ${JSON.stringify(expected)}`);
    }
  }
}

async function leaderOf(lab: Lab, ask: LabHost): Promise<LabHost> {
  const { stdout } = await ask.skein(["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"]);
  const name = stdout
    .split("\n")
    .find((line) => line.endsWith(" Leader"))
    ?.split(" ")[0];
  const leader = lab.hosts.find((host) => host.name === name);
  if (leader === undefined) throw new Error(`node ls names no leader:\n${stdout}`);
  return leader;
}

/**
 * Requests through each host in turn, while something happens.
 * @returns how many there were and how many failed.
 */
async function requestsDuring(
  lab: Lab,
  hosts: readonly LabHost[],
  work: Promise<unknown>,
): Promise<[number, number]> {
  let done = false;
  let [count, failed] = [0, 0];
  const settled = work.finally(() => {
    done = true;
  });
  while (!done || count < 40) {
    const host = hosts[count % hosts.length];
    if (host === undefined) break;
    if ((await curl(lab, host, "/index.html")).code !== 0) failed += 1;
    count += 1;
  }
  await settled;
  return [count, failed];
}

async function nodeStatus(ask: LabHost, name: string): Promise<string> {
  const { stdout } = await ask.skein(["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]);
  return (
    stdout
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.split(" ")[1] ?? ""
  );
}

async function killTheLeader(lab: Lab): Promise<LabHost> {
  const leader = await leaderOf(lab, lab.host(1));
  const survivors = lab.hosts.filter((host) => host !== leader);
  const [survivor] = survivors;
  if (survivor === undefined) throw new Error("no host would survive");
  say(`kill -9 of skeind and manager on ${leader.name}, the leader, under requests through all three hosts`);
  const work = async (): Promise<void> => {
    await leader.killDaemon();
    const killedAt = Date.now();
    const flags = ["--detach", "--name", "after", "--replicas", "2", "--restart-delay", "500ms"];
    await must(
      "service create",
      survivor.skein(["service", "create", ...flags, "skein-hello:latest", "sleep", "100000"]),
    );
    say(
      `  a new service was accepted ${Date.now() - killedAt} ms after the kill, ` +
        "the command's own start included",
    );
    await until(
      `${leader.name} being down`,
      15_000,
      async () => (await nodeStatus(survivor, leader.name)) === "Down",
    );
    say(`  ${leader.name} is down; its tasks are replaced on the others`);
    await converged(survivor, { hello_web: "6/6", hello_greeter: "1/1", after: "2/2" });
  };
  const [count, failed] = await requestsDuring(lab, lab.hosts, work());
  say(`  ${count} requests meanwhile, ${failed} failed`);
  if (failed > 0) throw new Error(`${failed} of ${count} requests failed while the leader was dead`);
  show(await survivor.skein(["node", "ls"]));
  say(`skeind starts again on ${leader.name}`);
  await leader.start();
  await until(
    `${leader.name} being ready`,
    20_000,
    async () => (await nodeStatus(survivor, leader.name)) === "Ready",
  );
  await converged(survivor, { hello_web: "6/6", hello_greeter: "1/1", after: "2/2" });
  show(await survivor.skein(["node", "ls"]));
  return survivor;
}

async function main(): Promise<void> {
  say("making three hosts as network namespaces, skeind on each");
  const lab = await Lab.open({ hosts: 3, clients: 1 });
  let failed: unknown;
  try {
    await Promise.all(lab.hosts.map((host) => host.start()));
    await deploy(lab);
    await visit(lab);
    say("scaling hello_web 2 -> 6");
    await must("service scale", lab.host(1).skein(["service", "scale", "--detach", "hello_web=6"]));
    await converged(lab.host(1), { hello_web: "6/6" });
    const survivor = await killTheLeader(lab);
    say("all of it held");
    if (!checkOnly) await stayUp(lab, survivor);
  } catch (error) {
    failed = error;
    console.error(`\nthe demo failed: ${error instanceof Error ? error.message : String(error)}`);
    for (const host of lab.hosts) console.error(`\n--- end of ${host.name}'s log ---\n${host.logTail(15)}`);
  }
  const left = await lab.close();
  if (left.length > 0) console.error(`left behind:\n  ${left.join("\n  ")}`);
  else say("cleaned up: no namespace, mount, cgroup or process is left");
  process.exit(failed === undefined && left.length === 0 ? 0 : 1);
}

async function stayUp(lab: Lab, host: LabHost): Promise<void> {
  const client = lab.clients[0];
  console.log(`
The swarm stays up. In another terminal, as root:
  export SKEIN_HOST=unix://${host.socketPath}
  ${PROJECT}/scripts/skein node ls
  ${PROJECT}/scripts/skein service ps hello_web
or with the stock docker command:
  export DOCKER_HOST=unix://${host.socketPath}
  docker node ls
  docker service scale hello_web=3
and as a client outside the cluster:
  nsenter --net=/run/netns/${client?.netns} curl http://${host.address}:8080/cgi-bin/hello
Ctrl-C takes everything away.`);
  await new Promise<void>((stop) => {
    process.once("SIGINT", () => stop());
    process.once("SIGTERM", () => stop());
  });
}

await main();
