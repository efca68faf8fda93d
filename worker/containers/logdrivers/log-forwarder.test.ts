/** Lines sent on: formats, receivers that are away, restarts. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { systemClock } from "../../../base/clock/system-clock.js";
import { MemoryLogger } from "../../../base/log/logger.js";
import { fluentdEncoder } from "./fluentd-message.js";
import { gelfEncoder } from "./gelf-message.js";
import { journaldEncoder } from "./journald-message.js";
import { LogForwarder } from "./log-forwarder.js";
import type { LogMessage, LogOrigin } from "./log-message.js";
import { admitLogOptions, logOptionWarnings } from "./log-options.js";
import { parseTag } from "./log-tag.js";
import { openLogSink } from "./net-log-sink.js";
import { syslogEncoder } from "./syslog-message.js";

const ORIGIN: LogOrigin = {
  id: "a".repeat(64),
  name: "web",
  imageId: "sha256:1",
  imageName: "busybox",
  command: "sh",
  createdMs: 0,
  hostname: "host",
  tag: "aaa",
  attributes: { "com.a": "1" },
};
const MESSAGE: LogMessage = {
  stream: "stderr",
  timestamp: "2026-11-01T22:00:59.066641879+00:00",
  text: Buffer.from("low"),
};
const world = { linux: { connectDatagram: () => -1 }, clock: systemClock };
const noTls = { skipVerify: false };

describe("log formats", () => {
  const syslog = (format: string, transport = "tcp"): string =>
    Buffer.concat(
      syslogEncoder(ORIGIN, { facility: "local1", format, transport, pid: 7 })(MESSAGE).map((part) =>
        Buffer.from(part),
      ),
    ).toString();

  it("syslog: RFC 3164 with and without a host, RFC 5424, octet counting on TLS", () => {
    assert.equal(syslog(""), "<139>Nov  1 22:00:59 aaa[7]: low\n");
    assert.equal(syslog("rfc3164"), "<139>Nov  1 22:00:59 host aaa[7]: low\n");
    assert.equal(syslog("rfc5424"), "<139>1 2026-11-01T22:00:59Z host aaa 7 aaa - low\n");
    assert.equal(syslog("rfc5424micro"), "<139>1 2026-11-01T22:00:59.066641Z host aaa 7 aaa - low\n");
    assert.equal(syslog("rfc5424", "tls"), "49 <139>1 2026-11-01T22:00:59Z host aaa 7 aaa - low\n");
  });

  it("GELF: JSON ended by zero on TCP; packed and in chunks on UDP", () => {
    const style = { compression: "gzip", level: 1, newId: () => Buffer.from("12345678") };
    const [tcp] = gelfEncoder(ORIGIN, { ...style, transport: "tcp" })(MESSAGE);
    const text = Buffer.from(tcp ?? []).toString();
    assert.equal(text.at(-1), "\0");
    const fields = JSON.parse(text.slice(0, -1));
    assert.deepEqual(
      [fields.short_message, fields.level, fields.timestamp, fields["_com.a"], fields._container_name],
      ["low", 3, 1793570459.066, "1", "web"],
    );
    const long = {
      ...MESSAGE,
      text: Buffer.from(
        Array.from({ length: 9_000 }, (_, i) => Math.imul(i + 1, 2_654_435_761) >>> 0)
          .map(String)
          .join(""),
      ),
    };
    const chunks = gelfEncoder(ORIGIN, { ...style, transport: "udp" })(long).map((part) => Buffer.from(part));
    assert.ok(chunks.length > 1);
    for (const [index, chunk] of chunks.entries())
      assert.deepEqual(
        [...chunk.subarray(0, 12)],
        [0x1e, 0x0f, ...Buffer.from("12345678"), index, chunks.length],
      );
    const whole = gunzipSync(Buffer.concat(chunks.map((chunk) => chunk.subarray(12))));
    assert.equal(JSON.parse(whole.toString()).short_message, long.text.toString());
  });

  it("Fluentd: an array of tag, time and record", () => {
    const [packed] = fluentdEncoder(ORIGIN, { subSecond: true })(MESSAGE);
    const bytes = Buffer.from(packed ?? []);
    assert.deepEqual([...bytes.subarray(0, 7)], [0x93, 0xa3, 0x61, 0x61, 0x61, 0xd7, 0x00]);
    assert.equal(bytes.readUInt32BE(11), 66_641_879);
    assert.equal(bytes[15], 0x85);
    assert.ok(bytes.includes("source") && bytes.includes("/web"));
  });

  it("journal: plain fields, and lengths for values with newlines", () => {
    const [entry] = journaldEncoder(ORIGIN)({ ...MESSAGE, text: Buffer.from("a\nb") });
    const text = Buffer.from(entry ?? []).toString("latin1");
    assert.ok(text.startsWith("MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=3\n"));
    assert.ok(text.includes("COM_A=1\n") && text.includes("CONTAINER_NAME=web\n"));
  });

  it("tags: places are filled, others refused", () => {
    // only these are read
    const container = { id: "b".repeat(64), name: "n", imageId: "sha256:cc", specification: {} } as never;
    assert.equal(parseTag("x/{{.Name}}/{{ .ID }}")(container), `x/n/${"b".repeat(12)}`);
    assert.throws(() => parseTag("{{.Foo}}"), /can't evaluate field Foo/);
    assert.throws(() => parseTag("{{ join .A }}"), /only places/);
  });

  it("options: what has no effect is said, and what is switched off is not", () => {
    assert.deepEqual(logOptionWarnings({ compress: "true", "max-size": "1m", "cache-disabled": "false" }), [
      "log option compress has no effect: rotated logs are kept as they are",
    ]);
  });

  it("options: what cannot be honoured is refused by name", () => {
    const refused: [string, Record<string, string>, RegExp][] = [
      ["bogus", {}, /error looking up logging plugin bogus: plugin "bogus" not found/],
      ["json-file", { bogus: "1" }, /unknown log opt 'bogus' for json-file log driver/],
      ["none", { a: "b" }, /invalid logging opts for driver none/],
      ["json-file", { mode: "zz" }, /logger: logging mode not supported: zz/],
      ["json-file", { "max-buffer-size": "1m" }, /only supported with 'mode=non-blocking'/],
      ["json-file", { "max-size": "abc" }, /invalid size: 'abc'/],
      ["json-file", { "max-file": "0" }, /max-file cannot be less than 1/],
      ["syslog", { "syslog-address": "foo" }, /syslog-address should be in form proto:\/\/address, got foo/],
      ["syslog", { "syslog-facility": "zz" }, /invalid syslog facility/],
      ["syslog", { "syslog-format": "x" }, /Invalid syslog format/],
      ["gelf", {}, /gelf-address is a required parameter/],
      ["gelf", { "gelf-address": "udp://1.2.3.4" }, /please provide gelf-address as proto:\/\/host:port/],
      ["gelf", { "gelf-address": "tcp://h:1", "gelf-compression-type": "gzip" }, /only supported on UDP/],
      ["fluentd", { "fluentd-address": "foo://x" }, /invalid fluentd-address foo:\/\/x/],
    ];
    for (const [driver, options, words] of refused)
      assert.throws(() => admitLogOptions(driver, options), words);
    admitLogOptions("", {
      "max-size": "10m",
      "max-file": "3",
      compress: "true",
      labels: "a",
      tag: "{{.Name}}",
    });
    admitLogOptions("syslog", {
      "syslog-address": "udp://[::1]:1514",
      mode: "non-blocking",
      "max-buffer-size": "4m",
    });
    admitLogOptions("fluentd", { "fluentd-address": "unix:///run/f", "fluentd-async": "true" });
  });
});

describe("log forwarder", { timeout: 30_000 }, () => {
  let folder: string;
  let ended = false;
  const listeners = new Set<() => void>();
  const sockets = new Set<Socket>();
  let server: Server | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "skf-"));
    ended = false;
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const path = (): string => join(folder, "log");
  const lines = (...texts: string[]): string =>
    texts.map((text) => `2026-11-20T22:00:59.066641879+00:00 stdout F ${text}\n`).join("");
  const forwarder = (port: number): LogForwarder =>
    new LogForwarder({
      source: {
        path: path(),
        ended: () => ended,
        onEnd: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
      positionPath: join(folder, "forwarded"),
      encode: ({ text }) => [Buffer.concat([text, Buffer.from("\n")])],
      sink: openLogSink({ transport: "tcp", host: "127.0.0.1", port }, noTls, world),
      clock: systemClock,
      log: new MemoryLogger(),
    });
  const receiver = async (onText: (text: string) => void, port = 0): Promise<number> => {
    const made = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("data", (data) => onText(data.toString()));
    });
    server = made;
    await new Promise<void>((resolve) => made.listen(port, "127.0.0.1", resolve));
    return (made.address() as AddressInfo).port;
  };
  const end = (): void => {
    ended = true;
    for (const listener of [...listeners]) listener();
  };

  it("sends all to the end, and goes on at its place after a restart", async () => {
    let got = "";
    const port = await receiver((text) => {
      got += text;
    });
    await writeFile(path(), lines("one", "two"));
    const first = forwarder(port);
    await first.open();
    const run = first.run();
    while (!got.includes("two")) await new Promise((resolve) => setTimeout(resolve, 5));
    end();
    await run;
    await appendFile(path(), lines("three"));
    const second = forwarder(port);
    await second.open();
    await second.run();
    while (!got.includes("three")) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(got, "one\ntwo\nthree\n");
  });

  it("a receiver that is away gets everything when it is back", async () => {
    const port = await receiver(() => undefined);
    await new Promise<void>((resolve) => server?.close(() => resolve()));
    await writeFile(path(), lines("kept"));
    const sender = forwarder(port);
    await sender.open();
    const run = sender.run();
    await appendFile(path(), lines("too"));
    let got = "";
    await receiver((text) => {
      got += text;
    }, port);
    while (!got.includes("too")) await new Promise((resolve) => setTimeout(resolve, 5));
    end();
    await run;
    assert.equal(got, "kept\ntoo\n");
  });

  it("the daemon's end does not wait for a receiver that does not read", async () => {
    const port = await receiver(() => undefined);
    server?.on("connection", (socket: Socket) => socket.pause());
    await writeFile(path(), lines("x".repeat(8_000)).repeat(4_000));
    const sender = forwarder(port);
    await sender.open();
    const run = sender.run();
    await new Promise((resolve) => setTimeout(resolve, 300));
    sender.close();
    await run;
  });

  it("packets: each message is one", async () => {
    const socket = createSocket("udp4");
    const got: string[] = [];
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    const both = new Promise<void>((resolve) =>
      socket.on("message", (message) => {
        got.push(message.toString());
        if (got.length === 2) resolve();
      }),
    );
    const { port } = socket.address();
    const sink = openLogSink({ transport: "udp", host: "127.0.0.1", port }, noTls, world);
    await sink.send([Buffer.from("a"), Buffer.from("b")]);
    await both;
    sink.close();
    socket.close();
    assert.deepEqual(got, ["a", "b"]);
  });
});
