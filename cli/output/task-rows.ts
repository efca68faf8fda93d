/**
 * Tasks as `service ps`, `stack ps` and `node ps` list them. Pure.
 */
import { inner, textOf } from "../context.js";
import type { Column, Row } from "./table.js";
import { capitalized, duration, shortId, stateColour } from "./words.js";

export const TASK_COLUMNS: readonly Column[] = [
  { header: "ID", field: "ID" },
  { header: "NAME", field: "Name" },
  { header: "IMAGE", field: "Image", shrinks: true },
  { header: "NODE", field: "Node" },
  { header: "DESIRED STATE", field: "DesiredState" },
  { header: "CURRENT STATE", field: "CurrentState", colour: stateColour },
  { header: "ERROR", field: "Error", shrinks: true, colour: () => "red" },
  { header: "PORTS", field: "Ports", shrinks: true },
];

export interface TaskRowOptions {
  readonly serviceNames: ReadonlyMap<string, string>;
  readonly nodeNames: ReadonlyMap<string, string>;
  readonly noTrunc: boolean;
  readonly noResolve: boolean;
  readonly nowMs: number;
}

const ERROR_LENGTH_MAX = 40;

const slotKey = (task: Row): string =>
  `${textOf(task["ServiceID"])}.${task["Slot"] === undefined ? textOf(task["NodeID"]) : textOf(task["Slot"])}`;

/** Newest task of each slot first, its history indented below it. */
export function taskRows(tasks: readonly Row[], options: TaskRowOptions): Row[] {
  const { serviceNames, nodeNames, noTrunc, noResolve, nowMs } = options;
  const slots = new Map<string, Row[]>();
  const bySlot = (a: Row, b: Row): number => Number(a["Slot"] ?? 0) - Number(b["Slot"] ?? 0);
  const byAge = (a: Row, b: Row): number => textOf(b["CreatedAt"]).localeCompare(textOf(a["CreatedAt"]));
  const byService = (a: Row, b: Row): number =>
    (serviceNames.get(textOf(a["ServiceID"])) ?? "").localeCompare(
      serviceNames.get(textOf(b["ServiceID"])) ?? "",
    );
  for (const task of [...tasks].sort((a, b) => byService(a, b) || bySlot(a, b) || byAge(a, b))) {
    slots.set(slotKey(task), [...(slots.get(slotKey(task)) ?? []), task]);
  }
  return [...slots.values()].flatMap((history) =>
    history.map((task, i) => {
      const id = textOf(task["ID"]);
      const node = textOf(task["NodeID"]);
      const service = textOf(task["ServiceID"]);
      const owner = noResolve ? service : (serviceNames.get(service) ?? service);
      const name = `${owner}.${task["Slot"] === undefined ? node : textOf(task["Slot"])}`;
      const status = inner(task, "Status");
      const age = duration(nowMs - Date.parse(textOf(status["Timestamp"])));
      const error = textOf(status["Err"]) || (status["State"] === "pending" ? textOf(status["Message"]) : "");
      const quoted = error === "" ? "" : JSON.stringify(error);
      const ports = inner(status, "PortStatus")["Ports"];
      return {
        ID: noTrunc ? id : shortId(id),
        Name: i === 0 ? name : ` \\_ ${name}`,
        Image: textOf(inner(task, "Spec", "ContainerSpec")["Image"]).replace(
          /@sha256:.*$/,
          noTrunc ? "$&" : "",
        ),
        Node: noResolve ? node : (nodeNames.get(node) ?? node),
        DesiredState: capitalized(textOf(task["DesiredState"])),
        CurrentState: `${capitalized(textOf(status["State"]))} ${age.toLowerCase()} ago`,
        Error:
          noTrunc || quoted.length <= ERROR_LENGTH_MAX
            ? quoted
            : `${quoted.slice(0, ERROR_LENGTH_MAX - 1)}…"`,
        Ports: (Array.isArray(ports) ? (ports as Row[]) : [])
          .map(
            (port) =>
              `*:${textOf(port["PublishedPort"])}->${textOf(port["TargetPort"])}/${textOf(port["Protocol"])}`,
          )
          .join(","),
      };
    }),
  );
}
