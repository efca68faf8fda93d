import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceRow } from "./service-rows.js";
import { applyTemplate, renderList, table } from "./table.js";
import { taskRows } from "./task-rows.js";
import { duration, size } from "./words.js";

const COLUMNS = [
  { header: "ID", field: "ID" },
  { header: "NAME", field: "Name" },
];
const ROWS = [
  { ID: "1", Name: "web", Labels: { a: "b" } },
  { ID: "22", Name: "", Labels: {} },
];

test("a table pads all columns but the last", () => {
  assert.equal(table(COLUMNS, ROWS), "ID   NAME\n1    web\n22");
});

test("a listing takes every form of --format", () => {
  const list = (format: string | undefined, quiet = false): string =>
    renderList(COLUMNS, ROWS, { format, quiet, idField: "ID" });
  assert.equal(list(undefined, true), "1\n22");
  assert.equal(list("{{.Name}}:{{.ID}}"), "web:1\n:22");
  assert.equal(list("table {{.Name}}\t{{.ID}}"), "NAME   ID\nweb    1\n       22");
  assert.equal(list("json").split("\n")[0], '{"ID":"1","Name":"web","Labels":{"a":"b"}}');
});

test("a listing's template is strict, knows labels, and has headers that functions leave alone", () => {
  const rows = [{ ID: "1", Name: "web", Labels: "a.b=c,d=e" }];
  const list = (format: string): string => renderList(COLUMNS, rows, { format, idField: "ID" });
  assert.equal(list('{{.Label "a.b"}}{{.Label "x"}}'), "c");
  assert.equal(list('table {{upper .Name}}\t{{.Label "a.b"}}'), "NAME   B\nWEB    c");
  assert.throws(() => list("{{if .Nme}}x{{end}}"), /\.Nme is unknown; there are \.ID \.Name/);
  assert.throws(() => renderList(COLUMNS, [], { format: "{{.ID", idField: "ID" }), /is not closed/);
});

test("a narrow terminal cuts the columns that can do without, and colours are for terminals", () => {
  const columns = [
    { header: "ID", field: "ID" },
    { header: "ERROR", field: "Error", shrinks: true, colour: () => "red" as const },
    { header: "STATE", field: "State" },
  ];
  const rows = [{ ID: "abcdef", Error: "x".repeat(60), State: "failed" }];
  const screen = { terminal: true, colours: true, columns: () => 40 };
  const lines = table(columns, rows, screen).split("\n");
  assert.equal(lines[1], `abcdef   \x1b[31m${"x".repeat(21)}…\x1b[0m   failed`);
  assert.equal(lines[0]?.length, 39);
  assert.equal(table(columns, rows).split("\n")[1], `abcdef   ${"x".repeat(60)}   failed`);
});

test("templates look up fields, json and indexes, and refuse the rest", () => {
  assert.equal(
    applyTemplate('{{json .Labels}} {{index .Labels "a"}} {{.Labels.a}}', ROWS[0]),
    '{"a":"b"} b b',
  );
  assert.throws(
    () => applyTemplate("{{.Nme}}", ROWS[0]),
    /template field \.Nme is unknown; there are \.ID \.Name \.Labels/,
  );
  assert.throws(() => applyTemplate("{{range .X}}", ROWS[0]), /has no \{\{end\}\}/);
});

test("a service's row counts tasks and names ports", () => {
  const row = serviceRow({
    ID: "abcdefghijklmnop",
    Spec: {
      Name: "web",
      Mode: { Replicated: { Replicas: 3 } },
      TaskTemplate: { ContainerSpec: { Image: "nginx:1@sha256:00" }, Placement: { MaxReplicas: 2 } },
    },
    Endpoint: { Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" }] },
    ServiceStatus: { RunningTasks: 2, DesiredTasks: 3 },
  });
  assert.deepEqual(row, {
    ID: "abcdefghijkl",
    Name: "web",
    Mode: "replicated",
    Replicas: "2/3 (max 2 per node)",
    Image: "nginx:1",
    Ports: "*:8080->80/tcp",
    Labels: "",
  });
});

test("a slot's newest task stands first, with why the others failed below", () => {
  const task = (id: string, createdAt: string, state: string, err = ""): Record<string, unknown> => ({
    ID: id,
    ServiceID: "s",
    Slot: 1,
    NodeID: "n",
    CreatedAt: createdAt,
    DesiredState: "running",
    Status: { State: state, Timestamp: "2026-01-01T00:00:00Z", Err: err },
    Spec: { ContainerSpec: { Image: "i" } },
  });
  const rows = taskRows(
    [task("old", "2026-01-01T00:00:00Z", "failed", "exit 1"), task("new", "2026-01-01T00:00:05Z", "running")],
    {
      serviceNames: new Map([["s", "web"]]),
      nodeNames: new Map([["n", "host1"]]),
      noTrunc: false,
      noResolve: false,
      nowMs: Date.parse("2026-01-01T00:03:00Z"),
    },
  );
  assert.deepEqual(
    rows.map((row) => [row["ID"], row["Name"], row["Node"], row["CurrentState"], row["Error"]]),
    [
      ["new", "web.1", "host1", "Running 3 minutes ago", ""],
      ["old", " \\_ web.1", "host1", "Failed 3 minutes ago", '"exit 1"'],
    ],
  );
});

test("ages and sizes are coarse, as Docker prints them", () => {
  assert.deepEqual([0, 1000, 59_000, 61_000, 3_600_000, 86_400_000 * 3].map(duration), [
    "Less than a second",
    "1 second",
    "59 seconds",
    "About a minute",
    "About an hour",
    "3 days",
  ]);
  assert.deepEqual([12, 1_980_000, 25_300_000_000].map(size), ["12B", "1.98MB", "25.3GB"]);
});
