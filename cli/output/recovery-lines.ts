/**
 * The account of a forced new cluster, for the operator. Pure.
 */
import { textOf } from "../context.js";
import type { Row } from "./table.js";

/** @param account what /skein/v1/swarm/recovery answers. */
export function recoveryLines(account: Row): string[] {
  const dropped = Array.isArray(account["Dropped"]) ? (account["Dropped"] as Row[]) : []; // our own API's
  const words = Array.isArray(account["Missing"]) ? account["Missing"].map(textOf) : [];
  return [
    `Swarm recovered: node ${textOf(account["NodeID"])} is its only manager now, at ${textOf(account["Addr"])}.`,
    "",
    `Kept     up to entry ${textOf(account["LastIndex"])} of term ${textOf(account["LastTerm"])}; ` +
      `known to be committed: ${textOf(account["CommitIndex"])}`,
    ...(dropped.length === 0
      ? ["Dropped  no manager"]
      : dropped.map(
          (each, at) =>
            `${at === 0 ? "Dropped" : "       "}  ${textOf(each["NodeID"])}  ${textOf(each["Hostname"]) || "?"}  ` +
            textOf(each["Addr"]),
        )),
    "",
    ...words.map((sentence) => `- ${sentence}`),
    "",
    "Services, nodes and tasks stay. See them with 'skein node ls'; add managers with 'skein node promote' or " +
      "'skein swarm join-token manager'.",
  ];
}
