import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import { filesOfTask } from "../exec/task-files.js";
import { AwaitedSecrets } from "./awaited-secrets.js";

const TASK = Task.fromPartial({
  id: "t1",
  spec: { container: { secrets: [{ secretId: "db", secretName: "password", version: 1 }] } },
});
const given = (fields: Parameters<typeof Secret.fromPartial>[0]): Secret =>
  Secret.fromPartial({ id: "db@1.t1", driverName: "vault", ...fields });

function world(first?: Secret) {
  const clock = new ManualClock();
  let secret = first;
  const find = (id: string): Secret | undefined => (secret?.id === id ? secret : undefined);
  const awaited = new AwaitedSecrets(clock, { secret: find });
  const stop = new AbortController();
  return {
    clock,
    stop,
    settled: () => awaited.settled(TASK, { signal: stop.signal }),
    tell: (next: Secret) => {
      secret = next;
      awaited.changed();
    },
    files: () =>
      filesOfTask({
        task: TASK,
        node: { id: "n", hostname: "h", os: "linux", architecture: "x86_64" },
        env: [],
        dependencies: { secret: find, config: () => undefined },
      }),
  };
}

test("a task waits for its driver's answer, and has the data as a file", async () => {
  const { settled, tell, files } = world(given({}));
  const waiting = settled();
  tell(given({ annotations: { name: "password" } }));
  tell(given({ data: Buffer.from("s3cret") }));
  await waiting;
  const [file] = files();
  assert.equal(file?.target, "/run/secrets/password");
  assert.equal(Buffer.from(file.data).toString(), "s3cret");
});

test("a refusal is the task's cause, in the driver's words", async () => {
  const { settled, tell, files } = world(given({}));
  const waiting = settled();
  tell(given({ driverRefusal: "secret/db is sealed" }));
  await waiting;
  assert.throws(files, {
    failureCause: "secret-missing",
    message: "secret password is not available: driver vault: secret/db is sealed",
  });
});

test("what is still awaited is no empty file", () => {
  assert.throws(world(given({})).files, { failureCause: "secret-missing" });
});

test("it waits two minutes at the most, and not when it is stopped, or nothing is awaited", async () => {
  const late = world(given({}));
  const waiting = assert.rejects(late.settled(), /driver has not answered in 120 s/);
  late.clock.advance(120_000);
  await waiting;
  const stopped = world(given({}));
  const cancelled = assert.rejects(stopped.settled(), { code: "cancelled" });
  stopped.stop.abort();
  await cancelled;
  await world().settled();
  await world(Secret.fromPartial({ id: "db@1", data: Buffer.from("x") })).settled();
});
