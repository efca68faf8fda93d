/**
 * Secrets whose data a driver gives: for the tasks of one node, while its session lasts here.
 * Pure over `SecretDrivers`. Invariants: data is here and on the node alone, never in the store, a log or an
 * error; each task has a resource of its own, first without data, then with data or with the driver's
 * refusal, so that nobody waits here; the driver is asked once for a task, and not for one that has its
 * files already.
 * Data that may be used again is given to other tasks of the same node as long as one of them is there.
 * Source: SwarmKit's secret drivers (manager/drivers, the assignment set).
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { taskDataKey } from "../../proto/dispatch/data-key.js";
import type { ServiceResource } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  endpointModeToNumber,
  portProtocolToNumber,
  publishModeToNumber,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import { observedState, rank, taskName } from "./resource-build.js";

export interface SecretDrivers {
  /** @throws an error in words for people, after a bounded time. */
  ask(driver: string, request: object): Promise<{ readonly data: Uint8Array; readonly doNotReuse: boolean }>;
}

/** Letters of a refusal that are kept. */
const REFUSAL_LENGTH_MAX = 500;

interface Entry {
  /** What the node is told; replaced when there is an answer. */
  secret: Secret;
  readonly dataKey: string;
  reusable: boolean;
}

export interface DriverSecretsInit {
  readonly drivers: SecretDrivers;
  readonly log: Logger;
  /** The resource under this key has changed. Never called from within `want`. */
  readonly onAnswer: (key: string) => void;
}

export class DriverSecrets {
  readonly #init: DriverSecretsInit;
  readonly #entries = new Map<string, Entry>();
  /** Questions under way, by secret: whoever comes meanwhile waits whether the answer is for him, too. */
  readonly #leading = new Map<string, Promise<void>>();
  #closed = false;

  constructor(init: DriverSecretsInit) {
    this.#init = init;
  }

  /**
   * @param secret of the index: its id is a `dataKey`.
   * @returns id of the resource for the task; undefined: the task has its files, and needs none.
   */
  want(task: Task, secret: Secret, service: ServiceResource | undefined): string | undefined {
    const key = taskDataKey(secret.id, task.id);
    if (this.#entries.has(key)) return key;
    if (rank(observedState(task)) >= rank(TaskState.READY)) return undefined;
    const entry: Entry = { secret: withoutData(secret, key), dataKey: secret.id, reusable: false };
    const known = this.#reusable(secret.id);
    this.#entries.set(key, entry);
    if (known === undefined) void this.#fill(key, entry, { task, secret, service });
    else give(entry, { data: known.secret.data, doNotReuse: false });
    return key;
  }

  get(key: string): Secret | undefined {
    return this.#entries.get(key)?.secret;
  }

  /** Others are forgotten, their data with them. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#entries.keys()) if (!keys.has(key)) this.#entries.delete(key);
  }

  /** Answers that are still to come are dropped. */
  close(): void {
    this.#closed = true;
    this.#entries.clear();
  }

  #reusable(dataKey: string): Entry | undefined {
    for (const entry of this.#entries.values()) if (entry.reusable && entry.dataKey === dataKey) return entry;
    return undefined;
  }

  async #fill(key: string, entry: Entry, about: Question): Promise<void> {
    const { dataKey } = entry;
    const leading = this.#leading.get(dataKey);
    if (leading === undefined) {
      const own = this.#ask(entry, about).finally(() => this.#leading.delete(dataKey));
      this.#leading.set(dataKey, own);
      await own;
    } else {
      await leading;
      if (!this.#isWanted(key, entry)) return; // its task has gone, or the session: nobody is asked
      const known = this.#reusable(dataKey);
      if (known === undefined) await this.#ask(entry, about);
      else give(entry, { data: known.secret.data, doNotReuse: false });
    }
    if (this.#isWanted(key, entry)) this.#init.onAnswer(key);
  }

  #isWanted(key: string, entry: Entry): boolean {
    return !this.#closed && this.#entries.get(key) === entry;
  }

  /** Never fails: a refusal is an answer, too. */
  async #ask(entry: Entry, about: Question): Promise<void> {
    const { driverName, annotations } = about.secret;
    try {
      give(entry, await this.#init.drivers.ask(driverName, requestOf(about)));
    } catch (error) {
      const driverRefusal = messageOf(error).slice(0, REFUSAL_LENGTH_MAX) || "it gave no reason";
      entry.secret = { ...entry.secret, driverRefusal };
      this.#init.log.warn("a driver gave no secret", {
        driver: driverName,
        secret: annotations?.name ?? "",
        task: about.task.id,
        error: driverRefusal,
      });
    }
  }
}

interface Question {
  readonly task: Task;
  readonly secret: Secret;
  readonly service: ServiceResource | undefined;
}

function withoutData(secret: Secret, id: string): Secret {
  const annotations = { name: secret.annotations?.name ?? "", labels: {} };
  return { ...secret, id, annotations, driverOptions: {}, data: new Uint8Array() };
}

function give(
  entry: Entry,
  { data, doNotReuse }: { readonly data: Uint8Array; readonly doNotReuse: boolean },
): void {
  entry.secret = { ...entry.secret, data };
  entry.reusable = !doNotReuse;
}

/** As SwarmKit asks, and more about secret, task and node. */
function requestOf({ task, secret, service }: Question): object {
  const container = task.spec?.container;
  return {
    SecretName: secret.annotations?.name ?? "",
    SecretLabels: secret.annotations?.labels ?? {},
    SecretOptions: secret.driverOptions,
    ServiceID: task.serviceId,
    ServiceName: task.serviceAnnotations?.name ?? "",
    ServiceLabels: task.serviceAnnotations?.labels ?? {},
    ServiceHostname: container?.hostname ?? "",
    ...(service === undefined ? {} : { ServiceEndpointSpec: endpointSpecOf(service) }),
    TaskID: task.id,
    TaskName: taskName(task),
    TaskImage: container?.image ?? "",
    NodeID: task.nodeId,
  };
}

function endpointSpecOf({ mode, ports }: ServiceResource): object {
  return {
    Mode: endpointModeToNumber(mode),
    Ports: ports.map(({ name, protocol, targetPort, publishedPort, publishMode }) => ({
      Name: name,
      Protocol: portProtocolToNumber(protocol),
      TargetPort: targetPort,
      PublishedPort: publishedPort,
      PublishMode: publishModeToNumber(publishMode),
    })),
  };
}
