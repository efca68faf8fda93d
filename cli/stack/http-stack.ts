/**
 * What a stack consists of in the cluster, found by its label. Edge: to the API.
 */
import { STACK_LABEL } from "../compose/naming.js";
import { type Context, fetchRows, inner, textOf } from "../context.js";
import type { Row } from "../output/table.js";

export type StackKind = "services" | "networks" | "secrets" | "configs" | "tasks";

export const stackFilter = (stack: string): string => `${STACK_LABEL}=${stack}`;

export function fetchStack(
  context: Context,
  kind: StackKind,
  stack: string,
  query: Record<string, string> = {},
): Promise<Row[]> {
  return fetchRows(context, `/${kind}`, {
    filters: JSON.stringify({ label: [stackFilter(stack)] }),
    ...query,
  });
}

/** Services, secrets and configs have their name in the specification, networks beside it. */
export const nameOf = (object: Row): string => textOf(object["Name"] ?? inner(object, "Spec")["Name"]);
export const idOf = (object: Row): string => textOf(object["ID"] ?? object["Id"]);

export const stackOf = (service: Row): string | undefined => {
  const label = inner(service, "Spec", "Labels")[STACK_LABEL];
  return label === undefined ? undefined : String(label);
};
