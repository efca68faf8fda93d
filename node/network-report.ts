/**
 * A node's network in the words of the API. Pure over the network plane.
 * Invariant: what is wrong now stands apart from what was wrong and is repaired.
 */
import type { AuditCounts } from "../api/convert/audit-metrics-text.js";
import type { NodeNetworkReport, PairState } from "../api/net/node-network-report.js";
import { differenceText } from "../net-overlay/audit/compare.js";
import type { EncryptedPair, NetworkPlane, PathReport } from "../net-overlay/network-plane.js";

/** @returns undefined where there is no network to look at. */
export async function networkReport(
  network: NetworkPlane,
  node: { readonly nodeId: string; readonly hostname: string },
): Promise<NodeNetworkReport | undefined> {
  const inspection = await network.inspect?.();
  if (inspection === undefined) return undefined;
  const { report, appliedRevision, toldRevision, digests } = inspection;
  const paths = network.paths();
  const ofPaths = new Set(paths.flatMap(({ trouble }) => trouble.split("; ")));
  const troubles = network.trouble.split("; ").filter((words) => !ofPaths.has(words) && words !== "");
  return {
    ...node,
    ...{ appliedRevision, toldRevision, digests },
    wrong: [...report.standing.map(differenceText), ...troubles],
    repaired: report.recent.map(differenceText),
    differences: report.differencesByKind,
    pairs: [...network.encryptedPairs().map(encryptionState), ...paths.map(pathState)],
  };
}

function pathState({ hostname, address, mtuBytes, trouble, isUsable }: PathReport): PairState {
  const measured = mtuBytes === 0 ? "not measured yet" : `packets of ${mtuBytes} bytes pass`;
  return { kind: "path", with: hostname || address, isGood: isUsable, state: trouble || measured };
}

/** @returns undefined where there is no network to look at. */
export function networkAudits(network: NetworkPlane): AuditCounts | undefined {
  const report = network.audits?.();
  if (report === undefined) return undefined;
  const { audits, differencesByKind, standing } = report;
  return { audits, differencesByKind, standing: standing.length };
}

function encryptionState({ nodeId, hostname, handshakeAgeMs, generation, stale }: EncryptedPair): PairState {
  const age =
    handshakeAgeMs === undefined
      ? "no handshake yet"
      : `handshake ${Math.round(handshakeAgeMs / 1_000)} s ago`;
  return {
    kind: "encryption",
    with: hostname || nodeId,
    isGood: !stale,
    state: `${age}, key generation ${generation}${stale ? ", what is sent is not answered" : ""}`,
  };
}
