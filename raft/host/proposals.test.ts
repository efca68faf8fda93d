import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { NotLeaderError, ResourceExhaustedError, UnavailableError } from "../../base/errors/errors.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import { Proposals } from "./proposals.js";
import { RaftMeters } from "./raft-meters.js";

/** A leader's log that only counts; `full` refuses as the core does. */
class CountingCore {
  term = 3;
  lastIndex = 10;
  full = false;

  propose(data: readonly Uint8Array[]): { term: number; firstIndex: number } {
    if (this.full) throw new ResourceExhaustedError("propose: too many bytes wait");
    const firstIndex = this.lastIndex + 1;
    this.lastIndex += data.length;
    return { term: this.term, firstIndex };
  }

  proposeConfChange(): { term: number; index: number } {
    this.lastIndex += 1;
    return { term: this.term, index: this.lastIndex };
  }
}

type Fate = "waits" | "done" | "not done" | "unknown" | "busy";

function lab() {
  const core = new CountingCore();
  const clock = new ManualClock();
  const proposals = new Proposals({
    core,
    drive: () => undefined,
    bytesMax: 1000,
    meters: new RaftMeters(clock),
  });
  const fates: Fate[] = [];
  const errors: unknown[] = [];
  /** Proposes so many entries in one turn; their fates appear in `fates`. */
  const propose = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const at = fates.push("waits") - 1;
      proposals.propose(Buffer.from("x"), undefined).then(
        () => (fates[at] = "done"),
        (error: unknown) => {
          errors.push(error);
          if (error instanceof NotLeaderError) fates[at] = "not done";
          else fates[at] = error instanceof UnavailableError ? "unknown" : "busy";
        },
      );
    }
    await settled();
  };
  const lose = (): void => proposals.leadershipLost(core.term, new NotLeaderError("another leads"));
  return { core, clock, proposals, fates, errors, propose, lose };
}

async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

test("a leader that lost its office learns as a follower what became of its entries (paper 5.3, 5.4.3)", async () => {
  const { proposals, fates, propose, lose } = lab();
  await propose(4); // 11 to 14 in term 3
  lose();
  await settled();
  assert.deepEqual(fates, ["waits", "waits", "waits", "waits"]);
  proposals.applied({ index: 11, term: 3 });
  proposals.applied({ index: 12, term: 3 });
  await settled();
  assert.deepEqual(fates, ["done", "done", "waits", "waits"], "the next leader had them, and committed them");
  proposals.applied({ index: 13, term: 4 });
  await settled();
  assert.deepEqual(
    fates.slice(2),
    ["not done", "not done"],
    "nothing of term 3 can follow an entry of term 4",
  );
  assert.equal(proposals.waiting, 0);
});

test("an entry of a later term before them settles all that is pending (terms in a log never decrease)", async () => {
  const { core, proposals, fates, propose, lose } = lab();
  await propose(3);
  lose();
  core.term = 7;
  core.lastIndex = 10; // elected again, with a log that does not have them
  await propose(1);
  await settled();
  const reused = "index 11 is reused: who holds the old entry may win later (paper 5.4.2, figure 8)";
  assert.deepEqual(fates, ["unknown", "waits", "waits", "waits"], reused);
  proposals.applied({ index: 11, term: 7 });
  await settled();
  assert.deepEqual(fates, ["unknown", "not done", "not done", "done"]);
});

test("what was not sent yet is certainly not done", async () => {
  const { proposals, lose } = lab();
  const proposed = proposals.propose(Buffer.from("x"), undefined);
  lose();
  await assert.rejects(proposed, NotLeaderError);
});

test("a membership change that was in line when the member stopped is refused, not left waiting", async () => {
  const { core, proposals } = lab();
  const member = { raftId: 7, nodeId: "n7", address: "h:1", learner: true };
  const underWay = proposals.change(ConfChangeKind.ADD_LEARNER, member);
  proposals.rejectAll(new UnavailableError("this manager is stopping"));
  await assert.rejects(underWay, /stopping/);
  await assert.rejects(proposals.change(ConfChangeKind.ADD_LEARNER, member), /stopping/);
  assert.equal(core.lastIndex, 11, "the second one reached no log");
});

test("a fate that cannot be learned in time is unknown, and only for the office that was lost", async () => {
  const { core, proposals, fates, propose, lose } = lab();
  await propose(1);
  lose();
  for (let tick = 0; tick < 20; tick++) proposals.tick();
  core.term = 5; // elected again: the entry of term 3 is still in the log, and so is a new one
  await propose(1);
  for (let tick = 0; tick < 29; tick++) proposals.tick();
  await settled();
  assert.deepEqual(fates, ["waits", "waits"]);
  proposals.tick();
  await settled();
  assert.deepEqual(fates, ["unknown", "waits"]);
  proposals.applied({ index: 11, term: 3 });
  proposals.applied({ index: 12, term: 5 });
  await settled();
  assert.deepEqual(fates, ["unknown", "done"]);
});

test("entries that a snapshot covers have an unknown fate; those beyond its term are not done", async () => {
  const { proposals, fates, propose, lose } = lab();
  await propose(3); // 11, 12, 13
  lose();
  proposals.installed({ index: 12, term: 4 });
  await settled();
  assert.deepEqual(fates, ["unknown", "unknown", "not done"]);
});

test("a leader that is full says when to come back: by its latest commits, or the age of the oldest", async () => {
  const { core, clock, proposals, fates, errors, propose } = lab();
  const retryAfterMs = (): number | undefined => {
    const error = errors.at(-1);
    assert.ok(error instanceof ResourceExhaustedError);
    return error.retryAfterMs;
  };
  core.full = true;
  await propose(1);
  assert.deepEqual([fates.at(-1), retryAfterMs()], ["busy", 20], "nothing is known yet: the least pause");
  core.full = false;
  for (let i = 0; i < 200; i++) {
    await propose(1);
    clock.advance(160);
    proposals.applied({ index: core.lastIndex, term: 3 });
  }
  core.full = true;
  await propose(1);
  assert.equal(Math.round(retryAfterMs() ?? 0), 160);
  core.full = false;
  await propose(1);
  clock.advance(900);
  core.full = true;
  await propose(1);
  assert.equal(retryAfterMs(), 900, "nothing is committed any more");
  clock.advance(60_000);
  await propose(1);
  assert.equal(retryAfterMs(), 5_000, "at most");
});

test("more than 16384 proposers at a time are refused", async () => {
  const { core, proposals, propose } = lab();
  await propose(16_384);
  await assert.rejects(proposals.propose(Buffer.from("x"), undefined), ResourceExhaustedError);
  proposals.applied({ index: 11, term: core.term });
  await propose(1);
  assert.equal(proposals.waiting, 16_384);
});
