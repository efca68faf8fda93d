import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock/manual-clock.js";
import { IpcSecretDrivers } from "./ipc-secret-drivers.js";
import type { FromManager } from "./manager-messages.js";

function world() {
  const clock = new ManualClock();
  const told: Extract<FromManager, { kind: "secret-wanted" }>[] = [];
  const drivers = new IpcSecretDrivers((message) => {
    if (message.kind === "secret-wanted") told.push(message);
  }, clock);
  const answer = (question: number, fields: { data?: string; refusal?: string }): void =>
    drivers.answered({ kind: "secret-given", question, data: "", doNotReuse: false, refusal: "", ...fields });
  return { clock, told, drivers, answer };
}

test("each question gets its own answer", async () => {
  const { told, drivers, answer } = world();
  const [first, second] = [drivers.ask("vault", { SecretName: "a" }), drivers.ask("vault", {})];
  assert.deepEqual(told[0], {
    kind: "secret-wanted",
    question: 1,
    driver: "vault",
    request: { SecretName: "a" },
  });
  const refused = assert.rejects(second, /it is sealed/);
  answer(2, { refusal: "it is sealed" });
  answer(1, { data: Buffer.from("s").toString("base64") });
  assert.equal(Buffer.from((await first).data).toString(), "s");
  await refused;
});

test("sixteen questions are under way at a time; who waits too long is told so", async () => {
  const { clock, told, drivers, answer } = world();
  const all = Array.from({ length: 20 }, () =>
    drivers.ask("vault", {}).catch((error: Error) => error.message),
  );
  assert.equal(told.length, 16);
  answer(1, { refusal: "no" });
  const newcomer = assert.rejects(drivers.ask("vault", {}), /no answer in 25 s/);
  assert.equal(told.length, 16, "the place is that of who waits");
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assert.equal(told.length, 17);
  clock.advance(25_000);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assert.equal(told.length, 21);
  clock.advance(25_000);
  const words = await Promise.all(all);
  await newcomer;
  assert.equal(words[0], "no");
  assert.equal(words[19], "no answer in 25 s");
  const late = world();
  for (let i = 0; i < 16; i++) void late.drivers.ask("slow", {}).catch(() => undefined);
  const waiting = assert.rejects(late.drivers.ask("slow", {}), /no answer in 25 s|no turn in 30 s/);
  late.clock.advance(25_000);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  late.clock.advance(25_000);
  await waiting;
});
