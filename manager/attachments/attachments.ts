/**
 * Attach and detach, as a node asks for its own containers. Carried out by the leader.
 * Pure over the store. Invariants: a container has one attachment per network, however often it is asked
 * for; what could not be given an address leaves nothing in the store; nobody waits longer than
 * ALLOCATION_WAIT_MS.
 * Source: words as a Docker engine was seen to answer; docs/design/network-attachments.md.
 */
import type { Clock } from "../../base/clock/clock.js";
import {
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidArgumentError,
  PermissionDeniedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type { AttachReply, AttachRequest, DetachRequest } from "../../proto/gen/skein/v1/attachments.js";
import type { Network, Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability } from "../../proto/gen/skein/v1/types.js";
import type { RefusalCause } from "../allocator/allocate.js";
import { findObject } from "../control/find-object.js";
import type { ReadTx, Store } from "../store/types.js";
import { findAttachment, isAttachment, newAttachment, withNames } from "./attachment-task.js";

/** Longer than a change of leader takes; the allocator needs milliseconds. */
export const ALLOCATION_WAIT_MS = 10_000;
export const ALIASES_MAX = 64;
/** Of a name in DNS. */
const NAME_BYTES_MAX = 253;
/** More than a node's containers could be on; a node asks for its own alone. */
export const ATTACHMENTS_PER_NODE_MAX = 4_096;

export interface AttachmentsComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
}

/** A network that was just made: its subnet comes in a moment. */
const NOT_READY: RefusalCause = "network-not-ready";

/** What the allocator has said of an attachment. */
type Verdict =
  | { readonly kind: "given"; readonly task: Task }
  | { readonly kind: "refused"; readonly words: string }
  | { readonly kind: "gone" }
  | { readonly kind: "open" };

export class Attachments {
  readonly #components: AttachmentsComponents;

  constructor(components: AttachmentsComponents) {
    this.#components = components;
  }

  /**
   * @throws {NotFoundError} no such network; {PermissionDeniedError} it is not attachable;
   * {FailedPreconditionError} the node takes nothing on, or there is no address to give;
   * {DeadlineExceededError} the allocator did not answer in time.
   */
  async attach(nodeId: string, request: AttachRequest): Promise<AttachReply> {
    check(request);
    const { store, clock, random } = this.#components;
    const id = newId(random);
    const { taskId, isNew } = await store.update((tx) => {
      const node = tx.get("node", nodeId);
      if (node === undefined) throw new PermissionDeniedError(`node ${nodeId} is not part of this swarm`);
      const network = findObject(tx, "network", request.network);
      const known = findAttachment(tx, {
        nodeId,
        containerId: request.container?.id ?? "",
        networkId: network.id,
      });
      if (known !== undefined && keepsAddresses(known, request)) {
        const renamed = withNames(known, request);
        if (renamed !== undefined) tx.update("task", renamed);
        return { taskId: known.id, isNew: false };
      }
      admit(tx, node, network);
      if (known !== undefined) tx.remove("task", known.id);
      tx.create("task", newAttachment(request, { id, nodeId, network, nowMs: clock.nowMs() }));
      return { taskId: id, isNew: true };
    });
    const verdict = await this.#verdict(taskId);
    if (verdict.kind === "given") return this.#reply(verdict.task);
    if (isNew) await this.#remove(taskId, nodeId);
    switch (verdict.kind) {
      case "refused":
        throw new FailedPreconditionError(failed(verdict.words));
      case "gone":
        throw new UnavailableError(failed("the attachment was taken away meanwhile"));
      default:
        throw new DeadlineExceededError(failed("context deadline exceeded"));
    }
  }

  /** @throws {PermissionDeniedError} it is another node's, or no attachment. */
  async detach(nodeId: string, request: DetachRequest): Promise<void> {
    if (request.attachmentId === "") throw new InvalidArgumentError("an attachment must be given by its id");
    await this.#remove(request.attachmentId, nodeId);
  }

  #remove(taskId: string, nodeId: string): Promise<void> {
    return this.#components.store.update((tx) => {
      const task = tx.get("task", taskId);
      if (task === undefined) return;
      if (!isAttachment(task) || task.nodeId !== nodeId)
        throw new PermissionDeniedError(`attachment ${taskId} is none of node ${nodeId}`);
      tx.remove("task", taskId);
    });
  }

  /** Resolves with the allocator's word, or with what is known when time is up. */
  #verdict(taskId: string): Promise<Verdict> {
    const { store, clock } = this.#components;
    const look = (): Verdict => store.view((tx) => verdictOn(tx.get("task", taskId)));
    return new Promise((resolve) => {
      const finish = (verdict: Verdict): void => {
        timer.cancel();
        watch.close();
        resolve(verdict);
      };
      const lookAgain = (): void => {
        watch.take();
        const verdict = look();
        if (verdict.kind !== "open") finish(verdict);
      };
      const watch = store.watch({ tables: ["task"], wake: lookAgain });
      const timer = clock.setTimer(ALLOCATION_WAIT_MS, () => finish(look()));
      lookAgain();
    });
  }

  #reply(task: Task): AttachReply {
    const [attachment] = task.networks;
    const networkId = attachment?.networkId ?? "";
    const network = this.#components.store.view((tx) => tx.get("network", networkId));
    return {
      attachmentId: task.id,
      networkId,
      networkName: network?.spec?.annotations?.name ?? networkId,
      internal: network?.spec?.internal ?? false,
      addresses: attachment?.addresses ?? [],
    };
  }
}

function verdictOn(task: Task | undefined): Verdict {
  if (task === undefined) return { kind: "gone" };
  if (task.allocated) return { kind: "given", task };
  const words = task.status?.cause === NOT_READY ? "" : (task.status?.err ?? "");
  return words === "" ? { kind: "open" } : { kind: "refused", words };
}

function failed(why: string): string {
  return `attaching to network failed, make sure your network options are correct and check manager logs: ${why}`;
}

/** A node that is to be empty, or at rest, gets nothing new. */
function admit(tx: ReadTx, node: Node, network: Network): void {
  const name = network.spec?.annotations?.name ?? network.id;
  if (network.spec?.attachable !== true || network.spec.ingress)
    throw new PermissionDeniedError(`network ${name} not manually attachable`);
  const availability = node.spec?.availability ?? NodeAvailability.ACTIVE;
  if (availability !== NodeAvailability.ACTIVE) {
    const word = availability === NodeAvailability.DRAIN ? "drained" : "paused";
    throw new FailedPreconditionError(failed(`node ${node.description?.hostname || node.id} is ${word}`));
  }
  const own = tx.list("task", { by: "nodeId", nodeId: node.id }).filter(isAttachment);
  if (own.length >= ATTACHMENTS_PER_NODE_MAX)
    throw new FailedPreconditionError(failed(`the node has ${own.length} attachments, the most it may have`));
}

/** Whether it has what is asked for; chosen by the allocator is as good as any. */
function keepsAddresses(task: Task, request: AttachRequest): boolean {
  const had = (task.networks[0]?.addresses ?? task.spec?.networks[0]?.addresses ?? []).map(
    (address) => address.split("/")[0] ?? "",
  );
  return request.addresses.every((address) => had.includes(address));
}

/** @throws {InvalidArgumentError} */
function check({ container, network, aliases, addresses }: AttachRequest): void {
  if (!/^[0-9a-f]{64}$/.test(container?.id ?? ""))
    throw new InvalidArgumentError("an attachment needs the id of a container, 64 hexadecimal digits");
  if (network === "") throw new InvalidArgumentError("an attachment needs a network");
  if (aliases.length > ALIASES_MAX)
    throw new InvalidArgumentError(`${aliases.length} aliases are more than ${ALIASES_MAX}`);
  const names = [...aliases, container?.name ?? "", container?.hostname ?? ""];
  const long = names.find((name) => name.length > NAME_BYTES_MAX);
  if (long !== undefined)
    throw new InvalidArgumentError(`a name of ${long.length} characters is longer than ${NAME_BYTES_MAX}`);
  const families = addresses.map((address) => (address.includes(":") ? 6 : 4));
  if (new Set(families).size < families.length)
    throw new InvalidArgumentError("an attachment has one address of each family");
}
