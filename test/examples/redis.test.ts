/**
 * The examples with Redis, deployed and broken: sentinels that fail over, and a cluster.
 * Edge: to the lab.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Example, ExampleSwarm } from "../support/examples/example-swarm.js";
import { stepsOf } from "../support/examples/steps.js";
import { until, untilNodes } from "../support/lab/lab-swarm.js";

let swarm: ExampleSwarm;

before(async () => {
  swarm = await ExampleSwarm.open({
    "skein-example-redis-sentinel": "redis-sentinel",
    "skein-example-redis-cluster": "redis-cluster",
  });
});

after(() => swarm.close());

/** The client goes on: waits for two more confirmed numbers. @returns the last one, "client:number". */
async function writesOn(redis: Example, what: string): Promise<string> {
  const seen = new Set<string>();
  return until(what, 60_000, async () => {
    const { code, output } = await redis.exec("app", "cat /tmp/written");
    if (code === 0) seen.add(output);
    return seen.size > 2 ? output : undefined;
  });
}

async function otherPrimary(redis: Example, than: string): Promise<string> {
  return until(`another primary than ${than}`, 60_000, async () => {
    const { code, output } = await redis.exec("app", "find-primary");
    return code === 0 && output !== than ? output : undefined;
  });
}

/** Each sentinel knows the others and two replicas: it reads of them every ten seconds. */
async function sentinelsKnow(redis: Example): Promise<void> {
  const script = "redis-cli -p 26379 info sentinel";
  for (const slot of [1, 2, 3])
    await until(`sentinel ${slot} knows all`, 30_000, async () =>
      (await redis.exec("sentinel", script, slot)).output.includes("slaves=2,sentinels=3") ? true : undefined,
    );
}

test("redis-sentinel: a client that asks by name writes on, whatever happens to the primary", async (t) => {
  const step = stepsOf(t);
  const redis = swarm.example("redis-sentinel");
  let primary = "redis-1";
  await step("deployed, it writes to the first server", async () => {
    await redis.deploy();
    await redis.converged();
    await writesOn(redis, "the client writes");
    assert.equal(await redis.must("app", "find-primary"), primary);
    await sentinelsKnow(redis);
  });
  await step(
    "the primary's process is killed: another takes over, and it comes back as a replica",
    async () => {
      await redis.killTask("redis", 1);
      primary = await otherPrimary(redis, "redis-1");
      await writesOn(redis, `the client writes to ${primary}`);
      await redis.converged();
      await until("redis-1 follows", 30_000, async () =>
        (await redis.exec("redis", "ask-redis localhost role | head -n 1")).output === "slave"
          ? true
          : undefined,
      );
    },
  );
  await step("the primary's host is gone: another takes over, and nothing confirmed is lost", async () => {
    await sentinelsKnow(redis);
    const lost = await redis.hostOf(await redis.task("redis", Number(primary.replace("redis-", ""))));
    const promised = await writesOn(redis, `the client writes to ${primary}`);
    await lost.killHost();
    primary = await otherPrimary(redis, primary);
    await writesOn(redis, `the client writes to ${primary}`);
    const found = new Set((await redis.must("app", `ask-redis ${primary} smembers numbers`)).split("\n"));
    const [client = "", count] = promised.split(":");
    for (let number = 1; number <= Number(count); number++)
      assert.ok(found.has(`${client}:${number}`), `${client}:${number} was confirmed and is lost`);
    await lost.start();
  });
  await step("with its host back it is whole again, and goes without a trace", async () => {
    await untilNodes(redis.asked, "the host is back", (all) =>
      all.every(({ Status }) => Status.State === "ready"),
    );
    await redis.converged();
    await redis.remove();
  });
});

test("redis-cluster: all keys stay readable and writable when a primary is killed", async (t) => {
  const step = stepsOf(t);
  const cluster = swarm.example("redis-cluster");
  const nodes = ["left-1", "left-2", "left-3", "right-1", "right-2", "right-3"];
  const primaries = async (): Promise<readonly string[]> => {
    const script = `for node in ${nodes.join(" ")}; do echo "$node $(ask-redis $node role | head -n 1)"; done`;
    const { output } = await cluster.exec("app", script);
    return output.split("\n").flatMap((line) => /^(\S+) master$/.exec(line)?.[1] ?? []);
  };
  const count = 300;
  const writeAll = (prefix: string): Promise<string> =>
    cluster.must(
      "app",
      `for key in $(seq ${count}); do echo "SET ${prefix}$key $key"; done | ask-redis left-1 | grep -c OK`,
    );
  const readAll = (prefix: string): Promise<string> =>
    cluster.must(
      "app",
      `for key in $(seq ${count}); do echo "GET ${prefix}$key"; done | ask-redis right-2 | grep -v Redirected`,
    );
  const all = Array.from({ length: count }, (_, index) => String(index + 1));

  await step("deployed, a job has made it; keys are spread over three primaries", async () => {
    await cluster.deploy();
    await cluster.converged();
    assert.deepEqual(await primaries(), ["left-1", "left-2", "left-3"]);
    assert.match(await cluster.must("app", "ask-redis left-1 cluster info"), /cluster_slots_ok:16384/);
    assert.equal(await writeAll("a"), String(count));
    assert.deepEqual((await readAll("a")).split("\n"), all);
    for (const node of ["left-1", "left-2", "left-3"])
      assert.ok(
        Number(await cluster.must("app", `ask-redis ${node} dbsize`)) > count / 6,
        `${node} has its share`,
      );
  });
  await step("a primary and its replica are on different hosts", async () => {
    const lines = (await cluster.must("app", "ask-redis left-1 cluster nodes")).split("\n");
    // "ID IP:PORT@PORT,NAME FLAGS PRIMARY …", as the command's documentation has it
    const nodes = lines.map((line) => /^(\w+) \S+,(\S+) \S+ (\S+)/.exec(line)?.slice(1) ?? []);
    const host = async (name = ""): Promise<string> => {
      const [service = "", slot] = name.split("-");
      return (await cluster.hostOf(await cluster.task(service, Number(slot)))).name;
    };
    for (const [, replica, primaryId] of nodes.filter(([, name]) => name?.startsWith("right-"))) {
      const [, primary] = nodes.find(([id]) => id === primaryId) ?? [];
      assert.notEqual(await host(replica), await host(primary), `${replica} and ${primary}`);
    }
  });
  await step("a primary is killed: its replica takes over, and all keys are there", async () => {
    await cluster.killTask("left", 2);
    await until("three primaries again", 60_000, async () => {
      const now = await primaries();
      return now.length === 3 && !now.includes("left-2") ? true : undefined;
    });
    await until("the cluster serves all slots", 30_000, async () =>
      (await cluster.exec("app", "ask-redis left-1 cluster info")).output.includes("cluster_state:ok")
        ? true
        : undefined,
    );
    assert.deepEqual((await readAll("a")).split("\n"), all);
    assert.equal(await writeAll("b"), String(count));
    await cluster.converged();
    await until("left-2 follows", 30_000, async () =>
      (await cluster.exec("left", "ask-redis localhost role | head -n 1", 2)).output === "slave"
        ? true
        : undefined,
    );
  });
  await cluster.remove();
});
