import assert from "node:assert/strict";
import { test } from "node:test";
import { sinceParameter } from "./http-logs.js";
import { LogFrameReader } from "./log-frames.js";
import { formatLogLine, type LogLineOptions } from "./service-log-line.js";

function frame(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test("frames come out whole however the stream is cut", () => {
  const bytes = Buffer.concat([frame(1, "one\n"), frame(2, "två\n"), frame(1, "")]);
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new LogFrameReader();
    const frames = [];
    for (let at = 0; at < bytes.length; at += size)
      frames.push(...reader.push(bytes.subarray(at, at + size)));
    assert.deepEqual(
      frames.map(({ stream, data }) => [stream, data.toString()]),
      [
        ["stdout", "one\n"],
        ["stderr", "två\n"],
        ["stdout", ""],
      ],
      `cut into pieces of ${size}`,
    );
  }
});

test("a stream that is not framed is refused", () => {
  assert.throws(() => new LogFrameReader().push(Buffer.from("plain text")), /the log stream is out of step/);
});

const NAMES = {
  tasks: new Map([["taskidtaskid1234", { Slot: 2 }]]),
  serviceNames: new Map([["svc", "web"]]),
  nodeNames: new Map([["node", "host1"]]),
};
const OPTIONS: LogLineOptions = {
  timestamps: false,
  details: false,
  noResolve: false,
  noTaskIds: false,
  noTrunc: false,
  slotWidth: 1,
};
const DETAILS =
  "com.docker.swarm.node.id=node,com.docker.swarm.service.id=svc,com.docker.swarm.task.id=taskidtaskid1234";

test("a line is led by service, slot, task and node", () => {
  const line = (options: Partial<LogLineOptions>): string =>
    formatLogLine(`${DETAILS} a b\n`, NAMES, { ...OPTIONS, ...options });
  assert.equal(line({}), "web.2.taskidtaskid@host1    | a b\n");
  assert.equal(line({ noTaskIds: true, slotWidth: 3 }), "web.2@host1      | a b\n");
  assert.equal(line({ noResolve: true, noTrunc: true }), "svc.2.taskidtaskid1234@node    | a b\n");
});

test("the time stands first, other details before the text", () => {
  const text = `2026-01-01T00:00:00Z ${DETAILS},color=red hello\n`;
  assert.equal(
    formatLogLine(text, NAMES, { ...OPTIONS, timestamps: true, details: true }),
    "2026-01-01T00:00:00Z web.2.taskidtaskid@host1    | color=red hello\n",
  );
});

test("a line without details, such as a warning, stays as it is", () => {
  assert.equal(
    formatLogLine("node host2 is down: its log is missing\n", NAMES, OPTIONS),
    "node host2 is down: its log is missing\n",
  );
});

test("since is a time, seconds, or a duration ago", () => {
  const nowMs = 1_700_000_000_000;
  assert.equal(sinceParameter("1699999999", "--since", nowMs), "1699999999");
  assert.equal(sinceParameter("10m", "--since", nowMs), "1699999400");
  assert.equal(sinceParameter("2023-11-14T22:13:20Z", "--since", nowMs), "1700000000");
  assert.throws(() => sinceParameter("yesterday", "--since", nowMs), /--since must be a time/);
});
