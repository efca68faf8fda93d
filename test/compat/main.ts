/**
 * npm run compat [-- PATTERN]: the stock docker CLI and plain API calls against skeind and against Debian's
 * dockerd, answers compared. Edge: to the lab and the process.
 * Ends with totals; exit code 1 when a difference is not explained (explained.ts, docs/compat.md).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DockerdPeer, dockerdMissing } from "../support/dockerd-peer.js";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";
import { attempt } from "../support/lab/shell.js";
import { compareStep, type StepOutput } from "./compare.js";
import { type CompatCase, parseCases } from "./compat-case.js";
import { openRegistries, type Registries } from "./registries.js";
import { type Daemon, runCase } from "./run-case.js";

const CASES = new URL(
  import.meta.url.includes("/dist/") ? "../../../test/compat/cases/" : "./cases/",
  import.meta.url,
);
const FILES = [
  ...["system", "system-lists", "image", "image-options", "registry"],
  ...["container", "container-options", "container-more", "exec", "exec-more"],
  ...["volume", "network", "network-options", "builder"],
];
const ALL: readonly CompatCase[] = FILES.flatMap((name) =>
  parseCases(readFileSync(new URL(`${name}.txt`, CASES), "utf8")),
);

async function loadBox(daemon: Daemon, tar: string): Promise<string> {
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}` };
  const loaded = await attempt("docker", ["load", "-i", tar], { env });
  if (loaded.code !== 0) throw new Error(`loading the image failed: ${loaded.stderr}`);
  const { stdout } = await attempt("docker", ["image", "inspect", "-f", "{{.Id}}", "box:latest"], { env });
  return stdout.trim();
}

/** Both sides dockerd: what differs then is noise that the comparison has to take out. */
const SELF = process.argv.includes("--self");

/** Docker's answers are printed as well. */
const ANSWERS = process.argv.includes("--answers");

/** Differences that are explained are printed, too, each with its reason. */
const EXPLAINED_TOO = process.argv.includes("--explained");

function printAnswer(command: string, output: StepOutput | undefined): void {
  console.log(`$ ${command}\n${output?.stdout ?? ""}${output?.stderr ?? ""}[${output?.code ?? "?"}]`);
}

async function main(pattern: RegExp): Promise<boolean> {
  const lab = await Lab.open({ hosts: 1, clients: 0 });
  let peer: DockerdPeer | undefined;
  let twin: DockerdPeer | undefined;
  let registries: Registries | undefined;
  const totals = { cases: 0, steps: 0, compared: 0, explained: 0, unexplained: 0 };
  try {
    const host = lab.host(1);
    const netns = `${lab.prefix}-d1`;
    const [opened] = await Promise.all([
      DockerdPeer.open({ dir: join(lab.dir, "dockerd"), netns }),
      SELF ? undefined : host.start(),
    ]);
    peer = opened;
    if (SELF) {
      twin = await DockerdPeer.open({ dir: join(lab.dir, "h1", "twin"), netns: `${lab.prefix}-d2` });
    }
    const skein: Daemon = {
      socketPath: twin?.socketPath ?? host.socketPath,
      netns: twin === undefined ? host.netns : `${lab.prefix}-d2`,
    };
    const docker: Daemon = { socketPath: peer.socketPath, netns };
    registries = await openRegistries(lab.dir, [docker.netns, skein.netns]);
    const tar = join(lab.dir, "box.tar");
    writeFileSync(
      tar,
      await busyboxImage({ tags: ["box:latest"], cmd: ["sh"], files: { "etc/motto": "a motto\n" } }),
    );
    const boxIds = [await loadBox(docker, tar), await loadBox(skein, tar)] as const;
    for (const compatCase of ALL.filter(({ name }) => pattern.test(name))) {
      totals.cases += 1;
      const [ofDocker, ofSkein] = await Promise.all([
        runCase(compatCase, docker, { id: boxIds[0], tar }),
        runCase(compatCase, skein, { id: boxIds[1], tar }),
      ]);
      compatCase.steps.forEach((step, i) => {
        if (ANSWERS) printAnswer(step.command, ofDocker[i]);
        totals.steps += 1;
        const [a, b] = [ofDocker[i], ofSkein[i]];
        if (step.kind === "preparing" || a === undefined || b === undefined) return;
        totals.compared += 1;
        const differences = compareStep(step, a, b);
        const open = differences.filter(({ explanation }) => explanation === undefined);
        totals.explained += differences.length - open.length;
        totals.unexplained += open.length;
        const shown = EXPLAINED_TOO ? differences : open;
        if (shown.length === 0) return;
        console.log(`\n[${compatCase.name}] ${step.command}`);
        for (const { text, explanation } of shown)
          console.log(`  ${text}${explanation === undefined ? "" : ` (${explanation.reason})`}`);
      });
    }
  } finally {
    await Promise.all([peer?.close(), twin?.close(), registries?.close()]);
    const left = await lab.close();
    if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
  }
  console.log(
    `\n${totals.cases} cases, ${totals.steps} commands, ${totals.compared} compared: ` +
      `${totals.explained} explained differences, ${totals.unexplained} unexplained`,
  );
  return totals.unexplained === 0;
}

// What was made is swept at the exit of the process: an interruption has to be one.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const missing = dockerdMissing();
if (missing !== undefined) {
  console.error(`compat: ${missing}`);
  process.exit(2);
}
process.exit(
  (await main(new RegExp(process.argv.slice(2).find((word) => !word.startsWith("--")) ?? ""))) ? 0 : 1,
);
