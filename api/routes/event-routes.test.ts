/**
 * GET /events over a real connection: the past, what happens now, and clients that go away.
 */
import assert from "node:assert/strict";
import { type ClientRequest, createServer, get, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AbortedError } from "../../base/errors/errors.js";
import { ClusterEvent } from "../../proto/gen/skein/v1/control.js";
import { clusterEvent } from "../engine-events.js";
import { type EngineEvent, EventJournal } from "../event-journal.js";
import { Exchange, sendError, sendReply } from "../http-exchange.js";
import { eventRoutes } from "./event-routes.js";

/** Now, in the world of these tests. */
const NOW_MS = 2_000_000;
let journal: EventJournal;
let live: Promise<void>;
let server: Server;

const event = (id: string, timeMs: number): EngineEvent => ({
  type: "service",
  action: "create",
  id,
  attributes: { name: id },
  scope: "swarm",
  timeMs,
});

/** What the manager keeps, and how it answers who asks by number. */
let kept: ClusterEvent[] = [];
const told = (id: string, index: number, timeMs: number): ClusterEvent =>
  ClusterEvent.create({ type: "secret", action: "create", id, index, ordinal: 1, timeMs });

async function* numbered(after: string): AsyncIterable<ClusterEvent | "begun"> {
  if (after === "1.1") throw new AbortedError("gap: too old");
  yield "begun";
  yield* kept.filter(({ index }) => index > Number(after.split(".")[0]));
  if (after === "2.1") throw new AbortedError("gap: too slow");
}

before(async () => {
  server = createServer((request, response) => {
    const routes = eventRoutes({
      journal,
      watch: { live: () => live, past: () => Promise.resolve(kept), after: numbered },
      nowMs: () => NOW_MS,
      daemon: { id: "E1", name: "host1" },
    });
    const { pathname, searchParams: query } = new URL(request.url ?? "", "http://x");
    const route = routes.find(({ path }) => path === pathname);
    const answer = route?.handle(new Exchange({ request, response, params: {}, query }));
    answer?.then(
      (reply) => reply && sendReply(response, reply),
      (error: unknown) => sendError(response, error),
    );
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  live = Promise.resolve();
  journal = new EventJournal();
  for (const seconds of [1000, 1500, 1999]) journal.add(event(`at${seconds}`, seconds * 1000));
});

interface Stream {
  readonly outgoing: ClientRequest;
  readonly response: IncomingMessage;
  /** Ids, once `count` came or the stream has ended. */
  read(count?: number): Promise<string[]>;
}

function follow(query: string, path = "/events"): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const { port } = server.address() as AddressInfo; // it listens on TCP
    const outgoing = get({ port, path: `${path}?${query}`, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      const ids = (): string[] =>
        text
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line) as { Actor?: { ID: string }; message?: string })
          .map(({ Actor, message }) => Actor?.ID ?? message ?? "");
      const read = async (count = Number.POSITIVE_INFINITY): Promise<string[]> => {
        while (!response.readableEnded && ids().length < count) await sleep(2);
        return ids();
      };
      resolve({ outgoing, response, read });
    });
    outgoing.on("error", reject);
  });
}

test("since and until choose from what is kept; an until that is past ends the stream", async () => {
  assert.deepEqual(await (await follow("since=1500&until=1999")).read(), ["at1500", "at1999"]);
  assert.deepEqual(await (await follow("until=1500")).read(), ["at1000", "at1500"]);
  assert.deepEqual(await (await follow("since=1200.5&until=1600.25")).read(), ["at1500"]);
  const filters = encodeURIComponent('{"service":["at1000"]}');
  assert.deepEqual(await (await follow(`until=1999&filters=${filters}`)).read(), ["at1000"]);
  const refused = await follow("since=1600&until=1500");
  assert.equal(refused.response.statusCode, 400);
  assert.equal((await follow("since=yesterday")).response.statusCode, 400);
  assert.equal(journal.followers, 0);
});

test("the past comes before what happens, which is told from the headers on", async () => {
  const since = await follow("since=1999");
  const now = await follow("");
  journal.add(event("new", NOW_MS));
  assert.deepEqual(await since.read(2), ["at1999", "new"]);
  assert.deepEqual(await now.read(1), ["new"]);
  since.outgoing.destroy();
  now.outgoing.destroy();
});

test("headers wait for the watch of the cluster; nothing stays of a client that goes meanwhile", async () => {
  let begin = (): void => undefined;
  live = new Promise((resolve) => {
    begin = resolve;
  });
  const early = follow("since=1999");
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const leaver = get({ port, path: "/events", agent: false });
  const left = new Promise<void>((done) => leaver.once("error", () => done()));
  await sleep(20);
  assert.equal(journal.followers, 0);
  leaver.destroy();
  await left;
  await sleep(20);
  begin();
  const stream = await early;
  assert.deepEqual(await stream.read(1), ["at1999"]);
  assert.equal(journal.followers, 1);
  stream.outgoing.destroy();
  while (journal.followers > 0) await sleep(2);
});

test("a client that goes away leaves no follower; a gap ends the stream", async () => {
  const stream = await follow("");
  assert.equal(journal.followers, 1);
  stream.outgoing.destroy();
  while (journal.followers > 0) await sleep(2);
  const other = await follow("since=1999");
  journal.gap();
  assert.deepEqual(await other.read(), ["at1999"]);
  while (journal.followers > 0) await sleep(2);
});

test("an until in the future ends the stream then", async () => {
  const stream = await follow(`until=${(NOW_MS + 50) / 1000}`);
  journal.add(event("new", NOW_MS));
  assert.deepEqual(await stream.read(), ["at1000", "at1500", "at1999", "new"]);
  while (journal.followers > 0) await sleep(2);
});

test("the cluster's past is the manager's, and nothing of it is told twice", async () => {
  kept = [told("old", 1, 1_200_000), told("both", 2, 1_700_000)];
  journal.add(clusterEvent(told("both", 2, 1_700_000)));
  assert.deepEqual(await (await follow("since=1100&until=1999")).read(), ["old", "at1500", "both", "at1999"]);
  kept = [];
});

test("events behind a number; a gap is 410 before the stream has begun, and its last line after", async () => {
  kept = [told("a", 1, 1), told("b", 2, 2), told("c", 3, 3)];
  const path = "/skein/v1/events";
  assert.deepEqual(await (await follow("after=1", path)).read(), ["b", "c"]);
  const gone = await follow("after=1.1", path);
  assert.equal(gone.response.statusCode, 410);
  assert.deepEqual(await gone.read(), ["gap: too old"]);
  assert.deepEqual(await (await follow("after=2.1", path)).read(), ["c", "gap: too slow"]);
  kept = [];
});
