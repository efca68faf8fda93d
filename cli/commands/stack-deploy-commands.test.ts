import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { RollbackBody, StackRequest, StackState } from "../../proto/stack-api.js";
import { type Answer, FakeDaemon, NOT_FOUND, type SeenRequest } from "../daemon-fixtures.js";
import { SkeinCommand } from "../skein-command.js";
import { serviceState, stackState } from "../stack/stack-fixtures.js";
import { addStackCommands } from "./stack-commands.js";

const COMPOSE = "name: shop\nservices:\n  web:\n    image: nginx\n  db:\n    image: redis\n";
const DIGEST = `sha256:${"c".repeat(64)}`;

function folder(t: { after(done: () => void): void }, text = COMPOSE): string {
  const path = mkdtempSync(join(tmpdir(), "skein-stack-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  writeFileSync(join(path, "compose.yaml"), text);
  return path;
}

async function stack(daemon: FakeDaemon, ...words: string[]): Promise<void> {
  const program = new SkeinCommand("skein").enablePositionalOptions().exitOverride();
  addStackCommands(program, daemon.context);
  await program.parseAsync(["stack", ...words], { from: "user" });
}

/** A daemon whose registry knows nginx, with that progress of revision 4. */
function daemonWith(
  progress: readonly StackState[],
  changed = true,
): (request: SeenRequest, response: ServerResponse) => Answer {
  return ({ method, path }, response) => {
    if (path === "/services") return { json: [] };
    if (path === "/distribution/nginx/json")
      return { json: { Descriptor: { digest: DIGEST }, Platforms: [] } };
    if (path.startsWith("/distribution/")) return { status: 404, json: { message: "manifest unknown" } };
    const accepted = { Name: "shop", Revision: 4, Changed: changed, Warnings: ["port 80 is also of blog"] };
    if (method === "POST" && (path === "/skein/v1/stacks/shop" || path.endsWith("/rollback")))
      return { status: changed ? 202 : 200, json: accepted };
    if (path === "/skein/v1/stacks/shop/plan") return { json: { Changes: [], Fits: true, Warnings: [] } };
    if (path === "/skein/v1/stacks/shop/progress") {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(progress.map((state) => `${JSON.stringify(state)}\n`).join(""));
      return undefined;
    }
    return NOT_FOUND;
  };
}

test("deploy sends one request with pinned images and follows it to its end", async (t) => {
  await using daemon = await FakeDaemon.open(daemonWith([stackState()]));
  await stack(
    daemon,
    "up",
    "-c",
    join(folder(t), "compose.yaml"),
    "-q",
    "--timeout",
    "90s",
    "--prune",
    "shop",
  );
  assert.deepEqual(daemon.changes, ["POST /skein/v1/stacks/shop"]);
  const sent = JSON.parse(String(daemon.seen.find(({ method }) => method === "POST")?.body)) as StackRequest;
  const images = sent.Services.map(({ Spec }) => JSON.stringify(Spec).match(/"Image":"([^"]*)"/)?.[1]);
  assert.deepEqual(images, [`nginx:latest@${DIGEST}`, "redis"]);
  assert.deepEqual(
    [sent.Prune, sent.Timeout, sent.OnFailure, sent.Services.map(({ Key }) => Key)],
    [true, 90_000, "rollback", ["web", "db"]],
  );
  assert.match(sent.By ?? "", /^\S+@\S+$/);
  assert.deepEqual(daemon.noted, [
    "Warning: redis is not pinned to a digest: nodes may run different versions of it (manifest unknown)",
    "Warning: port 80 is also of blog",
  ]);
  assert.equal(daemon.seen.at(-1)?.path, "/skein/v1/stacks/shop/progress");
});

test("deploy takes the stack's name and the compose file where they are left out", async (t) => {
  await using daemon = await FakeDaemon.open(daemonWith([]));
  await stack(daemon, "deploy", "--project-directory", folder(t), "-d", "--resolve-image", "never");
  assert.deepEqual(
    daemon.seen.map(({ method, path }) => `${method} ${path}`),
    ["POST /skein/v1/stacks/shop"],
  );
  assert.match(daemon.printed.join("\n"), /revision 4 is accepted; 'skein stack status shop'/);
});

test("deploy without a change says so and follows nothing", async (t) => {
  await using daemon = await FakeDaemon.open(daemonWith([], false));
  await stack(daemon, "deploy", "-c", join(folder(t), "compose.yaml"), "shop");
  assert.deepEqual(daemon.printed, ["Stack shop: no change, it is on revision 4"]);
  assert.ok(!daemon.seen.some(({ path }) => path.endsWith("/progress")));
});

test("a deployment that failed rejects with where the stack is now", async (t) => {
  const went = stackState({
    Phase: "went back",
    GoodRevision: 3,
    GoingBackTo: 3,
    Failure: "service web: 3 tasks failed",
    Services: [serviceState("web", { State: "failed" })],
  });
  await using daemon = await FakeDaemon.open(daemonWith([{ ...went, Phase: "applying" }, went]));
  await assert.rejects(
    stack(daemon, "deploy", "-q", "-c", join(folder(t), "compose.yaml"), "shop"),
    /revision 4 of stack shop failed: service web: 3 tasks failed\n.*logs shop_web\nThe stack is on revision 3 again/,
  );
});

test("a progress that breaks off is opened again", async (t) => {
  let calls = 0;
  const answer = daemonWith([stackState()]);
  await using daemon = await FakeDaemon.open((request, response) => {
    if (request.path.endsWith("/progress") && calls++ === 0) {
      response.writeHead(200);
      response.write(`${JSON.stringify(stackState({ Phase: "applying" }))}\n`, () => response.destroy());
      return undefined;
    }
    return answer(request, response);
  });
  await stack(daemon, "deploy", "-q", "-c", join(folder(t), "compose.yaml"), "shop");
  assert.equal(calls, 2);
});

test("wrong names, durations and missing files are refused before the daemon is asked", async (t) => {
  await using daemon = await FakeDaemon.open(() => NOT_FOUND);
  const path = folder(t, "services:\n  web:\n    image: nginx\n");
  const wrong = async (rule: RegExp, ...words: string[]): Promise<void> =>
    assert.rejects(stack(daemon, ...words), rule);
  await wrong(/name of a stack must begin/, "deploy", "-c", join(path, "compose.yaml"), "no/name");
  await wrong(/the stack needs a name/, "deploy", "-c", join(path, "compose.yaml"));
  await wrong(/--timeout must be between 1ms and 24h/, "deploy", "--timeout", "25h", "shop");
  await wrong(/there is no compose file in/, "deploy", "--project-directory", join(path, "none"), "shop");
  await wrong(/the revision must be a number/, "rollback", "shop", "latest");
  assert.deepEqual(daemon.seen, []);
});

test("undo and rollback send the number, 0 for the one before", async () => {
  await using daemon = await FakeDaemon.open(daemonWith([stackState()]));
  await stack(daemon, "undo", "-q", "shop");
  await stack(daemon, "rollback", "-d", "--on-failure", "keep", "shop", "3");
  const bodies = daemon.seen
    .filter(({ method }) => method === "POST")
    .map(({ body }) => JSON.parse(String(body)) as RollbackBody);
  assert.deepEqual(
    bodies.map(({ Revision, OnFailure }) => [Revision, OnFailure]),
    [
      [0, "rollback"],
      [3, "keep"],
    ],
  );
});

test("rm removes and waits until the stack is gone; one that is not there is only noted", async () => {
  const lines = [stackState({ Phase: "removing" }), stackState({ Gone: true })];
  const answer = daemonWith(lines);
  await using daemon = await FakeDaemon.open((request, response) =>
    request.method === "DELETE" && request.path.endsWith("/shop") ? { json: {} } : answer(request, response),
  );
  await stack(daemon, "down", "-q", "shop", "none");
  assert.deepEqual(daemon.changes, ["DELETE /skein/v1/stacks/shop", "DELETE /skein/v1/stacks/none"]);
  assert.deepEqual(daemon.noted, ["Nothing found in stack: none"]);
});

test("plan ends with 0 without changes, with 4 when something changes, with 3 when it does not fit", async (t) => {
  const path = join(folder(t), "compose.yaml");
  const change = { Kind: "service", Key: "web", Action: "add", Fields: [], RestartsTasks: false, Reason: "" };
  let fits = true;
  let changes: readonly object[] = [];
  await using daemon = await FakeDaemon.open(({ path: asked }) =>
    asked.endsWith("/plan") ? { json: { Changes: changes, Fits: fits, Warnings: [] } } : { json: [] },
  );
  const codes: unknown[] = [];
  const plan = async (): Promise<void> => {
    process.exitCode = 0;
    await stack(daemon, "plan", "--resolve-image", "never", "-c", path, "shop");
    codes.push(process.exitCode);
    process.exitCode = 0;
  };
  await plan();
  changes = [change];
  await plan();
  fits = false;
  await plan();
  assert.deepEqual(codes, [0, 4, 3]);
  assert.deepEqual(daemon.printed.slice(0, 2), [
    "Stack shop: no change.",
    "Stack shop: 1 service added\n\n+ service web",
  ]);
});
