/**
 * /skein/v1/…/why: what of an account is left out, and a swarm that cannot answer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NotFoundError, UnavailableError } from "../../base/errors/errors.js";
import { RaftInspection } from "../../proto/gen/skein/v1/debug.js";
import { ServiceExplanation } from "../../proto/gen/skein/v1/explain.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import type { Exchange } from "../http-exchange.js";
import type { ManagerClients } from "../manager-clients.js";
import { serviceWhyOut, whyRoutes } from "./why-routes.js";

const member = (raftId: number, reachable: boolean) => ({
  raftId,
  address: `10.0.0.${raftId}:2377`,
  reachable,
});

async function ask(explain: () => Promise<unknown>, reachable: boolean): Promise<unknown> {
  const members = [member(1, true), member(2, reachable), member(3, false)];
  const inspection = RaftInspection.fromPartial({ leader: reachable ? 1 : 0, members });
  const clients = { explain, inspectRaft: () => Promise.resolve(inspection) };
  const [route] = whyRoutes(clients as unknown as ManagerClients); // the two calls are all it makes
  return route?.handle({ param: () => "web" } as unknown as Exchange);
}

test("a swarm without a quorum says so, and how many managers are needed", async () => {
  const gone = (): Promise<never> => Promise.reject(new UnavailableError("the swarm has no leader"));
  await assert.rejects(ask(gone, false), {
    code: "unavailable",
    message:
      "no-quorum: 1 of 3 managers can be reached from this one, 2 are needed: the quorum is lost, and nothing " +
      "can be changed. Bring one of 10.0.0.2:2377, 10.0.0.3:2377 back; if they are lost for good, see 'swarm " +
      "init --force-new-cluster'.",
  });
  await assert.rejects(ask(gone, true), { message: "the swarm has no leader" });
  await assert.rejects(
    ask(() => Promise.reject(new NotFoundError("service web not found")), false),
    {
      code: "not-found",
    },
  );
});

test("instants are times, lengths are milliseconds, and what is empty is left out", () => {
  const why = ServiceExplanation.fromPartial({
    name: "web",
    headline: "1 of 1 tasks of web run",
    nowMs: 1_000,
    slots: [
      {
        name: "web.1",
        tasks: [
          {
            taskId: "t1",
            state: TaskState.RUNNING,
            desiredState: TaskState.RUNNING,
            cause: "running",
            phases: [{ phase: "run", fromMs: 500, durationMs: 500, open: true }],
          },
        ],
      },
    ],
  });
  const out = JSON.parse(JSON.stringify(serviceWhyOut(why)));
  assert.equal(out.Now, "1970-01-01T00:00:01Z");
  assert.equal("Update" in out, false);
  assert.deepEqual(out.Slots[0].Tasks[0].Phases, [
    { Phase: "run", From: "1970-01-01T00:00:00.5Z", DurationMs: 500, Open: true },
  ]);
  assert.deepEqual([out.Slots[0].Tasks[0].State, "EndedAt" in out.Slots[0].Tasks[0]], ["running", false]);
});
