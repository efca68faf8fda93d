/**
 * Stacks on the control loops' lab: definitions by a few words, deployments that begin as the control API
 * begins them, and what became of them in one line.
 * Pure.
 */
import { newId } from "../../base/random/ids.js";
import { networkForm } from "../../manager/stacks/control/definition-form.js";
import {
  type Begun,
  beginDeployment,
  beginRemoval,
  findStack,
} from "../../manager/stacks/deployment/begin.js";
import { createStackLoop } from "../../manager/stacks/deployment/stack-loop.js";
import { isUnderWay, phaseWord } from "../../manager/stacks/deployment/stack-phase.js";
import { STACK_LABEL } from "../../manager/store/index-keys.js";
import type { Service, Stack, StackRevision, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  RevisionOrigin,
  StackCondition,
  StackDefinition,
  type StackDependency,
  StackOnFailure,
  StackService,
} from "../../proto/gen/skein/v1/stack_types.js";
import { NetworkSpec, ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import { ControlLab, type ServiceSpecPartial } from "./control-lab.js";

export interface ServiceSketch {
  readonly image?: string;
  readonly replicas?: number;
  /** Completions of a job. */
  readonly job?: number;
  readonly spec?: ServiceSpecPartial;
  readonly networks?: readonly string[];
  readonly needs?: Readonly<Record<string, DependencySketch>>;
}

export type DependencySketch = "started" | "healthy" | "completed" | Partial<StackDependency>;

export interface StackSketch {
  readonly services: Readonly<Record<string, ServiceSketch>>;
  readonly networks?: Readonly<Record<string, Parameters<typeof NetworkSpec.fromPartial>[0]>>;
}

const CONDITIONS: Readonly<Record<string, StackCondition>> = {
  started: StackCondition.STARTED,
  healthy: StackCondition.HEALTHY,
  completed: StackCondition.COMPLETED,
};

/** As the control API stores definitions. */
export function definitionOf(stack: string, sketch: StackSketch): StackDefinition {
  const networks = Object.entries(sketch.networks ?? {}).map(([key, spec]) => ({
    key,
    external: false,
    spec: networkForm(
      NetworkSpec.fromPartial({ ...spec, annotations: { name: `${stack}_${key}`, labels: {} } }),
      stack,
    ),
  }));
  const services = Object.entries(sketch.services).map(([key, service]) => serviceOf(stack, key, service));
  return StackDefinition.fromPartial({ networks, services });
}

function serviceOf(stack: string, key: string, sketch: ServiceSketch): StackService {
  const { image = "app:1", replicas = 1, job, spec = {}, networks = [], needs = {} } = sketch;
  const dependsOn = Object.entries(needs).map(([service, dependency]) =>
    typeof dependency === "string"
      ? { service, condition: CONDITIONS[dependency] }
      : { service, ...dependency },
  );
  const mode =
    job === undefined
      ? ({ $case: "replicated", value: { replicas } } as const)
      : ({ $case: "replicatedJob", value: { maxConcurrent: job, totalCompletions: job } } as const);
  return StackService.fromPartial({
    key,
    dependsOn: dependsOn as StackDependency[], // the rest is filled in
    spec: ServiceSpec.fromPartial({
      mode,
      ...spec,
      annotations: { name: `${stack}_${key}`, labels: { [STACK_LABEL]: stack, ...spec.annotations?.labels } },
      task: {
        ...spec.task,
        container: { image, ...spec.task?.container },
        networks: networks.map((network) => ({ target: `${stack}_${network}` })),
      },
    }),
  });
}

export interface DeployOptions {
  readonly prune?: boolean;
  readonly onFailure?: StackOnFailure;
  readonly timeoutMs?: number;
}

export class StackLab extends ControlLab {
  /** The stack loop begins anew, knowing nothing, whenever the others have nothing to do. */
  leaderEachRound = false;
  #stackLeaders = 0;
  readonly #newId = () => newId(this.test.random);

  constructor(options: { seed?: string; delay?: () => Promise<void> } = {}) {
    super(options);
    this.#addStackLoop();
  }

  #addStackLoop(): void {
    const control = this.loops;
    const begin = () => {
      const random = this.test.random.child(`stack leader ${++this.#stackLeaders}`);
      const loop = createStackLoop({ ...this.test, random });
      loop.start();
      return loop;
    };
    let stacks = begin();
    this.loops = {
      start: () => control.start(),
      close: async () => {
        await stacks.close();
        await control.close();
      },
      idle: async () => {
        let index: number;
        do {
          index = this.test.store.index;
          await control.idle();
          if (this.leaderEachRound) {
            await stacks.close();
            stacks = begin();
          }
          await stacks.idle();
        } while (this.test.store.index !== index);
      },
    };
  }

  override async changeLeader(): Promise<void> {
    await super.changeLeader();
    this.#addStackLoop();
    await this.loops.idle();
  }

  /** Begins, and lets everybody do what there is to do at once. */
  async deploy(name: string, sketch: StackSketch, options: DeployOptions = {}): Promise<Begun> {
    const begun = await this.begin(name, sketch, options);
    await this.settle();
    return begun;
  }

  begin(name: string, sketch: StackSketch, options: DeployOptions = {}): Promise<Begun> {
    return this.test.store.update((tx) =>
      beginDeployment(tx, {
        ...this.#options(options),
        name,
        definition: definitionOf(name, sketch),
        changes: "",
      }),
    );
  }

  async rollBack(name: string, revision: number, options: DeployOptions = {}): Promise<Begun> {
    const definition = this.revisions(name).find(({ number }) => number === revision)?.definition;
    if (definition === undefined) throw new Error(`revision ${revision} of ${name} is not there`);
    const wanted = { name, definition, changes: "", origin: RevisionOrigin.ROLLBACK, restores: revision };
    const begun = await this.test.store.update((tx) =>
      beginDeployment(tx, { ...this.#options(options), ...wanted }),
    );
    await this.settle();
    return begun;
  }

  async removeStack(name: string): Promise<void> {
    const { clock, store } = this.test;
    await store.update((tx) => beginRemoval(tx, { name, nowMs: clock.nowMs() }));
    await this.settle();
  }

  #options({ prune = false, onFailure = StackOnFailure.GO_BACK, timeoutMs = 0 }: DeployOptions) {
    const nowMs = this.test.clock.nowMs();
    return { prune, onFailure, timeoutMs, madeBy: "test", nowMs, newId: this.#newId };
  }

  stack(name: string): Stack | undefined {
    return this.test.store.view((tx) => findStack(tx, name));
  }

  revisions(name: string): readonly StackRevision[] {
    const stack = this.stack(name);
    if (stack === undefined) return [];
    const all = this.test.store.view((tx) => tx.list("stackRevision", { by: "stackId", stackId: stack.id }));
    return [...all].sort((a, b) => a.number - b.number);
  }

  named(name: string): Service | undefined {
    return this.test.store.view((tx) => tx.list("service", { by: "name", name })[0]);
  }

  tasksOf(name: string): readonly Task[] {
    return this.tasks(this.named(name)?.id ?? "");
  }

  /** "applying 2, good 1: db reached, web waiting (waits for db: …)" */
  tell(name: string): string {
    const stack = this.stack(name);
    if (stack?.deployment === undefined) return "gone";
    const { phase, revision, services } = stack.deployment;
    const each = services.map(({ key, state, message }) => {
      const word = state.replace("STACK_SERVICE_STATE_", "").toLowerCase();
      return `${key} ${word}${message === "" ? "" : ` (${message})`}`;
    });
    return `${phaseWord(phase)} ${revision}, good ${stack.goodRevision}: ${each.join(", ")}`;
  }

  failure(name: string): string {
    return this.stack(name)?.deployment?.failure ?? "";
  }

  /** Lets time pass until the deployment has ended. @throws {Error} it has not after an hour. */
  async toTheEnd(name: string, stepMs = 1_000): Promise<void> {
    for (let passedMs = 0; passedMs < 3_600_000; passedMs += stepMs) {
      if (!isUnderWay(this.stack(name))) return;
      await this.advance(stepMs);
    }
    throw new Error(`stack ${name} does not come to its end: ${this.tell(name)}`);
  }
}
