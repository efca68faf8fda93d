/**
 * The conformance table as docs/compose.md. Pure. `scripts/write-compose-doc.mjs` writes the file, and
 * conformance.test.ts checks that it is current.
 */
import { CONFORMANCE, EXTRA_KEYS, type Fate } from "./conformance.js";

const INTRODUCTION = `# Compose files: what becomes of every key

Made by \`node --import tsx scripts/write-compose-doc.mjs\` from the table in \`cli/compose/conformance*.ts\`, which
a test compares with the published schema of the Compose Specification: do not edit it here. The design is told in
[design/compose.md](design/compose.md).

| word | meaning |
|---|---|
| honoured | it changes what runs; the second column says by which field of the API |
| warned | it has no effect; \`stack deploy\` says so with file, line and the reason, and goes on |
| refused | leaving it out would run something else than asked for: an error with file, line and the reason |

An unknown key is an error with the nearest known one. Keys that begin with \`x-\` are kept and mean nothing.
*Service* is the body of \`POST /services/create\`, *Task* its \`TaskTemplate\`, *Container* its
\`TaskTemplate.ContainerSpec\`, *Host* its \`TaskTemplate.ContainerSpec.HostConfig\`, which Skein adds to Docker's API
(\`proto/host-options-api.ts\`). \`*\` is a name that the file gives, \`[]\` an item of a list.

## Files with a version

A file that says \`version: "3"\` up to \`"3.13"\` means what \`docker stack deploy\` makes of it. What Docker's client
leaves out with a warning is left out with a warning here too, which says what to do: remove \`version\`. Those keys are
marked ¹. Further, in such a file:

- \`restart: "no"\` restarts all the same (say \`deploy.restart_policy.condition: none\`); a host address of a
  port counts for nothing; \`ipv4_address\` and \`ipv6_address\` choose nothing.
- The folder of a bind mount must be on the node, unless \`create_host_path\` is true; without a version it is made,
  unless that is false.
- \`depends_on\`, \`tmpfs\` and all keys that Docker's client does not know are honoured as in any other file.
`;

interface Group {
  readonly title: string;
  readonly has: (key: string) => boolean;
}

const startsWith =
  (...prefixes: readonly string[]) =>
  (key: string): boolean =>
    prefixes.some((prefix) => key === prefix || key.startsWith(`${prefix}.`) || key.startsWith(`${prefix}[`));

/** The first group that has a key shows it. */
const GROUPS: readonly Group[] = [
  { title: "Top level", has: (key) => !/[.]/.test(key) || key.startsWith("include") },
  { title: "Services: deploy", has: startsWith("services.*.deploy") },
  { title: "Services: build and develop", has: startsWith("services.*.build", "services.*.develop") },
  {
    title: "Services: networks and ports",
    has: startsWith(
      ...["networks", "network_mode", "ports", "expose", "links", "external_links", "dns", "dns_search"].map(
        (key) => `services.*.${key}`,
      ),
    ),
  },
  {
    title: "Services: volumes, secrets and configs",
    has: startsWith(
      ...["volumes", "volumes_from", "tmpfs", "secrets", "configs"].map((key) => `services.*.${key}`),
    ),
  },
  { title: "Services: all other keys", has: startsWith("services.*") },
  { title: "Networks", has: startsWith("networks") },
  { title: "Volumes", has: startsWith("volumes") },
  { title: "Secrets", has: startsWith("secrets") },
  { title: "Configs", has: startsWith("configs") },
  { title: "Models", has: startsWith("models") },
];

function row(key: string, fate: Fate): string {
  const mark = fate.fate === "honoured" && fate.ignoredWithVersion === true ? " ¹" : "";
  const extra = EXTRA_KEYS.includes(key) ? " ²" : "";
  const words = fate.fate === "honoured" ? fate.where : fate.reason;
  return `| \`${key.replace(/^services\.\*\./, "")}\`${extra} | ${fate.fate}${mark} | ${words} |`;
}

function summary(): string {
  const count = (word: Fate["fate"]): number =>
    Object.values(CONFORMANCE).filter(({ fate }) => fate === word).length;
  return (
    `Of ${Object.keys(CONFORMANCE).length} keys ${count("honoured")} are honoured, ${count("warned")} warned about, ` +
    `${count("refused")} refused.\n`
  );
}

export function conformanceText(): string {
  const shown = new Set<string>();
  const tables = GROUPS.map(({ title, has }) => {
    const rows = Object.entries(CONFORMANCE).filter(([key]) => !shown.has(key) && has(key));
    for (const [key] of rows) shown.add(key);
    const lines = rows.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, fate]) => row(key, fate));
    return `## ${title}\n\n| key | | where it goes, or why not |\n|---|---|---|\n${lines.join("\n")}\n`;
  });
  const notes =
    "¹ Not in a file with a version.\n\n" +
    "² Not in the published schema: a key of version 3 files, of a newer chapter of the specification, " +
    "or of configs alone.\n";
  return [INTRODUCTION, summary(), ...tables, notes].join("\n");
}
