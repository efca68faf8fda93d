/**
 * Names and labels of what a stack consists of: STACK_key unless the file gives a name. Pure.
 */
import type { ComposeDoc } from "./model.js";

export const STACK_LABEL = "com.docker.stack.namespace";
export const IMAGE_LABEL = "com.docker.stack.image";

export type NamedKind = "networks" | "volumes" | "secrets" | "configs";

export interface Naming {
  readonly stack: string;
  /** The name in the cluster of what the file calls `key`. */
  nameOf(kind: NamedKind, key: string): string;
  serviceName(key: string): string;
}

export function namingOf(stack: string, project: ComposeDoc): Naming {
  return {
    stack,
    nameOf: (kind, key) => project[kind][key]?.name ?? `${stack}_${key}`,
    serviceName: (key) => `${stack}_${key}`,
  };
}

export function stackLabels(
  stack: string,
  labels: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return { ...labels, [STACK_LABEL]: stack };
}
