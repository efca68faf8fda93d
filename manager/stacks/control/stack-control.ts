/**
 * Stacks: deployed, rolled back, removed.
 * Pure over the store. Invariants: nothing changes before everything is checked; a request that changes
 * nothing writes nothing; what is accepted is in the store whole, and the leader's loop does the rest.
 */
import { FailedPreconditionError, InternalError, InvalidArgumentError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import type { Stack, StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import {
  RevisionOrigin,
  RevisionOutcome,
  type StackDefinition,
  StackPhase,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type {
  DeployStackReply,
  DeployStackRequest,
  RemoveStackRequest,
  RollbackStackRequest,
} from "../../../proto/gen/skein/v1/stacks.js";
import type { ControlComponents } from "../../control/control-components.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { versionOf } from "../../store/tables.js";
import type { ReadTx, WriteTx } from "../../store/types.js";
import { beginDeployment, beginRemoval, type DeploymentOptions, findStack } from "../deployment/begin.js";
import { changeWords } from "./change-words.js";
import { type CheckedDefinition, checkDefinition, checkStackName } from "./check-definition.js";
import type { FileWrite } from "./check-files.js";
import { comparison, type ObjectChange } from "./definition-changes.js";
import { leftOverWarnings } from "./left-over.js";
import { lookAhead, type Sliced } from "./look-ahead.js";
import { revisionInForce, revisionToRestore, withLeftOver, withNewestCredentials } from "./restored.js";
import { stackForRemoval } from "./stack-list.js";

export type StackComponents = Pick<ControlComponents, "store" | "clock" | "random">;

/** What is not reached by then has failed. */
const TIMEOUT_MS_MAX = 24 * 3_600_000;
const MADE_BY_LENGTH_MAX = 128;
/**
 * Bytes of secrets and configs, kept versions counted, that are written in the transaction that accepts a
 * revision, beside a definition of at most 900 KiB. More is written before, object by object.
 */
const FILE_BYTES_AT_ONCE_MAX = 1024 * 1024;
/** Data that was written is there at the second look. */
const LOOKS_MAX = 3;

interface Wish {
  readonly name: string;
  readonly definition: StackDefinition;
  readonly options: DeploymentOptions;
  readonly dryRun: boolean;
  readonly origin: RevisionOrigin;
  /** Number of the revision whose definition it is; 0: its own. */
  readonly restores: number;
}

/** All that takes long, in slices. */
interface Examined {
  readonly wish: Wish;
  readonly checked: CheckedDefinition;
  readonly stack: Stack | undefined;
  /** The revision in force. */
  readonly current: StackRevision | undefined;
  readonly changes: readonly ObjectChange[];
}

type Looked =
  | { readonly kind: "done"; readonly reply: DeployStackReply }
  | { readonly kind: "data-first"; readonly writes: readonly FileWrite[] };

export class StackControl {
  readonly #components: StackComponents;

  constructor(components: StackComponents) {
    this.#components = components;
  }

  /** @throws {InvalidArgumentError} with a line for each fault; {FailedPreconditionError} it is going. */
  async deploy(request: DeployStackRequest): Promise<DeployStackReply> {
    const { definition } = request;
    if (definition === undefined) throw new InvalidArgumentError("a stack needs a definition");
    const options = this.#options(request);
    return this.#accept(() => ({
      ...{ name: request.name, definition, options, dryRun: request.dryRun },
      ...{ origin: RevisionOrigin.DEPLOY, restores: 0 },
    }));
  }

  /** @throws {NotFoundError} no such stack or revision; {FailedPreconditionError} nothing to go back to. */
  async rollback(request: RollbackStackRequest): Promise<DeployStackReply> {
    checkStackName(request.name);
    const options = this.#options({ ...request, prune: true });
    return this.#accept((tx) => {
      const old = revisionToRestore(tx, request.name, request.revision);
      const { definition } = old;
      if (definition === undefined)
        throw new InternalError(`revision ${old.number} of stack ${request.name} has no definition`);
      return {
        definition: withLeftOver(tx, old, withNewestCredentials(tx, definition)),
        ...{ name: request.name, options, dryRun: false },
        ...{ origin: RevisionOrigin.ROLLBACK, restores: old.restores || old.number },
      };
    });
  }

  /** Also of a stack that others made object by object. @throws {NotFoundError} nothing has its name. */
  async remove({ name }: RemoveStackRequest): Promise<void> {
    checkStackName(name);
    const { store, clock, random } = this.#components;
    await store.update((tx) => {
      if (findStack(tx, name) === undefined) tx.create("stack", stackForRemoval(tx, name, newId(random)));
      beginRemoval(tx, { name, nowMs: clock.nowMs() });
    });
  }

  #options(
    request: Pick<DeployStackRequest, "prune" | "onFailure" | "timeoutMs" | "madeBy">,
  ): DeploymentOptions {
    const { timeoutMs, madeBy } = request;
    if (!(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX))
      throw new InvalidArgumentError(
        `the timeout of a deployment must be from 0 to ${TIMEOUT_MS_MAX} ms (24 h), got ${timeoutMs}`,
      );
    const { clock, random } = this.#components;
    return {
      ...{ prune: request.prune, onFailure: request.onFailure, timeoutMs },
      madeBy: printable(madeBy).slice(0, MADE_BY_LENGTH_MAX),
      nowMs: clock.nowMs(),
      newId: () => newId(random),
    };
  }

  async #accept(wish: (tx: ReadTx) => Wish): Promise<DeployStackReply> {
    const { store } = this.#components;
    for (let look = 0; look < LOOKS_MAX; look++) {
      const ahead = await lookAhead(this.#components, (tx) => this.#examine(tx, wish(tx)));
      let looked: Looked;
      try {
        looked = await store.update((tx) => this.#look(tx, ahead.at(tx)));
      } finally {
        ahead.close();
      }
      if (looked.kind === "done") return looked.reply;
      for (const write of looked.writes) await store.update((tx) => writeFile(tx, write));
    }
    throw new FailedPreconditionError(
      "others change the stack's secrets or configs at the same time: nothing was deployed",
    );
  }

  *#examine(tx: ReadTx, wish: Wish): Sliced<Examined> {
    const { name, definition, options } = wish;
    const { random } = this.#components;
    const checked = yield* checkDefinition(tx, { name, definition, prune: options.prune, random });
    const stack = findStack(tx, name);
    if (stack?.deployment?.phase === StackPhase.REMOVING)
      throw new FailedPreconditionError(`stack ${name} is being removed: wait until it is gone`);
    const current = stack && revisionInForce(tx, stack);
    const changes = yield* comparison(current?.definition, checked.definition);
    return { wish, checked, stack, current, changes };
  }

  #look(tx: WriteTx, { wish, checked, stack, current, changes }: Examined): Looked {
    const { name, options, dryRun, origin, restores } = wish;
    const { prune } = options;
    const warnings = prune ? [] : leftOverWarnings(checked.leftOver);
    const isPruned = stack?.deployment?.prune ?? false;
    if (
      stack !== undefined &&
      current !== undefined &&
      changes.length === 0 &&
      isAsWanted(checked, { current, prune, isPruned })
    ) {
      const reply = { stack, revision: current.number, changed: false, warnings };
      return { kind: "done", reply };
    }
    if (dryRun) return { kind: "done", reply: { stack, revision: 0, changed: true, warnings } };
    if (bytesOf(checked.writes) > FILE_BYTES_AT_ONCE_MAX)
      return { kind: "data-first", writes: checked.writes };
    for (const write of checked.writes) writeFile(tx, write);
    const begun = beginDeployment(tx, {
      ...options,
      ...{ name, definition: checked.definition, origin, restores },
      changes: changeWords(changes, current === undefined),
    });
    const reply = { stack: begun.stack, revision: begun.revision.number, changed: true, warnings };
    return { kind: "done", reply };
  }
}

/** Terminals will show it. */
function printable(text: string): string {
  return [...text].filter((letter) => letter >= " " && letter !== "\u007f").join("");
}

/** Of a definition that is the revision in force: nor would the cluster be another. */
function isAsWanted(
  checked: CheckedDefinition,
  asked: { readonly current: StackRevision; readonly prune: boolean; readonly isPruned: boolean },
): boolean {
  const { current, prune, isPruned } = asked;
  const goesOn = prune && checked.leftOver.length > 0;
  // what is pending the loop is about to make so
  if (current.outcome === RevisionOutcome.PENDING) return !goesOn || isPruned;
  return matchesCluster(checked) && !goesOn;
}

/** All is there, and as the definition has it. */
function matchesCluster({ networks, files, services }: CheckedDefinition): boolean {
  return (
    networks.every(({ before, after }) => before === after) &&
    files.every(
      ({ before, write, form }) =>
        form.external || (write === undefined && deepEqual(before?.annotations, form.annotations)),
    ) &&
    services.every(({ same }) => same)
  );
}

function bytesOf(writes: readonly FileWrite[]): number {
  return writes.reduce(
    (sum, { object }) =>
      sum + object.oldVersions.reduce((bytes, { data }) => bytes + data.length, object.data.length),
    0,
  );
}

/** What somebody else has made or changed meanwhile is left to the next look. */
function writeFile(tx: WriteTx, { kind, object, isNew }: FileWrite): void {
  const name = object.annotations?.name ?? "";
  const there = isNew ? tx.list(kind, { by: "name", name })[0] : tx.get(kind, object.id);
  if (isNew ? there !== undefined : versionOf(there) !== versionOf(object)) return;
  if (isNew) tx.create(kind, object);
  else tx.update(kind, object);
}
