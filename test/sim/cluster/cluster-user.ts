/**
 * The user of a simulated cluster: asks the control API for what a schedule says, keeps what was
 * acknowledged. Pure.
 * Invariant: an answer of the leader is believed, no answer is believed to be either.
 */
import { fromGrpcError } from "../../../base/grpc/grpc-errors.js";
import { STACK_LABEL } from "../../../manager/store/index-keys.js";
import type { ControlServer } from "../../../proto/gen/skein/v1/control.js";
import type { Service } from "../../../proto/gen/skein/v1/objects.js";
import {
  FailureAction,
  NodeAvailability,
  RestartCondition,
  ServiceSpec,
  UpdateOrder,
} from "../../../proto/gen/skein/v1/types.js";
import type { ClusterChecks } from "./cluster-checks.js";
import { ClusterViolation } from "./cluster-checks.js";
import type { ManagerProcess } from "./cluster-manager.js";
import type { ClusterEvent, ClusterEventKind } from "./cluster-schedule.js";
import { doStackDeed } from "./cluster-stacks.js";

export interface UserWorld {
  readonly checks: ClusterChecks;
  leader(): ManagerProcess | undefined;
  fail(error: unknown): void;
  note(slot: number, text: string, ...facts: number[]): void;
}

/** What a client may be told without anything being wrong. */
const REFUSALS = new Set([
  "not-leader",
  "unavailable",
  "aborted",
  "failed-precondition",
  "not-found",
  "already-exists",
  "invalid-argument",
  "resource-exhausted",
  "cancelled",
]);
const SERVICES_MAX = 7;

export class ClusterUser {
  readonly #world: UserWorld;
  readonly #acknowledged = new Map<string, number>();
  readonly #removalAsked = new Set<string>();
  #names = 0;
  deeds = 0;
  acknowledged = 0;

  constructor(world: UserWorld) {
    this.#world = world;
  }

  do({ kind, draws }: ClusterEvent): void {
    this.deeds += 1;
    this.#do(kind, draws).catch((error: unknown) => {
      // a status
      const failure = error instanceof Error && !("details" in error) ? error : fromGrpcError(error as Error);
      if (failure instanceof ClusterViolation || !("code" in failure) || !REFUSALS.has(String(failure.code)))
        this.#world.fail(failure);
      else this.#world.note(0, `${kind} refused: ${failure.message}`, 21);
    });
  }

  /** What was acknowledged and never asked to be removed must be there. */
  check(): void {
    const { store } = this.#world.checks;
    for (const [key, index] of this.#acknowledged) {
      const [table, id] = key.split(" ") as ["service" | "secret" | "network", string]; // as noted below
      if (this.#removalAsked.has(id)) continue;
      const found = store.view((tx) => tx.get(table, id))?.meta?.version?.index ?? 0;
      if (found < index)
        throw new ClusterViolation(
          "acknowledged writes stay",
          `${key} was acknowledged at ${index}, is at ${found}`,
        );
    }
  }

  async #do(kind: ClusterEventKind, draws: ClusterEvent["draws"]): Promise<void> {
    if (kind === "stack-deploy" || kind === "stack-rollback" || kind === "stack-remove") {
      const leader = this.#world.leader();
      if (leader === undefined) return;
      this.#world.note(leader.slot, `is asked to ${kind}`, 23);
      await doStackDeed(leader, { atMs: 0, kind, draws });
      this.#world.note(leader.slot, `has begun to ${kind}`, 24);
      return;
    }
    const services = this.#services();
    const service = pick(services, draws[0]);
    const nodes = this.#world.checks.store.view((tx) => tx.list("node"));
    switch (kind) {
      case "create":
      case "create-global":
      case "create-job":
        if (services.length < SERVICES_MAX) await this.#create(kind, draws);
        return;
      case "scale":
        if (service?.spec?.mode?.$case === "replicated")
          await this.#update(service, (spec) => ({
            ...spec,
            mode: { $case: "replicated", value: { replicas: Math.floor(draws[1] * 7) } },
          }));
        return;
      case "update-image":
      case "update-bad":
      case "update-crash":
        if (service !== undefined)
          await this.#update(service, (spec) => withImage(spec, imageFor(kind, draws)));
        return;
      case "update-order":
        if (service !== undefined)
          await this.#update(service, (spec) => ({
            ...withImage(spec, imageFor(kind, draws)),
            update: updateOf(draws),
          }));
        return;
      case "force":
        if (service !== undefined)
          await this.#update(service, (spec) =>
            spec.task === undefined
              ? spec
              : { ...spec, task: { ...spec.task, forceUpdate: spec.task.forceUpdate + 1 } },
          );
        return;
      case "rollback":
        if (service?.previousSpec !== undefined)
          await this.#ask("updateService", {
            id: service.id,
            version: service.meta?.version?.index ?? 0,
            spec: service.spec,
            registryAuth: "",
            registryAuthFrom: "",
            rollback: true,
          });
        return;
      case "remove":
        if (service === undefined || services.length < 2) return;
        this.#removalAsked.add(service.id);
        await this.#ask("removeService", { id: service.id });
        return;
      case "secret":
        await this.#secret(draws);
        return;
      case "drain":
      case "pause-node":
      case "activate": {
        const node = pick(nodes, draws[0]);
        if (node?.spec === undefined) return;
        const busy = nodes.filter((one) => one.spec?.availability !== NodeAvailability.ACTIVE).length;
        if (kind !== "activate" && busy * 2 >= nodes.length) return;
        const availability = {
          drain: NodeAvailability.DRAIN,
          "pause-node": NodeAvailability.PAUSE,
          activate: NodeAvailability.ACTIVE,
        }[kind];
        await this.#ask("updateNode", {
          id: node.id,
          version: node.meta?.version?.index ?? 0,
          spec: { ...node.spec, availability },
        });
        return;
      }
      case "label": {
        const node = pick(nodes, draws[0]);
        if (node?.spec === undefined) return;
        const annotations = { name: "", labels: { zone: draws[1] < 0.5 ? "a" : "b" } };
        await this.#ask("updateNode", {
          id: node.id,
          version: node.meta?.version?.index ?? 0,
          spec: { ...node.spec, annotations },
        });
      }
    }
  }

  /** Those of no stack. */
  #services(): readonly Service[] {
    const all = this.#world.checks.store.view((tx) => tx.list("service"));
    return all.filter(({ spec }) => (spec?.annotations?.labels[STACK_LABEL] ?? "") === "");
  }

  async #create(kind: ClusterEventKind, draws: ClusterEvent["draws"]): Promise<void> {
    this.#names += 1;
    const networks = this.#world.checks.store.view((tx) => tx.list("network"));
    const network = draws[2] < 0.6 ? networks[0]?.id : undefined;
    const value = Math.floor(1 + draws[1] * 6);
    const spec = ServiceSpec.fromPartial({
      annotations: { name: `s${this.#names}`, labels: {} },
      mode:
        kind === "create-global"
          ? { $case: "global", value: {} }
          : kind === "create-job"
            ? { $case: "replicatedJob", value: { maxConcurrent: 2, totalCompletions: value } }
            : { $case: "replicated", value: { replicas: value } },
      task: {
        container: {
          image: kind === "create-job" ? "job:1" : imageFor("create", draws),
          stopGracePeriodMs: 6_000,
        },
        networks: network === undefined || kind === "create-job" ? [] : [{ target: network }],
        restart: {
          condition: kind === "create-job" ? RestartCondition.ON_FAILURE : RestartCondition.ANY,
          delayMs: 500,
        },
      },
      update: kind === "create-job" ? undefined : updateOf(draws),
    });
    const reply = (await this.#ask("createService", { spec, registryAuth: "" })) as { service?: Service };
    this.#keep("service", reply.service);
  }

  async #update(service: Service, change: (spec: ServiceSpec) => ServiceSpec): Promise<void> {
    if (service.spec === undefined || service.spec.mode?.$case === "replicatedJob") return;
    const reply = (await this.#ask("updateService", {
      id: service.id,
      version: service.meta?.version?.index ?? 0,
      spec: change(service.spec),
      registryAuth: "",
      registryAuthFrom: "",
      rollback: false,
    })) as { service?: Service };
    this.#keep("service", reply.service);
  }

  /** A first secret is made and given to a service; later its data is renewed. */
  async #secret(draws: ClusterEvent["draws"]): Promise<void> {
    const { store } = this.#world.checks;
    const secret = store.view((tx) => tx.list("secret")[0]);
    const data = Buffer.from(`data ${draws[1]}`);
    if (secret === undefined) {
      await this.#ask("createSecret", {
        annotations: { name: "token", labels: {} },
        data,
        driverName: "",
        driverOptions: {},
        templateDriver: "",
      });
      return;
    }
    const users = store.view((tx) => tx.list("service", { by: "secretId", secretId: secret.id }));
    const service = pick(this.#services(), draws[0]);
    if (users.length === 0 && service !== undefined) {
      const reference = {
        secretId: secret.id,
        secretName: "token",
        file: { name: "token", uid: "0", gid: "0", mode: 292 },
        version: 0,
      };
      await this.#update(service, (spec) =>
        spec.task?.container === undefined
          ? spec
          : { ...spec, task: { ...spec.task, container: { ...spec.task.container, secrets: [reference] } } },
      );
      return;
    }
    await this.#ask("updateSecret", {
      id: secret.id,
      version: secret.meta?.version?.index ?? 0,
      annotations: secret.annotations,
      data,
    });
  }

  #keep(
    table: "service" | "secret",
    object: { id: string; meta?: { version?: { index: number } | undefined } | undefined } | undefined,
  ): void {
    const index = object?.meta?.version?.index ?? 0;
    if (object === undefined) return;
    this.acknowledged += 1;
    const key = `${table} ${object.id}`;
    this.#acknowledged.set(key, Math.max(index, this.#acknowledged.get(key) ?? 0));
  }

  async #ask(method: keyof ControlServer, request: unknown): Promise<unknown> {
    const leader = this.#world.leader();
    if (leader === undefined) return {};
    this.#world.note(leader.slot, `is asked to ${String(method)}`, 20);
    const reply = await leader.ask(method, request);
    this.#world.note(leader.slot, `has done ${String(method)}`, 22);
    return reply;
  }
}

function pick<T>(from: readonly T[], draw: number): T | undefined {
  return from[Math.floor(draw * from.length)];
}

function imageFor(kind: ClusterEventKind, draws: ClusterEvent["draws"]): string {
  const version = Math.floor(draws[3] * 1_000);
  if (kind === "update-bad") return `bad:${version}`;
  if (kind === "update-crash") return `crash:${version}`;
  return `${draws[3] < 0.15 ? "slow" : draws[3] < 0.25 ? "stuck" : "ok"}:${version}`;
}

function withImage(spec: ServiceSpec, image: string): ServiceSpec {
  if (spec.task?.container === undefined) return spec;
  return { ...spec, task: { ...spec.task, container: { ...spec.task.container, image } } };
}

function updateOf(draws: ClusterEvent["draws"]): NonNullable<ServiceSpec["update"]> {
  const actions = [FailureAction.PAUSE, FailureAction.CONTINUE, FailureAction.ROLLBACK] as const;
  return {
    parallelism: Math.floor(draws[0] * 3),
    delayMs: draws[1] < 0.3 ? 500 : 0,
    failureAction: actions[Math.floor(draws[2] * 3)] ?? FailureAction.PAUSE,
    monitorMs: 1_000,
    maxFailureRatio: 0,
    order: draws[3] < 0.4 ? UpdateOrder.START_FIRST : UpdateOrder.STOP_FIRST,
  };
}
