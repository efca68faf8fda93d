/**
 * The examples with MariaDB, deployed and broken: replicas that follow a primary,
 * and a web site with its database.
 * Edge: to the lab.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Example, ExampleSwarm } from "../support/examples/example-swarm.js";
import { stepsOf } from "../support/examples/steps.js";
import { must } from "../support/lab/lab-services.js";
import { until } from "../support/lab/lab-swarm.js";

let swarm: ExampleSwarm;

before(async () => {
  swarm = await ExampleSwarm.open({
    "skein-example-mariadb": "mariadb-replicas",
    "skein-example-php": "php-mariadb",
  });
});

after(() => swarm.close());

const sql = (statement: string): string => `mariadb --skip-column-names --batch app -e "${statement}"`;

/** Waits until a replica has what the primary has. */
async function follows(mariadb: Example, slot: number): Promise<void> {
  const list = sql("SELECT GROUP_CONCAT(n ORDER BY n) FROM numbers");
  const wanted = await mariadb.must("primary", list);
  let seen = "";
  await until(
    `replica ${slot} has ${wanted}`,
    60_000,
    async () => {
      const { code, output } = await mariadb.exec("replica", list, slot);
      seen = output;
      return code === 0 && output === wanted ? true : undefined;
    },
    () => seen,
  );
}

const write = (mariadb: Example, number: number): Promise<string> =>
  mariadb.must("primary", sql(`INSERT INTO numbers VALUES (${number})`));

test("mariadb-replicas: replicas follow their primary, also after either was killed", async (t) => {
  const step = stepsOf(t);
  const mariadb = swarm.example("mariadb-replicas");
  await step("deployed, what is written to the primary is on both replicas", async () => {
    await must(mariadb.asked.skein(["node", "update", "--label-add", "mariadb=primary", "host1"]));
    await mariadb.deploy();
    await mariadb.converged();
    await mariadb.must("primary", sql("CREATE TABLE numbers (n INT PRIMARY KEY)"));
    await write(mariadb, 1);
    for (const slot of [1, 2]) await follows(mariadb, slot);
    assert.equal(await mariadb.must("replica", sql("SELECT @@read_only")), "1");
  });
  await step("a replica that is killed comes back and has what was written meanwhile", async () => {
    const killed = await mariadb.killTask("replica", 2);
    await write(mariadb, 2);
    await mariadb.replaced("replica", killed);
    await write(mariadb, 3);
    for (const slot of [1, 2]) await follows(mariadb, slot);
  });
  await step("a primary that is killed comes back with its rows, and is followed again", async () => {
    const killed = await mariadb.killTask("primary");
    await mariadb.replaced("primary", killed);
    assert.equal(await mariadb.must("primary", sql("SELECT COUNT(*) FROM numbers")), "3");
    await write(mariadb, 4);
    for (const slot of [1, 2]) await follows(mariadb, slot);
  });
  await step("a replica that lost its host begins elsewhere or again, and follows", async () => {
    const lost = await mariadb.hostOf(await mariadb.task("replica", 1));
    await lost.killHost();
    await write(mariadb, 5);
    await lost.start();
    await follows(mariadb, 1);
  });
  await mariadb.remove();
});

test("php-mariadb: what visitors write stays, whatever is killed", async (t) => {
  const step = stepsOf(t);
  const site = swarm.example("php-mariadb");
  const [client] = swarm.lab.clients;
  assert.ok(client);
  const ask = async (host: number, ...more: string[]): Promise<string> => {
    const url = `http://${swarm.lab.host(host).address}:8080/`;
    const { code, stdout } = await client.attempt("curl", [
      "-sS",
      "--fail",
      "--max-time",
      "10",
      ...more,
      url,
    ]);
    return code === 0 ? stdout : "";
  };
  await step("deployed, every host answers, and knows its visitor's address", async () => {
    await must(site.asked.skein(["node", "update", "--label-add", "database=true", "host2"]));
    await site.deploy();
    await site.converged();
    assert.match(await ask(1, "-d", "entry=honk"), /entry: honk/);
    for (const host of [1, 2, 3]) {
      const answer = await ask(host);
      assert.match(answer, /entry: honk/);
      assert.match(answer, new RegExp(`client: ${client.address}\n`));
    }
  });
  await step("with one web server killed the other answers", async () => {
    await site.killTask("web", 1);
    // a request may meet the one that has just died, until its host has noticed
    for (const host of [1, 2, 3])
      await until(`host ${host} answers`, 10_000, async () =>
        (await ask(host)).includes("entry: honk") ? true : undefined,
      );
  });
  await step("a database that is killed comes back with what was written", async () => {
    await site.killTask("database");
    await until("the site answers again", 60_000, async () => {
      const answer = await ask(3, "-d", "entry=again");
      return answer.includes("entry: again") ? true : undefined;
    });
    assert.match(await ask(2), /entry: again\nentry: honk\n/);
  });
  await site.remove();
});
