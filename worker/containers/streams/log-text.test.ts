/** Logs as clients read them: framing, times, cuts; and rubbish, which must neither crash nor leak. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { holds } from "../../../test/fuzz/holds.js";
import { LogText, type LogTextStyle } from "./log-text.js";
import { nanosecondsOf, utcText } from "./log-time.js";

const STYLE: LogTextStyle = {
  framed: false,
  stdout: true,
  stderr: true,
  timestamps: false,
  details: undefined,
  sinceNs: 0n,
  untilNs: 0n,
};
const T1 = "2026-11-20T22:00:01.000000001+00:00";
const T2 = "2026-11-20T23:00:02.000000002+01:00";

function render(style: Partial<LogTextStyle>, text: string, joined = false): string {
  return new LogText({ ...STYLE, ...style })
    .render(Buffer.from(text, "latin1"), { joined })
    .toString("latin1");
}

test("pieces join without anything between; prefixes stand at the beginnings of lines", () => {
  const log = `${T1} stdout P he\n${T1} stderr F low\n${T2} stdout F llo\n${T2} stdout F \n`;
  assert.equal(render({}, log), "helow\nllo\n\n");
  assert.equal(render({ stderr: false }, log), "hello\n\n");
  assert.equal(
    render({ stderr: false, timestamps: true, details: "a=1" }, log),
    "2026-11-20T22:00:01.000000001Z a=1 hello\n2026-11-20T22:00:02.000000002Z a=1 \n",
  );
});

test("each line is a frame; joined, lines of one stream share one", () => {
  const log = `${T1} stdout F a\n${T1} stdout F b\n${T1} stderr F c\n`;
  assert.equal(
    render({ framed: true }, log),
    "\x01\0\0\0\0\0\0\x02a\n\x01\0\0\0\0\0\0\x02b\n\x02\0\0\0\0\0\0\x02c\n",
  );
  assert.equal(render({ framed: true }, log, true), "\x01\0\0\0\0\0\0\x04a\nb\n\x02\0\0\0\0\0\0\x02c\n");
});

test("since and until cut by the nanosecond, whatever the zone", () => {
  const log = `${T1} stdout F a\n${T2} stdout F b\n`;
  const [first, second] = [nanosecondsOf(T1) ?? 0n, nanosecondsOf(T2) ?? 0n];
  assert.equal(second - first, 1_000_000_001n);
  assert.equal(render({ sinceNs: second }, log), "b\n");
  assert.equal(render({ sinceNs: second + 1n }, log), "");
  const until = new LogText({ ...STYLE, untilNs: first });
  assert.equal(until.render(Buffer.from(log)).toString(), "a\n");
  assert.equal(until.finished, true);
  assert.equal(utcText("2026-11-20T22:00:59Z"), "2026-11-20T22:00:59.000000000Z");
});

test("fuzz: rubbish is left out, and what is around it is kept", () => {
  holds(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.boolean(),
      fc.boolean(),
      (bytes, framed, timestamps) => {
        const rubbish = Buffer.from(bytes).toString("latin1").replaceAll("\n", " ");
        const log = `${T1} stdout F before\n${rubbish}\n${T1} stdout F after\n`;
        const text = render({ framed, timestamps, sinceNs: 1n }, log);
        assert.ok(text.includes("before\n") && text.endsWith("after\n"));
      },
    ),
    { numRuns: 2_000 },
  );
});

test("fuzz: every byte of any output comes back, in frames that add up", () => {
  const piece = fc.record({
    stream: fc.constantFrom("stdout", "stderr"),
    tag: fc.constantFrom("F", "P"),
    data: fc.uint8Array({ maxLength: 100 }).map((bytes) => bytes.filter((byte) => byte !== 0x0a)),
  });
  holds(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.boolean(), (pieces, joined) => {
      const log = Buffer.concat(
        pieces.map(({ stream, tag, data }) =>
          Buffer.concat([Buffer.from(`${T1} ${stream} ${tag} `), data, Buffer.from("\n")]),
        ),
      );
      const framed = new LogText({ ...STYLE, framed: true }).render(log, { joined });
      const got = { 1: "", 2: "" };
      for (let at = 0; at < framed.length; ) {
        const length = framed.readUInt32BE(at + 4);
        got[framed[at] as 1 | 2] += framed.toString("latin1", at + 8, at + 8 + length);
        at += 8 + length;
      }
      const wanted = { stdout: "", stderr: "" };
      for (const { stream, tag, data } of pieces)
        wanted[stream as "stdout" | "stderr"] +=
          `${Buffer.from(data).toString("latin1")}${tag === "F" ? "\n" : ""}`;
      assert.deepEqual([got[1], got[2]], [wanted.stdout, wanted.stderr]);
    }),
  );
});
