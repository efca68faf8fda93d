/** Every field that docker documents for templates of its lists is one of ours. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeDaemon } from "../daemon-fixtures.js";
import { buildProgram } from "../program.js";

const SPEC = { Name: "x", Labels: { a: "b" }, Mode: { Replicated: {} }, TaskTemplate: {} };
const ANSWERS: Readonly<Record<string, unknown>> = {
  "/info": { Swarm: {} },
  "/nodes": [{ ID: "n", Description: {}, Status: {}, Spec: {} }],
  "/services": [{ ID: "s", Spec: SPEC }],
  "/services/s": { ID: "s", Spec: SPEC },
  "/tasks": [{ ID: "t", ServiceID: "s", NodeID: "n", Slot: 1, Status: {}, Spec: {} }],
  "/secrets": [{ ID: "s", Spec: SPEC }],
  "/configs": [{ ID: "c", Spec: SPEC }],
  "/networks": [{ Id: "n", Name: "front", Labels: { a: "b" } }],
  "/images/json": [{ Id: "i", RepoTags: ["a:1"] }],
  "/containers/json": [{ Id: "c", Names: ["/x"], Command: "sh", Labels: { a: "b" } }],
};

const TASK = "ID Name Image Node DesiredState CurrentState Error Ports";
const DOCUMENTED: readonly (readonly [string, string])[] = [
  ["node ls", "ID Self Hostname Status Availability ManagerStatus TLSStatus EngineVersion"],
  ["node ps n", TASK],
  ["service ls", "ID Name Mode Replicas Image Ports"],
  ["service ps s", TASK],
  ["secret ls", "ID Name CreatedAt UpdatedAt Labels Driver"],
  ["config ls", "ID Name CreatedAt UpdatedAt Labels"],
  ["network ls", "ID Name Driver Scope IPv4 IPv6 Internal Labels CreatedAt"],
  ["images", "ID Repository Tag Digest CreatedSince CreatedAt Size"],
  ["ps", "ID Image Command CreatedAt RunningFor Ports State Status Size Names Labels Mounts Networks"],
];

test("templates of lists find every field that docker documents", async () => {
  await using daemon = await FakeDaemon.open(({ path }) => ({ json: ANSWERS[path] ?? [] }));
  for (const [command, fields] of DOCUMENTED) {
    const template = fields
      .split(" ")
      .map((field) => `{{.${field}}}`)
      .join("|");
    for (const format of [template, `table ${template.replaceAll("|", "\\t")}`, "json", "{{json .}}"]) {
      daemon.printed.length = 0;
      const program = await buildProgram(daemon.context, "all");
      await program.parseAsync([...command.split(" "), "--format", format], { from: "user" });
      assert.notEqual(daemon.printed.join(""), "", `${command} ${format}`);
    }
  }
});

test("labels are asked for one by one", async () => {
  await using daemon = await FakeDaemon.open(({ path }) => ({ json: ANSWERS[path] ?? [] }));
  for (const command of ["network ls", "secret ls", "ps"]) {
    daemon.printed.length = 0;
    const program = await buildProgram(daemon.context, "all");
    await program.parseAsync([...command.split(" "), "--format", '{{.Label "a"}}'], { from: "user" });
    assert.deepEqual(daemon.printed, ["b"], command);
  }
});
