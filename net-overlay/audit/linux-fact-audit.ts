/**
 * Reads the facts of one namespace, compares them with what is wanted, and repairs. Edge: to the kernel by
 * routing sockets and /proc/sys.
 * Invariants: links come first and rules last, each read after what it stands on was repaired; what nobody of
 * us owns is left alone; the event loop is given back between kinds and within long lists.
 */
import { readFileSync } from "node:fs";
import { codeOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { sysctlPath } from "../../base/linux/sysctl-path.js";
import { inSlices } from "../../base/loop/process-slices.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import { RouteSocket } from "../dataplane/linux-route-socket.js";
import type { FactDifference, FoundFact } from "./compare.js";
import { compareFacts, compareSteps } from "./compare.js";
import type { RepairContext } from "./fact-repair.js";
import { repairMessage } from "./fact-repair.js";
import type { Fact, LinkFact, WantedFacts } from "./facts.js";
import type { DumpedKind } from "./kernel-dumps.js";
import { dumpsOf, linkIndexOf, readFact } from "./kernel-dumps.js";

/** Answers taken apart before others have a turn: some milliseconds. */
const SLICE_LENGTH = 1_000;
/** What later kinds stand on comes first. */
const KINDS: readonly DumpedKind[] = ["address", "neighbour", "forwarding", "route", "rule"];

export interface FactAudit {
  readonly differences: readonly FactDifference[];
  /** Of them those that nothing sent to the kernel can mend: links that are gone or of another make. */
  readonly unmended: readonly FactDifference[];
}

export async function auditFacts(
  wanted: WantedFacts,
  options: { linux: Linux; netnsPath: string | undefined },
): Promise<FactAudit> {
  const { linux, netnsPath } = options;
  const socket = new RouteSocket(linux, netnsPath);
  const differences: FactDifference[] = [];
  const unmended: FactDifference[] = [];
  const byKind = new Map<Fact["kind"], Fact[]>();
  for (const fact of wanted.facts) {
    const facts = byKind.get(fact.kind);
    if (facts === undefined) byKind.set(fact.kind, [fact]);
    else facts.push(fact);
  }
  await nextTurn(); // what is wanted was put together just now
  try {
    const links = new Map<number, LinkFact>();
    const readLinks = (): void => {
      links.clear();
      for (const request of dumpsOf("link"))
        for (const payload of socket.request(request)) {
          const fact = readFact("link", payload, () => "")?.fact;
          if (fact?.kind === "link") links.set(linkIndexOf(payload), fact);
        }
    };
    const context: RepairContext = {
      indexOf: (name) => [...links].find(([, link]) => link.name === name)?.[0],
    };
    const settle = (found: readonly FactDifference[]): void => {
      for (const difference of found) {
        differences.push(difference);
        if (!mend(socket, difference, context)) unmended.push(difference);
      }
    };
    readLinks();
    const owned = { facts: byKind.get("link") ?? [], owns: wanted.owns };
    settle(
      compareFacts(
        owned,
        [...links.values()].map((fact) => ({ fact, isOurs: true })),
      ),
    );
    for (const kind of KINDS) {
      await nextTurn();
      const found: FoundFact[] = [];
      for (const request of dumpsOf(kind)) {
        const payloads = socket.request(request);
        for (let at = 0; at < payloads.length; at += 1) {
          if (at > 0 && at % SLICE_LENGTH === 0) await nextTurn();
          const entry = readFact(
            kind,
            payloads[at] ?? new Uint8Array(),
            (index) => links.get(index)?.name ?? "",
          );
          if (entry !== undefined) found.push(entry);
        }
      }
      await nextTurn();
      const asked = { facts: byKind.get(kind) ?? [], owns: wanted.owns };
      settle(await inSlices(compareSteps(asked, found)));
    }
    const settings = (byKind.get("setting") ?? []).filter((fact) => fact.kind === "setting");
    const read = readSettings(
      linux,
      netnsPath,
      settings.map(({ name }) => name),
    );
    for (const difference of compareFacts({ facts: settings, owns: () => false }, read)) {
      differences.push(difference);
      if (difference.problem !== "different" || difference.wanted.kind !== "setting")
        unmended.push(difference);
      else linux.setSysctls(netnsPath, { [difference.wanted.name]: difference.wanted.value });
    }
    return { differences, unmended };
  } finally {
    socket.close();
  }
}

/** @returns false when what it stands on is to be made first. */
function mend(socket: RouteSocket, difference: FactDifference, context: RepairContext): boolean {
  const message = repairMessage(difference, context);
  if (message === undefined) return false;
  try {
    if (difference.problem === "foreign") socket.discard(message);
    else socket.ensure(message);
    return true;
  } catch (error) {
    if (codeOf(error) === "internal") return false; // the kernel refused
    throw error;
  }
}

/** Those whose link is gone are not there. */
function readSettings(linux: Linux, netnsPath: string | undefined, names: readonly string[]): FoundFact[] {
  if (names.length === 0) return [];
  const read = (): FoundFact[] =>
    names.flatMap((name) => {
      const value = readSetting(name);
      return value === undefined ? [] : [{ fact: { kind: "setting", name, value }, isOurs: true }];
    });
  return netnsPath === undefined ? read() : linux.inNetns(netnsPath, read);
}

function readSetting(name: string): string | undefined {
  try {
    return readFileSync(sysctlPath(name), "utf8").trim().replaceAll("\t", " ");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
