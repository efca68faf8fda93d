/**
 * What the plans of a stack read, and what they gather: steps, the deployment as it is to be told, and when
 * to look again.
 * Pure.
 */
import type { Service, Stack } from "../../../proto/gen/skein/v1/objects.js";
import type { StackDeployment, StackServiceProgress } from "../../../proto/gen/skein/v1/stack_types.js";
import type { ReadTx } from "../../store/types.js";
import type { Verdict } from "./judge-service.js";
import { stackName, withProgress } from "./stack-phase.js";
import type { Step } from "./steps.js";

export interface StackView {
  readonly tx: ReadTx;
  readonly stack: Stack;
  readonly nowMs: number;
  readonly newId: () => string;
  readonly judge: (service: Service, options: JudgeOptions) => Verdict;
  /** By name: what the store said to a service it did not take. */
  readonly refused: ReadonlyMap<string, string>;
  /** Services written at once. */
  readonly writesMax: number;
  /** Since when services of the stack are gone that nobody here removed; undefined: none was so far. */
  readonly goneSinceMs: number | undefined;
}

export interface JudgeOptions {
  readonly sinceMs: number;
  readonly quietSinceMs: number;
  readonly goingBack: boolean;
}

export interface StackPlan {
  readonly steps: readonly Step[];
  /** Look again then, although nothing changes. */
  readonly wakeAtMs: number | undefined;
  /** There is more to do on the state that these steps make. */
  readonly more: boolean;
  /** Services are gone that nobody here removed. */
  readonly gone: boolean;
}

/** One plan in the making. */
export class StackPlanBuilder {
  readonly view: StackView;
  readonly name: string;
  readonly before: StackDeployment;
  readonly steps: Step[] = [];
  services: readonly StackServiceProgress[];
  wakeAtMs: number | undefined;
  more = false;
  gone = false;

  constructor(view: StackView, deployment: StackDeployment) {
    this.view = view;
    this.name = stackName(view.stack);
    this.before = deployment;
    this.services = deployment.services;
  }

  wakeAt(atMs: number | undefined): void {
    if (atMs !== undefined) this.wakeAtMs = Math.min(this.wakeAtMs ?? Number.POSITIVE_INFINITY, atMs);
  }

  progress(at: number): StackServiceProgress | undefined {
    return this.services[at];
  }

  note(at: number, change: Partial<StackServiceProgress>): void {
    this.services = withProgress(this.services, at, change);
  }

  /** What was done, with the deployment told anew when something about it changed. */
  end(change: Partial<StackDeployment> = {}, stackChange: Partial<Stack> = {}): StackPlan {
    const { view, before, services } = this;
    const said = Object.keys(change).length + Object.keys(stackChange).length > 0;
    if (said || services !== before.services) {
      const deployment = { ...before, services, ...change, step: before.step + 1 };
      this.steps.push({ kind: "tell", stack: { ...view.stack, ...stackChange, deployment } });
    }
    const { steps, wakeAtMs, more, gone } = this;
    return { steps, wakeAtMs, more, gone };
  }
}
