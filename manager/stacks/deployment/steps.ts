/**
 * What the stack loop may do to the store, as data, and how each kind is carried out in a transaction.
 * Pure. Invariant: steps are planned and carried out on one and the same state of the store, so that none
 * of them has to ask again whether it is called for.
 */
import { codeOf } from "../../../base/errors/errors.js";
import type { Network, Service, Stack, StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import type { RevisionOutcome } from "../../../proto/gen/skein/v1/stack_types.js";
import type { Annotations } from "../../../proto/gen/skein/v1/types.js";
import { removeNetwork } from "../../control/network-removal.js";
import type { WriteTx } from "../../store/types.js";

export type FileTable = "secret" | "config";

export interface StepArgs {
  readonly createNetwork: { readonly network: Network };
  /** Labels, more subnets, or a name that makes way. */
  readonly updateNetwork: { readonly network: Network };
  /** Left alone when others use it. */
  readonly removeNetwork: { readonly networkId: string };
  readonly labelFile: { readonly table: FileTable; readonly id: string; readonly annotations: Annotations };
  /** As above. */
  readonly removeFile: { readonly table: FileTable; readonly id: string };
  readonly createService: { readonly service: Service };
  readonly updateService: { readonly service: Service };
  readonly removeService: { readonly serviceId: string };
  readonly judgeRevision: {
    readonly revision: StackRevision;
    readonly outcome: RevisionOutcome;
    readonly failure: string;
  };
  /** What the stack says of its deployment, and which revision is good. */
  readonly tell: { readonly stack: Stack };
  /** With its revisions. */
  readonly removeStack: { readonly stackId: string };
}

export type StepKind = keyof StepArgs;
export type Step = { [K in StepKind]: { readonly kind: K } & StepArgs[K] }[StepKind];
type Executors = { readonly [K in StepKind]: (tx: WriteTx, step: StepArgs[K]) => void };

const EXECUTORS: Executors = {
  createNetwork: (tx, { network }) => tx.create("network", network),
  updateNetwork: (tx, { network }) => tx.update("network", network),
  removeNetwork: (tx, { networkId }) => {
    const network = tx.get("network", networkId);
    if (network === undefined || network.pendingDelete) return;
    try {
      removeNetwork(tx, network);
    } catch (error) {
      if (codeOf(error) !== "failed-precondition") throw error; // others use it
    }
  },
  labelFile: (tx, { table, id, annotations }) => {
    if (table === "secret") {
      const secret = tx.get("secret", id);
      if (secret !== undefined) tx.update("secret", { ...secret, annotations });
    } else {
      const config = tx.get("config", id);
      if (config !== undefined) tx.update("config", { ...config, annotations });
    }
  },
  removeFile: (tx, { table, id }) => {
    const users =
      table === "secret"
        ? tx.list("service", { by: "secretId", secretId: id })
        : tx.list("service", { by: "configId", configId: id });
    if (users.length === 0 && tx.get(table, id) !== undefined) tx.remove(table, id);
  },
  createService: (tx, { service }) => tx.create("service", service),
  updateService: (tx, { service }) => tx.update("service", service),
  removeService: (tx, { serviceId }) => {
    if (tx.get("service", serviceId) !== undefined) tx.remove("service", serviceId);
  },
  judgeRevision: (tx, { revision, outcome, failure }) =>
    tx.update("stackRevision", { ...revision, outcome, failure }),
  tell: (tx, { stack }) => tx.update("stack", stack),
  removeStack: (tx, { stackId }) => {
    for (const { id } of tx.list("stackRevision", { by: "stackId", stackId })) tx.remove("stackRevision", id);
    tx.remove("stack", stackId);
  },
};

/** Carries one step out in a transaction. */
export function executeStep(tx: WriteTx, step: Step): void {
  // the mapped type pairs kind and arguments
  const execute = EXECUTORS[step.kind] as (tx: WriteTx, args: Step) => void;
  execute(tx, step);
}
