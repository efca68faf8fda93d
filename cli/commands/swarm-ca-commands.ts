/**
 * `skein swarm ca`: shows the root CA, or rotates it and tells how far that has come. Edge: to the API and
 * the clock. Waiting may be broken off: the rotation goes on without.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, fetchRow, fetchRows, inner, readInput, textOf } from "../context.js";
import type { Row } from "../output/table.js";
import { addCaFlags, type SpecFlags, specOf } from "../service/swarm-spec.js";

const LOOK_MS = 200;

interface CaFlags extends SpecFlags {
  readonly rotate?: boolean;
  readonly caCert?: string;
  readonly caKey?: string;
  readonly detach?: boolean;
  readonly quiet?: boolean;
}

/** @throws {InvalidArgumentError} as the stock command refuses. */
function check(flags: CaFlags): void {
  if (flags.rotate !== true) {
    for (const [flag, value] of Object.entries({
      "--ca-cert": flags.caCert,
      "--ca-key": flags.caKey,
      "--cert-expiry": flags.certExpiry,
      "--external-ca": flags.externalCa,
    }))
      if (value !== undefined) throw new InvalidArgumentError(`${flag} needs --rotate`);
    return;
  }
  if (flags.externalCa !== undefined && flags.caCert === undefined) {
    throw new InvalidArgumentError(
      "rotating to an external CA needs --ca-cert with its certificate; to add one for the current root, use " +
        "'swarm update --external-ca'",
    );
  }
  if (flags.caKey !== undefined && flags.caCert === undefined)
    throw new InvalidArgumentError("--ca-key needs --ca-cert");
}

async function rotate(context: Context, flags: CaFlags): Promise<void> {
  const swarm = await fetchRow(context, "/swarm");
  const spec = specOf(flags, inner(swarm, "Spec"));
  const before = inner(spec, "CAConfig");
  const given = flags.caCert === undefined ? "" : (await readInput(flags.caCert)).toString("utf8");
  const key = flags.caKey === undefined ? "" : (await readInput(flags.caKey)).toString("utf8");
  const ca = {
    ...before,
    SigningCACert: given,
    SigningCAKey: key,
    ...(given === "" ? { ForceRotate: Number(before["ForceRotate"] ?? 0) + 1 } : {}),
  };
  await context.client().call("POST", "/swarm/update", {
    query: { version: textOf(inner(swarm, "Version")["Index"]) },
    body: { ...spec, CAConfig: ca },
  });
}

const issuerOf = (tls: Row): string => textOf(tls["CertIssuerPublicKey"]);

/** One line per change until every node has a certificate of the new root and trusts it alone. */
async function follow(context: Context, quiet: boolean): Promise<void> {
  let told = "";
  for (;;) {
    const swarm = await fetchRow(context, "/swarm");
    const nodes = await fetchRows(context, "/nodes");
    const goal = inner(swarm, "TLSInfo");
    const tls = (node: Row): Row => inner(node, "Description", "TLSInfo");
    const waiting = nodes.filter((node) => issuerOf(tls(node)) !== issuerOf(goal));
    const trusting = nodes.filter((node) => tls(node)["TrustRoot"] === goal["TrustRoot"]).length;
    const isOver = swarm["RootRotationInProgress"] !== true;
    const names = waiting.map(
      (node) =>
        `${textOf(inner(node, "Description")["Hostname"])} (${textOf(inner(node, "Status")["State"])})`,
    );
    const line =
      `certificates of the new root: ${nodes.length - waiting.length}/${nodes.length} nodes` +
      (isOver ? `; the old root is trusted no more by ${trusting}/${nodes.length}` : "") +
      (names.length === 0 ? "" : `; waiting for ${names.join(", ")}`);
    if (line !== told && !quiet) context.note(line);
    told = line;
    if (isOver && waiting.length === 0 && trusting === nodes.length) return;
    await sleep(LOOK_MS);
  }
}

async function show(context: Context): Promise<void> {
  const root = textOf(inner(await fetchRow(context, "/swarm"), "TLSInfo")["TrustRoot"]);
  if (root === "") throw new InvalidArgumentError("no CA information available");
  context.print(root.trim());
}

export function addSwarmCaCommands(swarm: Command, context: Context): void {
  addCaFlags(swarm.command("ca").description("Show the root CA, or rotate it"))
    .option("--rotate", "to a new root: one that is made, or the given one")
    .option("--ca-cert <file>", "PEM of the root to rotate to; - for standard input")
    .option("--ca-key <file>", "PEM of its key")
    .option("-d, --detach", "do not wait until all nodes have changed over")
    .option("-q, --quiet", "wait without telling how far it is")
    .action(async (flags: CaFlags) => {
      check(flags);
      if (flags.rotate === true) {
        await rotate(context, flags);
        if (flags.detach === true) return;
        await follow(context, flags.quiet === true);
        if (flags.quiet === true) return;
      }
      await show(context);
    });
}
