import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { FakeDaemon, type SeenRequest } from "../daemon-fixtures.js";
import { completionLines } from "./http-complete.js";
import { SHELL_SCRIPTS } from "./shell-scripts.js";

const SOURCE = import.meta.url.endsWith(".ts");
const MAIN = fileURLToPath(new URL(SOURCE ? "../main.ts" : "../main.js", import.meta.url));
const LOADER = SOURCE ? ["--import", fileURLToPath(import.meta.resolve("tsx"))] : [];

const OBJECTS: Readonly<Record<string, readonly object[]>> = {
  "/services": [
    { Spec: { Name: "web", Labels: { "com.docker.stack.namespace": "shop" } } },
    { Spec: { Name: "worker" } },
  ],
  "/nodes": [{ Description: { Hostname: "host1" } }],
  "/networks": [{ Name: "front" }, { Name: "f$(reboot)" }, { Name: "f\nx" }],
  "/secrets": Array.from({ length: 600 }, (_, i) => ({ Spec: { Name: `key${i}` } })),
  "/images/json": [{ RepoTags: ["reg:5000/web:1", "<none>:<none>"] }],
  "/containers/json": [{ Names: ["/web.1"] }],
};
const answer = ({ path }: SeenRequest): { json: unknown } => ({ json: OBJECTS[path] ?? [] });

/** A busy machine must not take names away. */
const PATIENCE_MS = "30000";

async function complete(daemon: FakeDaemon, ...words: string[]): Promise<string[]> {
  const lines = await completionLines(words, {
    SKEIN_HOST: daemon.host,
    SKEIN_CONFIG: "/nowhere",
    SKEIN_COMPLETION_TIMEOUT_MS: PATIENCE_MS,
  });
  return lines.map((line) => line.split("\t")[0] ?? "");
}

test("commands, flags, words of flags and names of objects are found", async () => {
  await using daemon = await FakeDaemon.open(answer);
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["ser", ["service", ":"]],
    ["service r", ["rollback", "rm", ":"]],
    ["service ls --f", ["--filter", "--format", ":"]],
    ["service ls --filter na", ["name=", ":nospace"]],
    ["service create --mode gl", ["global", "global-job", ":"]],
    ["service create --mode=gl", ["--mode=global", "--mode=global-job", ":"]],
    ["service create --network f", ["front", ":"]],
    ["service create --network=f", ["--network=front", ":"]],
    ["service create --replicas 2 re", ["reg:5000/web:1", ":"]],
    ["service create nginx --mo", [":"]],
    ["service update w", ["web", "worker", ":"]],
    ["service ps web wo", ["worker", ":"]],
    ["service inspect -f {{.ID}} w", ["web", "worker", ":"]],
    ["service scale w", ["web=", "worker=", ":nospace"]],
    ["service rollback web ", [":"]],
    ["node update --availability dr", ["drain", ":"]],
    ["node ps h", ["host1", ":"]],
    ["secret inspect key599", ["key599", ":"]],
    ["stack ps s", ["shop", ":"]],
    ["swarm join-token m", ["manager", ":"]],
    ["logs w", ["web.1", ":"]],
    ["network connect front w", ["web.1", ":"]],
    ["secret create name ", [":files"]],
    ["--tls service ls -", ["--filter", "--format", "--quiet", "--help", ":"]],
    ["--context d", ["default", ":"]],
    ["nonsense x", [":"]],
  ];
  for (const [line, expected] of cases) {
    const found = await complete(daemon, ...line.split(" "));
    const all = line.endsWith("-") ? found.sort() : found;
    assert.deepEqual(all, line.endsWith("-") ? [...expected].sort() : expected, line);
  }
});

test("a daemon that does not answer, or is not there, costs half a second and says nothing", async () => {
  await using silent = await FakeDaemon.open(() => undefined);
  const lines = await Promise.all(
    [silent.host, "unix:///nowhere.sock", "nonsense"].map(async (host) => {
      const began = performance.now();
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [
        ...[...LOADER, MAIN, "__complete"],
        ...["--host", host, "service", "ps", ""],
      ]);
      assert.ok(performance.now() - began < 60_000);
      return [stdout, stderr];
    }),
  );
  assert.deepEqual(lines, [
    [":\n", ""],
    [":\n", ""],
    [":\n", ""],
  ]);
});

/** A `skein` in the PATH, as the scripts call it. */
class Installed implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "skein-complete-"));
  readonly env: Readonly<Record<string, string | undefined>>;

  constructor(host: string) {
    const call = [process.execPath, ...LOADER, MAIN].join(" ");
    writeFileSync(join(this.folder, "skein"), `#!/bin/sh\nexec ${call} "$@"\n`, { mode: 0o755 });
    for (const [shell, script] of Object.entries(SHELL_SCRIPTS))
      writeFileSync(join(this.folder, `skein.${shell}`), script);
    this.env = {
      ...process.env,
      PATH: `${this.folder}:${process.env["PATH"]}`,
      SKEIN_HOST: host,
      SKEIN_COMPLETION_TIMEOUT_MS: PATIENCE_MS,
    };
  }

  async run(shell: string, script: string): Promise<string> {
    const { stdout } = await promisify(execFile)(shell, ["-c", script], { env: this.env, cwd: this.folder });
    return stdout.trim();
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

test("bash completes what it has cut at = and :, and leaves files to itself", async () => {
  await using daemon = await FakeDaemon.open(answer);
  using installed = new Installed(daemon.host);
  const bash = (words: string): Promise<string> =>
    installed.run(
      "bash",
      `source ./skein.bash; COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _skein
      echo "\${COMPREPLY[@]}"`,
    );
  assert.equal(await bash("skein service ro"), "rollback");
  assert.equal(await bash("skein service create --network = fr"), "front");
  assert.equal(await bash("skein service create --network ="), "front");
  assert.equal(await bash("skein rmi reg : 50"), "5000/web:1");
  assert.equal(await bash("skein -H unix : ///nowhere.sock service ps w"), "");
  assert.equal(await bash("skein secret create name ''"), "");
  assert.match(await installed.run("bash", "source ./skein.bash; complete -p skein"), /-F _skein skein/);
});

const isThere = (shell: string): boolean =>
  (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, shell)));

test("zsh and fish take their scripts, where they are installed", async () => {
  await using daemon = await FakeDaemon.open(answer);
  using installed = new Installed(daemon.host);
  if (isThere("fish")) {
    const script = "source ./skein.fish; complete -C 'skein service up'";
    assert.match(await installed.run("fish", script), /^update\tChange a service/);
  }
  if (isThere("zsh")) {
    // _describe is zsh's own: what it is given is looked at
    const script = `compdef() { : }; source ./skein.zsh
      _describe() { print -l -- "\${(@P)4}" }; words=(skein service ro); CURRENT=3; _skein`;
    assert.match(await installed.run("zsh", script), /^rollback:Go back/);
  }
  for (const script of Object.values(SHELL_SCRIPTS)) assert.match(script, /__complete/);
});
