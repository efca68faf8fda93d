/**
 * The root CA of a swarm of three managers and a worker is rotated: by the stock docker command while a
 * service is asked all the time, with a node down meanwhile, twice at once, and back.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must } from "../support/lab/lab-services.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  join,
  nodes,
  type SwarmTask,
  tasks,
  tokens,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";

interface Swarm {
  readonly Version: { readonly Index: number };
  readonly Spec: { readonly CAConfig: { readonly ForceRotate?: number } & Record<string, unknown> };
  readonly TLSInfo: { readonly TrustRoot: string; readonly CertIssuerPublicKey: string };
  readonly RootRotationInProgress: boolean;
}

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 4, clients: 1 });
  await formSwarm(lab, { managers: 3 }); // host4 is a worker
  await createService(lab.host(1), {
    name: "web",
    command: HTTPD,
    replicas: 4,
    ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8080, PublishMode: "ingress" }],
  });
  await untilRunning(lab.host(1), "web", 4);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

const swarmOf = (host: LabHost): Promise<Swarm> => call(host, "GET", "/swarm");

async function rotate(host: LabHost, caConfig: Record<string, unknown> = {}): Promise<void> {
  const { Version, Spec } = await swarmOf(host);
  const next = (Spec.CAConfig.ForceRotate ?? 0) + 1;
  const force = caConfig["SigningCACert"] === undefined ? { ForceRotate: next, SigningCACert: "" } : {};
  const body = { ...Spec, CAConfig: { ...Spec.CAConfig, ...force, ...caConfig } };
  await call(host, "POST", `/swarm/update?version=${Version.Index}`, body);
}

function rotated(host: LabHost, timeoutMs = 20_000): Promise<Swarm> {
  let last = "";
  return until(
    "the root is rotated",
    timeoutMs,
    async () => {
      const swarm = await swarmOf(host);
      last = JSON.stringify(await call(host, "GET", "/nodes"));
      return swarm.RootRotationInProgress ? undefined : swarm;
    },
    () => last,
  );
}

/** Asks the service and the API all the time. */
function traffic(): { end(): Promise<{ asked: number; failures: string[] }> } {
  const failures: string[] = [];
  let asked = 0;
  let over = false;
  const web = async (): Promise<void> => {
    while (!over) {
      for (const host of lab.hosts) {
        const url = `http://${host.address}:8080/`;
        const answer = await lab.clients[0]?.attempt("wget", ["-q", "-T", "3", "-O", "-", url]);
        asked += 1;
        if (answer?.code !== 0) failures.push(`${host.name}: ${answer?.stderr}`);
      }
    }
  };
  const api = async (): Promise<void> => {
    for (let n = 0; !over; n++) {
      for (const host of lab.hosts.slice(0, 3)) {
        const name = `c${n}-${host.name}`;
        try {
          await call(host, "POST", "/configs/create", { Name: name, Data: "eA==" });
          const off = (await nodes(host)).filter((node) => node.Status.State !== "ready");
          if (off.length > 0)
            failures.push(`not ready: ${off.map((node) => node.Description.Hostname).join()}`);
        } catch (error) {
          failures.push(`${host.name}: ${String(error)}`);
        }
        asked += 1;
      }
    }
  };
  const running = Promise.all([web(), api()]);
  return {
    async end() {
      over = true;
      await running;
      return { asked, failures };
    },
  };
}

const runningTasks = async (): Promise<readonly SwarmTask[]> =>
  (await tasks(lab.host(1), "web")).filter((task) => task.DesiredState === "running");

test("docker swarm ca --rotate changes every certificate while nothing else happens", {
  skip: skipWithoutDocker,
}, async () => {
  const host = lab.host(2);
  const before = await swarmOf(host);
  const oldTokens = await tokens(host);
  const idsBefore = new Set((await runningTasks()).map((task) => task.ID));
  const load = traffic();
  const printed = await must(host.docker(["swarm", "ca", "--rotate"], { timeoutMs: 60_000 }));
  const { asked, failures } = await load.end();
  assert.deepEqual(failures, []);
  assert.ok(asked > 10, `asked ${asked} times`);
  const swarm = await swarmOf(host);
  assert.notEqual(swarm.TLSInfo.TrustRoot, before.TLSInfo.TrustRoot);
  assert.ok(printed.includes(swarm.TLSInfo.TrustRoot.trim()), printed);
  const digest = createHash("sha256").update(swarm.TLSInfo.TrustRoot).digest("hex");
  assert.match(printed, new RegExp(`desired root digest: sha256:${digest}`));
  assert.equal((await must(host.docker(["swarm", "ca"]))).trim(), swarm.TLSInfo.TrustRoot.trim());
  assert.deepEqual(
    (await runningTasks()).filter((task) => !idsBefore.has(task.ID)),
    [],
    JSON.stringify(await tasks(host, "web")),
  );
  assert.notEqual((await tokens(host)).Worker.split("-")[2], oldTokens.Worker.split("-")[2]);
});

test("a node that is down holds the rotation up, and finishes it when it is back", async () => {
  const host = lab.host(1);
  await lab.host(4).stop();
  await rotate(host);
  const root = (await swarmOf(host)).TLSInfo.TrustRoot;
  await until("all others have changed over", 20_000, async () => {
    const all = await call<{ Description: { TLSInfo: { CertIssuerPublicKey?: string } } }[]>(
      host,
      "GET",
      "/nodes",
    );
    const { CertIssuerPublicKey } = (await swarmOf(host)).TLSInfo;
    const done = all.filter(
      ({ Description }) => Description.TLSInfo.CertIssuerPublicKey === CertIssuerPublicKey,
    );
    return done.length === 3 ? true : undefined;
  });
  assert.equal((await swarmOf(host)).RootRotationInProgress, true);
  // daemons and managers restart in the middle of it
  await lab.host(3).stop();
  await lab.host(3).start();
  await untilNodes(
    host,
    "host3 is back",
    (all) => all.filter((node) => node.Status.State === "ready").length === 3,
  );
  await lab.host(4).start();
  const swarm = await rotated(host);
  assert.equal(swarm.TLSInfo.TrustRoot, root);
  await untilNodes(host, "all are ready", (all) => all.every((node) => node.Status.State === "ready"));
  await untilRunning(host, "web", 4);
});

test("a second rotation during one overtakes it; the given root of before takes it back", async () => {
  const host = lab.host(1);
  await lab.host(4).stop();
  const first = (await swarmOf(host)).TLSInfo.TrustRoot;
  await rotate(host);
  const second = (await swarmOf(host)).TLSInfo.TrustRoot;
  await rotate(host);
  const third = (await swarmOf(host)).TLSInfo.TrustRoot;
  assert.equal(new Set([first, second, third]).size, 3);
  await rotate(host, { SigningCACert: first });
  assert.equal((await swarmOf(host)).TLSInfo.TrustRoot, first);
  await lab.host(4).start();
  const swarm = await rotated(host);
  assert.equal(swarm.TLSInfo.TrustRoot, first);
  await untilNodes(host, "all are ready", (all) => all.every((node) => node.Status.State === "ready"));
});

test("after rotations nodes join with the new tokens only", async () => {
  const host = lab.host(1);
  const [four] = [lab.host(4)];
  const before = await tokens(host);
  await call(four, "POST", "/swarm/leave");
  await rotate(host);
  // the node that left is no known one any more, or is removed
  const gone = (await nodes(host)).find((node) => node.Description.Hostname === four.name);
  if (gone !== undefined) await call(host, "DELETE", `/nodes/${gone.ID}?force=1`);
  await rotated(host);
  const refused = await join(four, host, before.Worker);
  assert.equal(refused.status >= 400, true);
  assert.match(refused.body, /remote CA does not match fingerprint/);
  const joined = await join(four, host, (await tokens(host)).Worker);
  assert.equal(joined.status, 200, joined.body);
});
