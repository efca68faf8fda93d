/**
 * The local manager's control API as promises. Edge: to @grpc/grpc-js.
 * On a node that is no manager every call fails with 503 in Docker's words.
 */
import { codeOf, UnavailableError } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { leaderWait } from "../base/grpc/leader-wait.js";
import { BackupClient } from "../proto/gen/skein/v1/backup.js";
import { ControlClient } from "../proto/gen/skein/v1/control.js";
import { DebugClient, type RaftInspection } from "../proto/gen/skein/v1/debug.js";
import { LogsClient } from "../proto/gen/skein/v1/logs.js";
import type { ManagerEndpoint, SwarmBackend } from "./ports.js";

/** Milliseconds a control call may take, waiting for a leader included. */
const CONTROL_TIMEOUT_MS = 20_000;

export class ManagerClients {
  readonly #manager: () => ManagerEndpoint | undefined;
  readonly #swarm: SwarmBackend;
  #for: ManagerEndpoint | undefined;
  #control: ControlClient | undefined;
  #logs: LogsClient | undefined;

  constructor(options: { manager: () => ManagerEndpoint | undefined; swarm: SwarmBackend }) {
    this.#manager = options.manager;
    this.#swarm = options.swarm;
  }

  #endpoint(): ManagerEndpoint {
    const endpoint = this.#manager();
    if (endpoint !== undefined) return endpoint;
    const { state, error } = this.#swarm.info();
    if (state === "locked") throw new UnavailableError(error);
    throw new UnavailableError(
      state === "inactive"
        ? 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect ' +
            "this node to swarm and try again."
        : "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. " +
            "Please run this command on a manager node or promote the current node to a manager.",
    );
  }

  #refresh(): ManagerEndpoint {
    const endpoint = this.#endpoint();
    if (this.#for !== endpoint) {
      this.#for = endpoint;
      this.#control = undefined;
      this.#logs = undefined;
    }
    return endpoint;
  }

  control(): ControlClient {
    const { address, credentials, channel } = this.#refresh();
    this.#control ??= new ControlClient(address, credentials, { channelOverride: channel });
    return this.#control;
  }

  logs(): LogsClient {
    const { address, credentials, channel } = this.#refresh();
    this.#logs ??= new LogsClient(address, credentials, { channelOverride: channel });
    return this.#logs;
  }

  /** This node's own member, whoever leads. */
  async inspectRaft(): Promise<RaftInspection> {
    const { address, credentials, channel } = this.#refresh();
    const debug = new DebugClient(address, credentials, { channelOverride: channel });
    return callUnary(debug.inspectRaft.bind(debug), {}, { timeoutMs: CONTROL_TIMEOUT_MS });
  }

  /** Made anew each time: it is seldom asked for. */
  backup(): BackupClient {
    const { address, credentials, channel } = this.#endpoint();
    return new BackupClient(address, credentials, { channelOverride: channel });
  }

  /**
   * `leaderWaitMs`: how long the manager waits for a leader where there is none. @default 8000
   * @example await clients.call((control) => control.getNode, { id })
   */
  async call<Req, Res>(
    pick: (control: ControlClient) => Parameters<typeof callUnary<Req, Res>>[0],
    request: Req,
    options: { readonly leaderWaitMs?: number } = {},
  ): Promise<Res> {
    const control = this.control();
    const { leaderWaitMs } = options;
    try {
      return await callUnary<Req, Res>(pick(control).bind(control), request, {
        timeoutMs: CONTROL_TIMEOUT_MS,
        ...(leaderWaitMs === undefined ? {} : { metadata: leaderWait(leaderWaitMs) }),
      });
    } catch (error) {
      throw this.explained(error);
    }
  }

  /** What a call failed with, in better words when the manager process is known not to run. */
  explained(error: unknown): unknown {
    const { error: reason } = this.#swarm.info();
    if (codeOf(error) !== "unavailable" || reason === "") return error;
    return new UnavailableError(`this node's manager does not run, and is started again: ${reason}`, {
      cause: error,
    });
  }
}
