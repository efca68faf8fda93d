/**
 * What this engine's journal hears: its containers and, while the node is a manager, the cluster.
 * Pure over both sources.
 */
import type { EngineContainerEvent } from "./engine-ports.js";
import { type EngineEvent, EventJournal } from "./event-journal.js";
import { ClusterWatch } from "./grpc-cluster-watch.js";
import type { EngineBackend } from "./ports.js";

function containerEvent({ kind, container, timeMs }: EngineContainerEvent): EngineEvent {
  return {
    type: "container",
    action: kind === "health" ? `health_status: ${container.health}` : kind,
    id: container.id,
    attributes: {
      ...container.specification.labels,
      image: container.specification.image,
      name: container.name,
      ...(kind === "die" ? { exitCode: String(container.exitCode) } : {}),
    },
    scope: "local",
    timeMs,
  };
}

export class EngineEvents {
  readonly journal = new EventJournal();
  readonly watch: ClusterWatch;
  readonly #stopListening: () => void;

  constructor(backend: EngineBackend) {
    const { journal } = this;
    this.#stopListening = backend.containers.onEvent((event) => journal.add(containerEvent(event)));
    this.watch = new ClusterWatch({
      manager: () => backend.manager(),
      onManagerChange: (listener) => backend.onManagerChange(listener),
      onEvent: ({ type, action, id, attributes, timeMs }) =>
        journal.add({ type, action, id, attributes, timeMs, scope: "swarm" }),
      onGap: () => journal.gap(),
      clock: backend.clock,
      random: backend.random.child("events"),
      log: backend.log,
    });
  }

  close(): void {
    this.#stopListening();
    this.watch.close();
  }
}
