import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceState, stackState } from "./stack-fixtures.js";
import { PlainStackView, TerminalStackView } from "./stack-progress.js";

const WAITING = stackState({
  Phase: "applying",
  EndedAt: "",
  Services: [
    serviceState("db", { State: "applied", Running: 0, Desired: 1 }),
    serviceState("web", { State: "waiting", Message: "waits until db is healthy", Running: 0 }),
  ],
});
const TROUBLE = stackState({
  Phase: "applying",
  Services: [
    serviceState("db", { State: "reached", Running: 1, Desired: 1 }),
    serviceState("web", {
      State: "applied",
      Running: 1,
      Trouble: "no suitable node (port 80 is taken on 3 nodes)",
    }),
  ],
});

test("in a pipe each change of a service is one line, and what stays is silent", () => {
  const out: string[] = [];
  const view = new PlainStackView((text) => out.push(text));
  view.show(WAITING);
  view.show(WAITING);
  view.show(TROUBLE);
  view.end();
  assert.deepEqual(out, [
    "db: 0/1 running\n",
    "web: waits until db is healthy\n",
    "db: 1/1 running\n",
    "web: 1/2 running: no suitable node (port 80 is taken on 3 nodes)\n",
  ]);
});

test("in a pipe it is no news which task has a trouble, nor that one waits for its predecessor to end", () => {
  const out: string[] = [];
  const view = new PlainStackView((text) => out.push(text));
  for (const Trouble of [
    "shop_web.1: waits for the task before it on host1 (and 2 more)",
    "shop_web.1: exit code 1",
    "shop_web.2: exit code 1 (and 1 more)",
  ])
    view.show({ ...TROUBLE, Services: [serviceState("web", { State: "applied", Running: 0, Trouble })] });
  assert.deepEqual(out, ["web: 0/2 running\n", "web: 0/2 running: shop_web.1: exit code 1\n"]);
});

test("in a pipe the way back is told once, with its cause", () => {
  const out: string[] = [];
  const view = new PlainStackView((text) => out.push(text));
  const back = {
    ...TROUBLE,
    Phase: "going back",
    GoingBackTo: 3,
    Failure: "web never ran",
    Services: [],
  } as const;
  view.show(back);
  view.show(back);
  assert.deepEqual(out, ["Stack shop revision 4 failed (web never ran): going back to revision 3\n"]);
});

test("on a terminal there is a line for each service, repainted in place only when something changed", () => {
  const out: string[] = [];
  const view = new TerminalStackView(
    (text) => out.push(text),
    () => ({ columns: 60, rows: 24 }),
  );
  view.show(WAITING);
  view.show(WAITING);
  view.show(TROUBLE);
  assert.deepEqual(out, [
    "\x1b[2KStack shop revision 4: 0 of 2 services ready\n" +
      "\x1b[2K ~ db   0/1 running\n\x1b[2K · web  waits until db is healthy\n\x1b[0J",
    "\x1b[3A\x1b[2KStack shop revision 4: 1 of 2 services ready\n" +
      "\x1b[2K + db   1/1 running\n\x1b[2K ~ web  1/2 running: no suitable node (port 80 is taken on …\n\x1b[0J",
  ]);
});

test("services that do not fit on the screen are counted, those that move stay in sight", () => {
  const out: string[] = [];
  const view = new TerminalStackView(
    (text) => out.push(text),
    () => ({ columns: 80, rows: 8 }),
  );
  const services = Array.from({ length: 9 }, (_, i) => serviceState(`s${i}`, { State: "unchanged" }));
  view.show(
    stackState({
      Phase: "applying",
      Services: [...services, serviceState("last", { State: "failed", Message: "why" })],
    }),
  );
  const lines = (out[0] ?? "")
    .replaceAll(/\x1b\[\w+/g, "")
    .trimEnd()
    .split("\n");
  assert.equal(lines.length, 6);
  assert.equal(lines.at(-2), " ! last  failed: why");
  assert.equal(lines.at(-1), "   and 6 more services");
});

test("what a task says of itself stays one line of the terminal", () => {
  const out: string[] = [];
  const view = new TerminalStackView(
    (text) => out.push(text),
    () => ({ columns: 80, rows: 24 }),
  );
  const Trouble = "first\nsecond\x1b[2J";
  view.show(stackState({ Phase: "applying", Services: [serviceState("db", { State: "applied", Trouble })] }));
  view.show(TROUBLE);
  assert.match(out[0] ?? "", /first second \[2J/);
  assert.match(out[1] ?? "", /^\x1b\[2A/);
});
