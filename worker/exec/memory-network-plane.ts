/**
 * A network that only remembers: the twin of the real plane for tests of what stands above it.
 * Pure. Invariant: keeps the promises of NetworkPlane about order, idempotence and host ports.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type {
  EncryptedPair,
  EncryptionFacts,
  NetworkChangeSet,
  NetworkPlane,
  NodeNetworkIdentity,
  PathReport,
  TaskNetwork,
  TaskSandbox,
} from "../../net-overlay/network-plane.js";
import type { PortBinding } from "../../proto/engine/networks.js";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { PublishMode } from "../../proto/gen/skein/v1/types.js";
import { keyOf, keyText } from "../agent/assignment-book.js";

export class MemoryNetworkPlane implements NetworkPlane {
  readonly identities: NodeNetworkIdentity[] = [];
  readonly resources = new Map<string, NodeResource>();
  readonly sandboxes: Map<string, TaskSandbox>;
  /** Order of events, for tests that check it. */
  readonly trace: string[] = [];
  appliedRevision = 0;
  readonly trouble = "";
  readonly pathMtuBytes = 0;
  readonly nodeAddresses: readonly string[] = [];
  /** Thrown by the next apply. */
  failApply: Error | undefined;

  /** @param sandboxes of a plane before a restart. */
  constructor(sandboxes: Map<string, TaskSandbox> = new Map()) {
    this.sandboxes = sandboxes;
  }

  configure(identity: NodeNetworkIdentity): Promise<void> {
    this.identities.push(identity);
    this.trace.push(`configure ${identity.number}`);
    return Promise.resolve();
  }

  apply(changes: NetworkChangeSet): Promise<void> {
    const failure = this.failApply;
    this.failApply = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    if (changes.complete) this.resources.clear();
    for (const key of changes.removals) this.resources.delete(keyText(key));
    for (const resource of changes.upserts) {
      const key = keyOf(resource);
      if (key !== undefined) this.resources.set(keyText(key), resource);
    }
    this.appliedRevision = changes.revision;
    this.trace.push(`apply ${changes.revision}${changes.complete ? " complete" : ""}`);
    return Promise.resolve();
  }

  paths(): readonly PathReport[] {
    return [];
  }

  onDescribed(): () => void {
    return () => undefined;
  }

  taskNetworks(): readonly TaskNetwork[] {
    return [];
  }

  portsReleased(): Promise<void> {
    return Promise.resolve();
  }

  taskPorts(): readonly PortBinding[] {
    return [];
  }

  isPublished(): boolean {
    return false;
  }

  attachTask(task: Task): Promise<TaskSandbox> {
    const existing = this.sandboxes.get(task.id);
    this.trace.push(`attach ${task.id}`);
    if (existing !== undefined) return Promise.resolve(existing);
    const hostPorts = (task.endpoint?.ports ?? []).filter((port) => port.publishMode === PublishMode.HOST);
    for (const port of hostPorts) {
      const taken = [...this.sandboxes.values()].some((sandbox) =>
        sandbox.hostPorts.some((other) => other.publishedPort === port.publishedPort),
      );
      if (taken)
        return Promise.reject(
          new FailedPreconditionError(`port ${port.publishedPort}/tcp is already in use`),
        );
    }
    const sandbox: TaskSandbox = {
      netnsPath: `/run/netns/${task.id}`,
      gatewayAddress: `100.64.1.${this.sandboxes.size + 2}`,
      resolvConf: "nameserver 127.0.0.11\n",
      etcHosts: "127.0.0.1 localhost\n",
      hostPorts,
    };
    this.sandboxes.set(task.id, sandbox);
    return Promise.resolve(sandbox);
  }

  encryptionFacts(): EncryptionFacts {
    return { publicKey: "", udpPort: 0 };
  }

  encryptedPairs(): readonly EncryptedPair[] {
    return [];
  }

  detachTask(taskId: string): Promise<void> {
    if (this.sandboxes.delete(taskId)) this.trace.push(`detach ${taskId}`);
    return Promise.resolve();
  }

  retain(taskIds: ReadonlySet<string>): Promise<void> {
    for (const taskId of [...this.sandboxes.keys()]) if (!taskIds.has(taskId)) this.sandboxes.delete(taskId);
    return Promise.resolve();
  }

  removeAll(): Promise<void> {
    this.sandboxes.clear();
    this.resources.clear();
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
