/**
 * The stack loop of the leader: drives each stack under way to its end, and lets a stack go whose objects
 * somebody else has removed.
 * Pure (store, clock and randomness are handed in).
 * Invariants: all it remembers beside the store is when it saw things, and what the store refused; a stack
 * whose deployment has ended costs nothing, however many there are.
 */
import type { Clock } from "../../../base/clock/clock.js";
import { codeOf, messageOf } from "../../../base/errors/errors.js";
import type { Logger } from "../../../base/log/logger.js";
import { newId } from "../../../base/random/ids.js";
import type { Random } from "../../../base/random/random.js";
import type { Stack } from "../../../proto/gen/skein/v1/objects.js";
import { type LoopInput, StoreLoop } from "../../orchestrator/store-loop.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import type { ReadTx, Store, StoreChange } from "../../store/types.js";
import { letGo, StackCourse } from "./stack-course.js";
import { isUnderWay, phaseWord, stackName } from "./stack-phase.js";

export interface StackLoopComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Stacks worked on at the same time. */
const STACKS_AT_ONCE = 8;
/** After what should not happen. */
const RETRY_MS = 1_000;

class StackLoop {
  readonly #components: StackLoopComponents;
  readonly #random: Random;
  /** Stacks under way, by id. */
  readonly #courses = new Map<string, StackCourse>();
  /** Stacks under way by name, and by the ids of their services. */
  readonly #byName = new Map<string, StackCourse>();
  readonly #byService = new Map<string, StackCourse>();

  constructor(components: StackLoopComponents) {
    this.#components = components;
    this.#random = components.random.child("stack-ids");
  }

  async pass(input: LoopInput, signal: AbortSignal): Promise<number | undefined> {
    const { store, clock } = this.#components;
    const bereft = new Set<string>();
    if (input.reset) this.#rebuild(bereft);
    else for (const change of input.changes) this.#note(change, bereft);
    for (const name of bereft) await this.#letGo(name, signal);
    const nowMs = clock.nowMs();
    const due = [...this.#courses.values()].filter((course) => course.isDue(nowMs));
    for (let at = 0; at < due.length; at += STACKS_AT_ONCE)
      await Promise.all(due.slice(at, at + STACKS_AT_ONCE).map((course) => this.#carryOut(course, signal)));
    for (const course of due) {
      const stack = store.view((tx) => tx.get("stack", course.stackId));
      if (!isUnderWay(stack)) this.#forget(course);
    }
    let wakeAtMs: number | undefined;
    for (const { dueAtMs } of this.#courses.values())
      if (dueAtMs !== undefined && dueAtMs < (wakeAtMs ?? Number.POSITIVE_INFINITY)) wakeAtMs = dueAtMs;
    return wakeAtMs;
  }

  async #carryOut(course: StackCourse, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#components;
    try {
      await course.carryOut(signal);
    } catch (error) {
      if (signal.aborted || codeOf(error) === "not-leader") throw error;
      log.warn("a stack's deployment met an error and goes on", {
        stack: course.name,
        error: messageOf(error),
      });
      course.dueAtMs = clock.nowMs() + RETRY_MS;
    }
  }

  #rebuild(bereft: Set<string>): void {
    this.#courses.clear();
    this.#byName.clear();
    this.#byService.clear();
    for (const stack of this.#components.store.view((tx) => tx.list("stack"))) {
      if (isUnderWay(stack)) this.#follow(stack);
      else bereft.add(stackName(stack));
    }
  }

  #follow(stack: Stack): void {
    const course =
      this.#courses.get(stack.id) ??
      new StackCourse(
        { ...this.#components, newId: () => newId(this.#random) },
        { stackId: stack.id, name: stackName(stack) },
      );
    this.#courses.set(stack.id, course);
    this.#byName.set(course.name, course);
    const services = this.#components.store.view((tx) =>
      tx.list("service", { by: "stackName", stackName: course.name }),
    );
    for (const { id } of services) this.#byService.set(id, course);
    for (const { serviceId } of stack.deployment?.services ?? [])
      if (serviceId !== "") this.#byService.set(serviceId, course);
    course.wake();
  }

  #forget(course: StackCourse): void {
    this.#courses.delete(course.stackId);
    if (this.#byName.get(course.name) === course) this.#byName.delete(course.name);
    for (const [id, other] of this.#byService) if (other === course) this.#byService.delete(id);
  }

  #note(change: StoreChange, bereft: Set<string>): void {
    switch (change.table) {
      case "stack":
        this.#noteStack(change.before, change.after);
        return;
      case "task": {
        const serviceId = (change.after ?? change.before)?.serviceId ?? "";
        this.#byService.get(serviceId)?.noteTask(change.id, change.after, serviceId);
        return;
      }
      case "service": {
        const name = (change.after ?? change.before)?.spec?.annotations?.labels[STACK_LABEL];
        this.#noteObject(name, change, bereft);
        return;
      }
      case "network":
        this.#noteObject(change.before?.spec?.annotations?.labels[STACK_LABEL], change, bereft);
        return;
      case "secret":
      case "config":
        this.#noteObject(change.before?.annotations?.labels[STACK_LABEL], change, bereft);
        return;
      case "node":
        if (change.before?.status?.state !== change.after?.status?.state || change.kind !== "update")
          for (const course of this.#courses.values()) course.noteNodes();
        return;
      default:
        return;
    }
  }

  #noteObject(name: string | undefined, change: StoreChange, bereft: Set<string>): void {
    if (name === undefined || name === "") return;
    const course = this.#byName.get(name);
    if (course !== undefined) {
      if (change.table === "service") {
        this.#byService.set(change.id, course);
        course.noteService(change.id);
      }
      course.wake();
    } else if (change.kind === "remove" || change.table === "network") bereft.add(name);
  }

  #noteStack(before: Stack | undefined, after: Stack | undefined): void {
    const { log } = this.#components;
    const [old, now] = [before?.deployment?.phase, after?.deployment?.phase];
    if (after !== undefined && now !== undefined && old !== now) {
      const { revision, failure } = after.deployment ?? { revision: 0, failure: "" };
      const fields = { stack: stackName(after), revision, phase: phaseWord(now) };
      log.info("stack", failure === "" ? fields : { ...fields, failure });
    }
    if (after !== undefined && isUnderWay(after)) {
      this.#follow(after);
      return;
    }
    const course = this.#courses.get((after ?? before)?.id ?? "");
    if (course !== undefined) this.#forget(course);
  }

  /** A stack that had been deployed, and of which nothing is left: somebody removed it object by object. */
  async #letGo(name: string, signal: AbortSignal): Promise<void> {
    const { store } = this.#components;
    const isGone = (tx: ReadTx): boolean =>
      tx.list("stack", { by: "name", name }).length > 0 && isBare(tx, name);
    if (!store.view(isGone)) return;
    await store.update((tx) => letGo(tx, name), { signal });
  }
}

function isBare(tx: ReadTx, name: string): boolean {
  return tx.list("service", { by: "stackName", stackName: name }).length === 0;
}

export function createStackLoop(components: StackLoopComponents): StoreLoop {
  const loop = new StackLoop(components);
  return new StoreLoop({
    ...components,
    name: "stacks",
    tables: ["stack", "service", "task", "node", "network", "secret", "config"],
    pass: (input, signal) => loop.pass(input, signal),
  });
}
