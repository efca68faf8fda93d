/**
 * A change of an object field by field, and whether running tasks are replaced by it.
 * Pure. Invariants: secrets are told by version alone; every change of an object that stays has a line.
 * Bounds: `FIELDS_MAX` lines an object and `LINES_MAX` in all, a value is cut at 200 characters.
 */
import { inSlices } from "../../../base/loop/process-slices.js";
import { Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import {
  StackCondition,
  type StackDependency,
  type StackFile,
  type StackService,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type { FieldChange, StackChange } from "../../../proto/gen/skein/v1/stacks.js";
import type { ServiceSpec } from "../../../proto/gen/skein/v1/types.js";
import { describeSpecChange } from "../../control/spec-change.js";
import { isDirty } from "../../orchestrator/spec-equality.js";
import { networkChange } from "../deployment/stack-networks.js";
import type { ObjectChange } from "./definition-changes.js";
import { networkSpecFields, type SpecFields, serviceFields } from "./spec-fields.js";

const VALUE_LENGTH_MAX = 200;
const FIELDS_MAX = 100;
const LINES_MAX = 2_000;

/** In slices, between which others are served: a changed service takes half a millisecond. */
export function stackChanges(changes: readonly ObjectChange[]): Promise<readonly StackChange[]> {
  return inSlices(told(changes));
}

function* told(changes: readonly ObjectChange[]): Generator<undefined, readonly StackChange[]> {
  let lines = 0;
  const out: StackChange[] = [];
  for (const change of changes) {
    const whole = stackChange(change);
    const fields = bounded(whole.fields, Math.min(FIELDS_MAX, Math.max(0, LINES_MAX - lines)));
    lines += fields.length;
    out.push({ ...whole, fields });
    yield undefined;
  }
  return out;
}

function stackChange(change: ObjectChange): StackChange {
  const { kind, key, before, after } = change;
  const plain = { kind, key, fields: [], restartsTasks: false, reason: "" };
  if (before === undefined) return { ...plain, action: "add" };
  if (after === undefined) {
    const reason = kind === "service" ? "its tasks end" : "";
    return { ...plain, action: "remove", reason };
  }
  switch (change.kind) {
    case "network":
      return { ...plain, ...changedNetwork(change) };
    case "secret":
    case "config":
      return {
        ...plain,
        action: "change",
        fields: fieldChanges(fileFields(change.before), fileFields(change.after)),
      };
    case "service":
      return { ...plain, ...changedService(change) };
  }
}

type Told = Pick<StackChange, "action" | "fields" | "reason"> & Partial<StackChange>;

function changedNetwork({ before, after }: Extract<ObjectChange, { kind: "network" }>): Told {
  const [old, next] = [before?.spec, after?.spec];
  const fields = fieldChanges(networkSpecFields(old), networkSpecFields(next));
  const isSame = next === undefined || before?.external || after?.external;
  if (isSame || networkChange(old, next) !== "replace") return { action: "change", fields, reason: "" };
  const reason =
    "what changes of it cannot be changed: it is made anew, and its services move to the new one";
  return { action: "replace", fields, reason };
}

function fileFields(file: StackFile | undefined): SpecFields {
  const fields = new Map<string, string>();
  if (file === undefined) return fields;
  if (file.external) fields.set("external", "true");
  fields.set("name", file.annotations?.name ?? "");
  if (file.version > 0) fields.set("data", `version ${file.version}`);
  if (file.driverName !== "") fields.set("driver", file.driverName);
  for (const [option, value] of Object.entries(file.driverOptions))
    fields.set(`driver_opts.${option}`, value);
  if (file.templateDriver !== "") fields.set("template_driver", file.templateDriver);
  for (const [label, value] of Object.entries(file.annotations?.labels ?? {}))
    fields.set(`labels.${label}`, value);
  return fields;
}

function changedService({ before, after }: Extract<ObjectChange, { kind: "service" }>): Told {
  const fields = fieldChanges(fieldsOf(before), fieldsOf(after));
  const [old, next] = [before?.spec, after?.spec];
  if (old === undefined || next === undefined) return { action: "change", fields, reason: "" };
  if (old.mode?.$case !== next.mode?.$case) {
    const reason = "a service cannot change its mode: it is removed, and made anew";
    return { action: "replace", fields, reason, restartsTasks: true };
  }
  return { action: "change", fields, ...restartOf(old, next) };
}

function fieldsOf(service: StackService | undefined): SpecFields {
  if (service?.spec === undefined) return new Map();
  const fields = new Map(serviceFields(service.spec));
  for (const dependency of service.dependsOn) {
    fields.set(`depends_on.${dependency.service}`, dependencyText(dependency));
  }
  return fields;
}

function dependencyText({ condition, optional, restart }: StackDependency): string {
  const words: Readonly<Record<string, string>> = {
    [StackCondition.HEALTHY]: "healthy",
    [StackCondition.COMPLETED]: "completed",
  };
  return [
    words[condition] ?? "started",
    ...(optional ? ["optional"] : []),
    ...(restart ? ["restart"] : []),
  ].join(", ");
}

/** By the orchestrator's own rule, of a task that is as the old specification has it. */
export function restartOf(
  before: ServiceSpec,
  after: ServiceSpec,
): Pick<StackChange, "restartsTasks" | "reason"> {
  const isJob = after.mode?.$case === "replicatedJob" || after.mode?.$case === "globalJob";
  const task = Task.fromPartial({ endpoint: before.endpoint === undefined ? {} : { spec: before.endpoint } });
  const asBefore = { ...task, spec: before.task, gatewayAddress: "any" };
  const service = { ...Service.fromPartial({}), spec: withConstraintsOf(before, after) };
  if (!isDirty(asBefore, service, undefined)) {
    const moves = describeSpecChange(before, after).split(", ").includes("constraints");
    return {
      restartsTasks: false,
      reason: moves ? "tasks on nodes that do not meet the constraints are replaced" : "",
    };
  }
  const words = describeSpecChange(before, { ...before, task: after.task }) || "published ports";
  return {
    restartsTasks: true,
    reason: isJob ? `the job runs again: ${words}` : `tasks are replaced: ${words}`,
  };
}

/** What the constraints do depends on where a task runs. */
function withConstraintsOf(before: ServiceSpec, after: ServiceSpec): ServiceSpec {
  const constraints = before.task?.placement?.constraints ?? [];
  const placement = after.task?.placement ?? before.task?.placement;
  if (after.task === undefined || placement === undefined) return after;
  const own = after.task.placement ?? { ...placement, platforms: [], spreadPreferences: [], maxReplicas: 0 };
  return { ...after, task: { ...after.task, placement: { ...own, constraints } } };
}

function fieldChanges(before: SpecFields, after: SpecFields): readonly FieldChange[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort(byPath);
  const changes = paths.flatMap((path) => {
    const [old = "", next = ""] = [before.get(path), after.get(path)];
    return old === next ? [] : [{ path, ...apart(old, next) }];
  });
  return changes.length > 0 ? changes : [{ path: "other settings", before: "", after: "" }];
}

/** The image first, then in order of the alphabet. */
function byPath(a: string, b: string): number {
  const rank = (path: string): number => (path === "image" ? 0 : 1);
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

/** Cut so that what differs is seen. */
function apart(before: string, after: string): Pick<FieldChange, "before" | "after"> {
  let same = 0;
  if (before.length > VALUE_LENGTH_MAX || after.length > VALUE_LENGTH_MAX) {
    while (same < before.length && before[same] === after[same]) same += 1;
  }
  const from = same > VALUE_LENGTH_MAX / 2 ? same - VALUE_LENGTH_MAX / 4 : 0;
  return { before: cut(before, from), after: cut(after, from) };
}

function cut(text: string, from: number): string {
  const start = from > 0 && text !== "" ? `…${text.slice(from)}` : text;
  return start.length <= VALUE_LENGTH_MAX ? start : `${start.slice(0, VALUE_LENGTH_MAX - 1)}…`;
}

function bounded(fields: readonly FieldChange[], max: number): readonly FieldChange[] {
  if (fields.length <= max) return fields;
  const more = fields.length - Math.max(0, max - 1);
  return [...fields.slice(0, Math.max(0, max - 1)), { path: "…", before: "", after: `and ${more} more` }];
}
