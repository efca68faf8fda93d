import assert from "node:assert/strict";
import { test } from "node:test";
import { compileTemplate } from "./run-template.js";

const VALUE = {
  Id: "abc",
  Name: "web",
  Count: 3,
  Tags: ["a", "b"],
  Spec: { Labels: { z: "1", a: "2" }, Mode: { Replicated: { Replicas: 3 } } },
  Ports: [{ TargetPort: 80 }, { TargetPort: 443 }],
};
const run = (template: string): string => compileTemplate(template)(VALUE);

test("what docker's own documentation shows works", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["{{.Name}}", "web"],
    ["{{.ID}}", "abc"],
    ["{{json .}}", JSON.stringify(VALUE)],
    ["{{json .Tags}}", '["a","b"]'],
    ["{{.Spec.Mode.Replicated.Replicas}}", "3"],
    ['{{index .Spec.Labels "z"}}', "1"],
    ["{{index .Tags 1}}", "b"],
    ["{{(index .Ports 1).TargetPort}}", "443"],
    ['{{join .Tags " or "}}', "a or b"],
    ["{{lower .Name}}{{upper .Name}}{{title .Name}}", "webWEBWeb"],
    ['{{split "a,b" ","}}', "[a b]"],
    ["{{range .Tags}}{{println .}}{{end}}", "a\nb\n"],
    ["{{range $i, $t := .Tags}}{{$i}}={{$t}};{{end}}", "0=a;1=b;"],
    ["{{range $k, $v := .Spec.Labels}}{{$k}}:{{$v}} {{end}}", "a:2 z:1 "],
    ["{{range .Missing}}x{{else}}none{{end}}", "none"],
    ['{{.Name | upper | printf "%-5s|"}}', "WEB  |"],
    ['{{printf "%s %d %q %v %05.1f%%" .Name .Count .Id .Tags 2.25}}', 'web 3 "abc" [a b] 002.3%'],
    ["{{.Spec.Labels}}", "map[a:2 z:1]"],
    ["{{pad .Name 1 2}}|{{truncate .Name 2}}", " web  |we"],
    ["{{len .Tags}} {{len .Name}}", "2 3"],
    ["a\\tb\\n", "a\tb\n"],
  ];
  for (const [template, expected] of cases) assert.equal(run(template), expected, template);
});

test("conditions, variables and trim marks are Go's", () => {
  const cases: readonly (readonly [string, string])[] = [
    ['{{if eq .Name "web" "db"}}yes{{else}}no{{end}}', "yes"],
    ["{{if and .Missing .Name}}a{{else if .Count}}b{{else}}c{{end}}", "b"],
    ["{{if not .Missing}}absent{{end}}", "absent"],
    ["{{if or (gt .Count 5) (lt .Count 4)}}in{{end}}", "in"],
    ["{{with .Spec.Mode}}{{.Replicated.Replicas}}{{end}}", "3"],
    ["{{with .Missing}}x{{else}}{{.Name}}{{end}}", "web"],
    ["{{$n := .Name}}{{range .Tags}}{{$n}}{{$.Count}}{{.}} {{end}}", "web3a web3b "],
    ["{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"],
    ["a  {{- .Name -}}  b", "awebb"],
    ["{{/* says nothing */}}{{.Name}}", "web"],
    ['{{range .Tags}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"],
    ['{{range .Tags}}{{if eq . "a"}}{{continue}}{{end}}{{.}}{{end}}', "b"],
    ['{{\'a\'}} {{`raw`}} {{"q\\""}}', '97 raw q"'],
  ];
  for (const [template, expected] of cases) assert.equal(run(template), expected, template);
});

test("what is not understood is refused with the place, and nothing loops", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["{{.Nme}}", /template field \.Nme is unknown; there are \.Id \.Name/],
    ["{{nme .Name}}", /the function nme is unknown; there are json/],
    ["{{.Name", /is not closed by \}\}/],
    ["{{if .Name}}x", /\{\{if \.Name\}\} has no \{\{end\}\}/],
    ["{{end}}", /\{\{end\}\} has no if, with or range/],
    ["{{$x}}", /the variable \$x is unknown/],
    ['{{define "x"}}', /define is not supported/],
    ["{{.Name 1}}", /\.Name is no function/],
    ["{{index .Tags 9}}", /index 9 is out of range: there are 2/],
    ["{{| .Name}}", /is not understood at "\|"/],
    ["{{if true}}".repeat(60), /blocks may be 50 deep/],
    ["{{range 100000}}{{range 100000}}xxxxxxxxxx{{end}}{{end}}", /more than 4194304 characters/],
    [`{{${"(".repeat(100)}.Name`, /is not closed/],
    [`{{${"(".repeat(100)}.Name${")".repeat(100)}}}`, /is not understood/],
  ];
  for (const [template, expected] of cases) assert.throws(() => run(template), expected, template);
});

test("a listing's rows are strict, and have methods", () => {
  const row = { ID: "1", Label: (name: unknown) => `<${String(name)}>` };
  assert.equal(compileTemplate('{{.Label "a.b"}}')(row, { strict: true }), "<a.b>");
  assert.throws(() => compileTemplate("{{if .Nme}}x{{end}}")(row, { strict: true }), /\.Nme is unknown/);
  assert.equal(compileTemplate("{{lower .ID}} {{.Other}}")({ ID: "ID" }, { headers: true }), "ID OTHER");
});
