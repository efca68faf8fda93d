/**
 * The examples with Redis, deployed and broken: sentinels that fail over, and a cluster.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Example, ExampleSwarm } from "../support/examples/example-swarm.js";
import { until, untilNodes } from "../support/lab/lab-swarm.js";

let swarm: ExampleSwarm;

before(async () => {
  swarm = await ExampleSwarm.open({ "skein-example-redis-sentinel": "redis-sentinel" });
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

test("redis-sentinel: a client that asks by name writes on when the primary is killed or its host is gone", async () => {
  const redis = swarm.example("redis-sentinel");
  await redis.deploy();
  await redis.converged();
  await writesOn(redis, "the client writes");
  assert.equal(await redis.must("app", "find-primary"), "redis-1");

  await sentinelsKnow(redis);
  await redis.killTask("redis", 1);
  const second = await otherPrimary(redis, "redis-1");
  await writesOn(redis, `the client writes to ${second}`);
  // who was primary comes back, and follows
  await redis.converged();
  await until("redis-1 follows", 30_000, async () =>
    (await redis.exec("redis", "ask-redis localhost role | head -n 1", 1)).output === "slave"
      ? true
      : undefined,
  );

  await sentinelsKnow(redis);
  const slot = Number(second.replace("redis-", ""));
  const lost = await redis.hostOf(await redis.task("redis", slot));
  const promised = await writesOn(redis, `the client writes to ${second}`);
  await lost.killHost();
  const third = await otherPrimary(redis, second);
  await writesOn(redis, `the client writes to ${third}`);
  const found = new Set((await redis.must("app", `ask-redis ${third} smembers numbers`)).split("\n"));
  const [client = "", count] = promised.split(":");
  for (let number = 1; number <= Number(count); number++)
    assert.ok(found.has(`${client}:${number}`), `${client}:${number} was confirmed and is lost`);

  await lost.start();
  await untilNodes(redis.asked, "the host is back", (all) =>
    all.every(({ Status }) => Status.State === "ready"),
  );
  await redis.converged();
  await redis.remove();
});
