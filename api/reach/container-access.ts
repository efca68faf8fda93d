/**
 * Which calls leave this node, and which of those that come through a tunnel are answered.
 * Pure over the node's containers. Invariant: a tunnel reaches containers of tasks alone, by the calls that
 * were chosen for it (container-calls.ts).
 */
import { NotFoundError, PermissionDeniedError } from "../../base/errors/errors.js";
import type { EngineBackend } from "../ports.js";
import { goesThroughTunnels, type NamedCall } from "./container-calls.js";

/** On the containers of tasks, and on no others that managers would reach. */
const TASK_ID_LABEL = "com.docker.swarm.task.id";

export class ContainerAccess {
  readonly #backend: Pick<EngineBackend, "containers" | "streaming" | "isManager">;

  constructor(backend: Pick<EngineBackend, "containers" | "streaming" | "isManager">) {
    this.#backend = backend;
  }

  /** Nothing here is called so, and there is a manager to ask. */
  isElsewhere(named: NamedCall): boolean {
    return this.#backend.isManager() && this.#containerId(named) === undefined;
  }

  /** @throws {PermissionDeniedError} {NotFoundError} */
  assertTunnelled(method: string, named: NamedCall | undefined): void {
    if (named === undefined || !goesThroughTunnels(method, named))
      throw new PermissionDeniedError("a tunnel carries calls to tasks' containers alone");
    const id = this.#containerId(named);
    if (id === undefined)
      throw new NotFoundError(
        named.kind === "exec" ? `No such exec instance: ${named.id}` : `No such container: ${named.name}`,
      );
    if (this.#backend.containers.get(id).specification.labels[TASK_ID_LABEL] === undefined)
      throw new PermissionDeniedError(`container ${id} is not a task's: it is reached on its own node alone`);
  }

  #containerId(named: NamedCall): string | undefined {
    const { containers, streaming } = this.#backend;
    if (named.kind === "container") return containers.find(named.name)?.id;
    try {
      return streaming?.streams.getExec(named.id).containerId;
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }
}
