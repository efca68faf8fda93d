import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { FakeDaemon, NOT_FOUND } from "../daemon-fixtures.js";
import { followStack } from "./http-follow.js";
import { stackState } from "./stack-fixtures.js";

const FOLLOWED = { stack: "shop", revision: 4, quiet: true } as const;

test("Ctrl-C ends the following and says that the deployment goes on", async () => {
  const stop = new AbortController();
  await using daemon = await FakeDaemon.open((_request, response) => {
    response.writeHead(200);
    response.write(`${JSON.stringify(stackState({ Phase: "applying" }))}\n`, () => stop.abort());
    return undefined;
  });
  await assert.rejects(followStack(daemon.context, { ...FOLLOWED, signal: stop.signal }), {
    code: "cancelled",
    message: /^interrupted: the deployment goes on in the cluster; 'skein stack status shop' shows how$/,
  });
});

test("a stack that is gone ends the following: as a failure, or as what a removal wanted", async () => {
  await using daemon = await FakeDaemon.open(() => NOT_FOUND);
  await assert.rejects(
    followStack(daemon.context, FOLLOWED),
    /shop was removed while revision 4 was deployed/,
  );
  const removal = { stack: "shop", revision: 0, verb: "remove", quiet: true } as const;
  assert.equal(await followStack(daemon.context, removal), "Stack shop is removed");
});

test("a daemon that stays away for a minute ends the following with the way to look later", async () => {
  const clock = new ManualClock();
  await using daemon = await FakeDaemon.open((_request, response) => {
    clock.advance(61_000);
    response.destroy();
    return undefined;
  });
  await assert.rejects(followStack(daemon.context, { ...FOLLOWED, clock }), {
    code: "unavailable",
    message: /did not answer for 60 s .*: 'skein stack status shop' shows how it went$/,
  });
});

test("an error line of the daemon counts as its absence, one that refuses as the end", async () => {
  let calls = 0;
  await using daemon = await FakeDaemon.open(({ path }) => {
    calls += 1;
    if (calls === 1) return { json: { message: "no manager" } };
    return path.endsWith("/progress") ? { json: stackState() } : { json: stackState() };
  });
  assert.match(await followStack(daemon.context, FOLLOWED), /^Stack shop is on revision 4/);
  await using refusing = await FakeDaemon.open(() => ({ status: 403, json: { message: "not for you" } }));
  await assert.rejects(followStack(refusing.context, FOLLOWED), /not for you/);
});
