/**
 * The examples with Redis, deployed and broken: sentinels that fail over, and a cluster.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ExampleSwarm } from "../support/examples/example-swarm.js";
import { until } from "../support/lab/lab-swarm.js";

let swarm: ExampleSwarm;

before(async () => {
  swarm = await ExampleSwarm.open({ "skein-example-redis-sentinel": "redis-sentinel" });
});

after(() => swarm.close());

test("redis-sentinel: a primary that is killed, or whose host is gone, is replaced while a client writes on", async () => {
  const redis = swarm.example("redis-sentinel");
  const primary = (): Promise<string> => redis.must("app", "find-primary");
  const written = async (): Promise<number> => Number(await redis.must("app", "cat /tmp/written"));
  const writesOn = (what: string): Promise<number> =>
    until(what, 60_000, async () => {
      const before = await written();
      return until(what, 5_000, async () => ((await written()) > before ? before : undefined)).catch(
        () => undefined,
      );
    });

  await redis.deploy();
  await redis.converged();
  await writesOn("the client writes");
  assert.equal(await primary(), "redis-1");

  await redis.killTask("redis", 1);
  const second = await until("another primary", 60_000, async () => {
    const name = await primary();
    return name === "redis-1" ? undefined : name;
  });
  await writesOn(`the client writes to ${second}`);
  await redis.converged();

  assert.equal(await redis.must("redis", "ask-redis localhost role | head -n 1", 1), "slave");

  await redis.remove();
});
