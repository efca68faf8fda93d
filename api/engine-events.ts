/**
 * What this engine's journal hears: its containers, images, volumes and networks and, while the node is a
 * manager, the cluster.
 * Pure over those sources.
 */

import type { ClusterEvent } from "../proto/gen/skein/v1/control.js";
import { containerEvent, imageEvent, networkEvent, volumeEvent } from "./docker-events.js";
import { type EngineEvent, EventJournal } from "./event-journal.js";
import { ClusterWatch, eventNumber } from "./grpc-cluster-watch.js";
import type { EngineBackend } from "./ports.js";

const nothing = (): void => undefined;

export class EngineEvents {
  readonly journal = new EventJournal();
  readonly watch: ClusterWatch;
  readonly #stopListening: readonly (() => void)[];

  constructor(backend: EngineBackend) {
    const { journal } = this;
    const { containers, images, localNetworks } = backend;
    this.#stopListening = [
      containers.onEvent((event) => journal.add(containerEvent(event))),
      images.onEvent((event) => {
        const told = imageEvent(event);
        if (told !== undefined) journal.add(told);
      }),
      containers.volumes.onEvent((event) => {
        const mounted = containers.volumesOf(event.containerId ?? "");
        journal.add(
          volumeEvent(
            event,
            mounted.find(({ name }) => name === event.name),
          ),
        );
      }),
      localNetworks?.onEvent((event) => journal.add(networkEvent(event))) ?? nothing,
    ];
    this.watch = new ClusterWatch({
      isManager: () => backend.isManager(),
      manager: () => backend.manager(),
      onManagerChange: (listener) => backend.onManagerChange(listener),
      onEvent: (event) => journal.add(clusterEvent(event)),
      onGap: () => journal.gap(),
      clock: backend.clock,
      random: backend.random.child("events"),
      log: backend.log,
    });
  }

  close(): void {
    for (const stop of this.#stopListening) stop();
    this.watch.close();
  }
}

/** With its number among the attributes, which is the same at every manager. */
export function clusterEvent(event: ClusterEvent): EngineEvent {
  const { type, action, id, timeMs } = event;
  const index = eventNumber(event);
  const attributes = index === undefined ? event.attributes : { ...event.attributes, index };
  return { type, action, id, attributes, timeMs, scope: "swarm" };
}
