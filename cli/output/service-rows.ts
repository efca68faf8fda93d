/**
 * Services as `service ls` and `stack services` list them. Pure.
 */
import { inner, textOf } from "../context.js";
import type { Colour } from "./process-screen.js";
import type { Column, Row } from "./table.js";
import { shortId } from "./words.js";

export const SERVICE_COLUMNS: readonly Column[] = [
  { header: "ID", field: "ID" },
  { header: "NAME", field: "Name" },
  { header: "MODE", field: "Mode" },
  { header: "REPLICAS", field: "Replicas", colour: replicasColour },
  { header: "IMAGE", field: "Image", shrinks: true },
  { header: "PORTS", field: "Ports", shrinks: true },
];

/** "2/3": fewer than wanted is worth a look, none of some is worse. */
function replicasColour(text: string): Colour | undefined {
  const [running = 0, desired = 0] = text.split(/[/ ]/).map(Number);
  if (running >= desired) return undefined;
  return running === 0 ? "red" : "yellow";
}

const MODE_WORDS: Readonly<Record<string, string>> = {
  Replicated: "replicated",
  Global: "global",
  ReplicatedJob: "replicated job",
  GlobalJob: "global job",
};

function replicas(service: Row): string {
  const status = inner(service, "ServiceStatus");
  const spec = inner(service, "Spec");
  const counts = `${textOf(status["RunningTasks"] ?? 0)}/${textOf(status["DesiredTasks"] ?? 0)}`;
  if (inner(spec, "Mode")["ReplicatedJob"] !== undefined) {
    const total = inner(spec, "Mode", "ReplicatedJob")["TotalCompletions"];
    return `${counts} (${textOf(status["CompletedTasks"] ?? 0)}/${textOf(total)} completed)`;
  }
  const max = inner(spec, "TaskTemplate", "Placement")["MaxReplicas"];
  return max === undefined || max === 0 ? counts : `${counts} (max ${textOf(max)} per node)`;
}

export function portsText(ports: unknown): string {
  return (Array.isArray(ports) ? (ports as Row[]) : []) // the API's own list
    .filter((port) => port["PublishMode"] !== "host")
    .map(
      (port) =>
        `*:${textOf(port["PublishedPort"] ?? 0)}->${textOf(port["TargetPort"])}/${textOf(port["Protocol"])}`,
    )
    .join(", ");
}

export function serviceRow(service: Row): Row {
  const spec = inner(service, "Spec");
  const [mode = "Replicated"] = Object.keys(inner(spec, "Mode"));
  const labels = Object.entries(inner(spec, "Labels")).map(([key, value]) => `${key}=${textOf(value)}`);
  return {
    ID: shortId(textOf(service["ID"])),
    Name: spec["Name"],
    Mode: MODE_WORDS[mode] ?? mode,
    Replicas: replicas(service),
    Image: textOf(inner(spec, "TaskTemplate", "ContainerSpec")["Image"]).replace(/@sha256:.*$/, ""),
    Ports: portsText(inner(service, "Endpoint")["Ports"]),
    Labels: labels.join(","),
  };
}
