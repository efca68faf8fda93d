/**
 * Revisions as they are answered: without credentials, and without digests of secrets, by which somebody
 * could try out passwords.
 * Pure.
 */
import { NotFoundError } from "../../../base/errors/errors.js";
import type { StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import { type StackDefinition, StackFile, StackService } from "../../../proto/gen/skein/v1/stack_types.js";
import type {
  ListRevisionsReply,
  RevisionReply,
  RevisionRequest,
} from "../../../proto/gen/skein/v1/stacks.js";
import { withPullAuth } from "../../control/spec-comparison.js";
import type { ReadTx } from "../../store/types.js";
import { findStack, revisionOf } from "../deployment/begin.js";
import { labelledStack } from "./stack-list.js";

/** Newest first, with outlines of their definitions. @throws {NotFoundError} */
export function listRevisions(tx: ReadTx, name: string): ListRevisionsReply {
  const stack = findStack(tx, name);
  if (stack === undefined) {
    if (labelledStack(tx, name) === undefined) throw new NotFoundError(`stack ${name} not found`);
    return { revisions: [] };
  }
  const revisions = tx
    .list("stackRevision", { by: "stackId", stackId: stack.id })
    .map((revision) => ({
      ...revision,
      definition: revision.definition && outlineOf(revision.definition),
    }))
    .sort((a, b) => b.number - a.number);
  return { revisions };
}

/** @throws {NotFoundError} */
export function getRevision(tx: ReadTx, { stack: name, number }: RevisionRequest): RevisionReply {
  const stack = findStack(tx, name);
  if (stack === undefined) throw new NotFoundError(`stack ${name} has no revisions`);
  const wanted = number || stack.goodRevision;
  if (wanted === 0) throw new NotFoundError(`stack ${name} has no good revision yet`);
  return { revision: shownRevision(findRevision(tx, { stackId: stack.id, name, number: wanted })) };
}

/** @throws {NotFoundError} */
export function findRevision(
  tx: ReadTx,
  wanted: { readonly stackId: string; readonly name: string; readonly number: number },
): StackRevision {
  const found = revisionOf(tx, wanted.stackId, wanted.number);
  if (found !== undefined) return found;
  throw new NotFoundError(
    `revision ${wanted.number} of stack ${wanted.name} is not there, or not kept any more`,
  );
}

function shownRevision(revision: StackRevision): StackRevision {
  return { ...revision, definition: revision.definition && shownDefinition(revision.definition) };
}

/** What a list tells of a definition: which images, and which versions of data. */
function outlineOf({ secrets, configs, services }: StackDefinition): StackDefinition {
  const file = ({ key, external, annotations, version }: StackFile): StackFile =>
    StackFile.fromPartial({ key, external, version, annotations: { name: annotations?.name ?? "" } });
  return {
    networks: [],
    secrets: secrets.map(file),
    configs: configs.map(file),
    services: services.map(({ key, spec }) => {
      const name = spec?.annotations?.name ?? "";
      const image = spec?.task?.container?.image ?? "";
      return StackService.fromPartial({
        key,
        spec: { annotations: { name }, task: { container: { image } } },
      });
    }),
  };
}

function shownDefinition(definition: StackDefinition): StackDefinition {
  return {
    ...definition,
    secrets: definition.secrets.map((secret) => ({ ...secret, data: new Uint8Array(), dataSha256: "" })),
    configs: definition.configs.map((config) => ({ ...config, data: new Uint8Array() })),
    services: definition.services.map((service) => ({
      ...service,
      registryAuth: "",
      spec: service.spec && { ...service.spec, task: withPullAuth(service.spec.task, "") },
    })),
  };
}
