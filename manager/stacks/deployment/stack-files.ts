/**
 * Secrets and configs of a stack: their labels, and whether the data that a definition asks for is there.
 * New data was stored when the deployment began; nothing asks for it until a service does.
 * Pure over a read of the store.
 */
import type { Config, Secret } from "../../../proto/gen/skein/v1/objects.js";
import type { StackDefinition, StackFile } from "../../../proto/gen/skein/v1/stack_types.js";
import { dataOfVersion } from "../../control/data-versions.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import type { ReadTx } from "../../store/types.js";
import type { FileTable, Step } from "./steps.js";

export function findFile(tx: ReadTx, table: FileTable, name: string): Secret | Config | undefined {
  const named =
    table === "secret" ? tx.list("secret", { by: "name", name }) : tx.list("config", { by: "name", name });
  return named[0];
}

export function filesOf(definition: StackDefinition, table: FileTable): readonly StackFile[] {
  return table === "secret" ? definition.secrets : definition.configs;
}

/** @returns labels to be set; or what is missing. */
export function planFiles(
  definition: StackDefinition,
  tx: ReadTx,
): { readonly steps: readonly Step[] } | { readonly refused: string } {
  const steps: Step[] = [];
  for (const table of ["secret", "config"] as const) {
    for (const file of filesOf(definition, table)) {
      const { annotations, external, version } = file;
      const name = annotations?.name ?? "";
      const object = findFile(tx, table, name);
      if (object === undefined) return { refused: `${external ? "external " : ""}${table} ${name} is gone` };
      if (external || annotations === undefined) continue;
      if (file.objectId !== "" && file.objectId !== object.id)
        return { refused: `${table} ${name} was removed, and made anew by somebody else` };
      if (dataOfVersion(object, version) === undefined)
        return { refused: `version ${version} of ${table} ${name} is not kept any more` };
      if (deepEqual(annotations, object.annotations)) continue;
      steps.push({ kind: "labelFile", table, id: object.id, annotations });
    }
  }
  return { steps };
}
