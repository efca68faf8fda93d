/**
 * The local manager's control API as promises. Edge: to @grpc/grpc-js.
 * On a node that is no manager every call fails with 503 in Docker's words. A manager that starts, or is
 * started again, is waited for; a call that was not sent in the end says that nothing was done.
 */
import { connectivityState } from "@grpc/grpc-js";
import { codeOf, UnavailableError } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { fromGrpcError } from "../base/grpc/grpc-errors.js";
import { leaderWait } from "../base/grpc/leader-wait.js";
import type { BackupClient } from "../proto/gen/skein/v1/backup.js";
import type { ControlClient } from "../proto/gen/skein/v1/control.js";
import type { RaftInspection } from "../proto/gen/skein/v1/debug.js";
import type { ExplainClient } from "../proto/gen/skein/v1/explain.js";
import { LogsClient } from "../proto/gen/skein/v1/logs.js";
import type { PlanReply, PlanRequest } from "../proto/gen/skein/v1/plan.js";
import type { StacksClient, StackUpdate } from "../proto/gen/skein/v1/stacks.js";
import { openControlClient } from "../proto/late-control-client.js";
import type { EngineBackend, ManagerEndpoint } from "./ports.js";

/** Milliseconds a control call may take, waiting for a leader included. */
const CONTROL_TIMEOUT_MS = 20_000;

type ManagerAccess = Pick<EngineBackend, "isManager" | "manager" | "managerReached" | "swarm">;
type UnaryMethod<Req, Res> = Parameters<typeof callUnary<Req, Res>>[0];

interface ManagerWaits {
  /** How long the manager waits for a leader where there is none. @default 8000 */
  readonly leaderWaitMs?: number;
  /** How long this node's manager is waited for while it starts. @default 10000 */
  readonly startWaitMs?: number;
}

export class ManagerClients {
  readonly #backend: ManagerAccess;
  #for: ManagerEndpoint | undefined;
  #control: ControlClient | undefined;

  constructor(backend: ManagerAccess) {
    this.#backend = backend;
  }

  /** @throws {UnavailableError} nothing was asked of a manager: why not. */
  async #reached(waitMs?: number): Promise<ManagerEndpoint> {
    const backend = this.#backend;
    const endpoint = backend.isManager() ? await backend.managerReached(waitMs) : undefined;
    if (endpoint !== undefined) return endpoint;
    const { state, error } = backend.swarm.info();
    if (backend.isManager()) {
      throw new UnavailableError(
        error === ""
          ? "nothing was done: this node's manager is still starting (a call waits for it, 10 s at most)"
          : `nothing was done: this node's ${notRunning(error)}`,
      );
    }
    if (state === "locked") throw new UnavailableError(error);
    throw new UnavailableError(
      state === "inactive"
        ? 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect ' +
            "this node to swarm and try again."
        : "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. " +
            "Please run this command on a manager node or promote the current node to a manager.",
    );
  }

  async #controlAt(endpoint: ManagerEndpoint): Promise<ControlClient> {
    if (this.#for === endpoint && this.#control !== undefined) return this.#control;
    const { address, credentials, channel } = endpoint;
    const control = await openControlClient(address, credentials, { channelOverride: channel });
    this.#for = endpoint;
    this.#control = control;
    return control;
  }

  /** Made anew each time, as the next two: it is seldom asked for. */
  async logs(): Promise<LogsClient> {
    const { address, credentials, channel } = await this.#reached();
    return new LogsClient(address, credentials, { channelOverride: channel });
  }

  async backup(): Promise<BackupClient> {
    const { address, credentials, channel } = await this.#reached();
    const { BackupClient } = await import("../proto/gen/skein/v1/backup.js"); // seldom needed
    return new BackupClient(address, credentials, { channelOverride: channel });
  }

  /** @example await clients.explain((explain) => explain.getTaskExplanation, { id }) */
  async explain<Req, Res>(
    pick: (explain: ExplainClient) => UnaryMethod<Req, Res>,
    request: Req,
  ): Promise<Res> {
    const endpoint = await this.#reached();
    const { address, credentials, channel } = endpoint;
    const { ExplainClient } = await import("../proto/gen/skein/v1/explain.js"); // seldom needed
    const explain = new ExplainClient(address, credentials, { channelOverride: channel });
    try {
      return await callUnary<Req, Res>(pick(explain).bind(explain), request, {
        timeoutMs: CONTROL_TIMEOUT_MS,
      });
    } catch (error) {
      throw this.explained(error, endpoint);
    }
  }

  /** What the cluster would do; nothing is changed. */
  async plan(request: PlanRequest): Promise<PlanReply> {
    const endpoint = await this.#reached();
    const { address, credentials, channel } = endpoint;
    const { PlannerClient } = await import("../proto/gen/skein/v1/plan.js"); // seldom needed
    const planner = new PlannerClient(address, credentials, { channelOverride: channel });
    try {
      return await callUnary(planner.plan.bind(planner), request, { timeoutMs: CONTROL_TIMEOUT_MS });
    } catch (error) {
      throw this.explained(error, endpoint);
    }
  }

  /** @example await clients.stacks((stacks) => stacks.getStack, { id }) */
  async stacks<Req, Res>(pick: (stacks: StacksClient) => UnaryMethod<Req, Res>, request: Req): Promise<Res> {
    const endpoint = await this.#reached();
    const { address, credentials, channel } = endpoint;
    const { StacksClient } = await import("../proto/gen/skein/v1/stacks.js"); // seldom needed
    const stacks = new StacksClient(address, credentials, { channelOverride: channel });
    try {
      return await callUnary<Req, Res>(pick(stacks).bind(stacks), request, { timeoutMs: CONTROL_TIMEOUT_MS });
    } catch (error) {
      throw this.explained(error, endpoint);
    }
  }

  /** How a stack does, from this node's manager; ends with the signal. @throws {SkeinError} it broke. */
  async *watchStack(name: string, signal: AbortSignal): AsyncIterable<StackUpdate> {
    const endpoint = await this.#reached();
    const { address, credentials, channel } = endpoint;
    const { StacksClient } = await import("../proto/gen/skein/v1/stacks.js"); // seldom needed
    const call = new StacksClient(address, credentials, { channelOverride: channel }).watchStack({ name });
    const cancel = (): void => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      if (signal.aborted) return;
      for await (const update of call as AsyncIterable<StackUpdate>) yield update;
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) return;
      throw this.explained(fromGrpcError(error), endpoint);
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
  }

  /** This node's own member, whoever leads. */
  async inspectRaft({ startWaitMs }: Pick<ManagerWaits, "startWaitMs"> = {}): Promise<RaftInspection> {
    const { address, credentials, channel } = await this.#reached(startWaitMs);
    const { DebugClient } = await import("../proto/gen/skein/v1/debug.js"); // seldom needed
    const debug = new DebugClient(address, credentials, { channelOverride: channel });
    return callUnary(debug.inspectRaft.bind(debug), {}, { timeoutMs: CONTROL_TIMEOUT_MS });
  }

  /** @example await clients.call((control) => control.getNode, { id }) */
  async call<Req, Res>(
    pick: (control: ControlClient) => UnaryMethod<Req, Res>,
    request: Req,
    waits: ManagerWaits = {},
    { isRepeated = false } = {},
  ): Promise<Res> {
    const { leaderWaitMs, startWaitMs } = waits;
    const endpoint = await this.#reached(startWaitMs);
    const control = await this.#controlAt(endpoint);
    const method = pick(control);
    try {
      return await callUnary<Req, Res>(method.bind(control), request, {
        timeoutMs: CONTROL_TIMEOUT_MS,
        ...(leaderWaitMs === undefined ? {} : { metadata: leaderWait(leaderWaitMs) }),
      });
    } catch (error) {
      // Of the manager that is started again; or this node is none any more, and says so.
      if (isRead(method) && !isRepeated && this.#hasGoneOver(error, endpoint))
        return this.call(pick, request, waits, { isRepeated: true });
      throw this.explained(error, endpoint);
    }
  }

  /** What a call that was sent failed with, in better words when the manager process has gone over it. */
  explained(error: unknown, endpoint = this.#backend.manager()): unknown {
    if (!this.#hasGoneOver(error, endpoint)) return error;
    const { error: reason } = this.#backend.swarm.info();
    const why =
      reason === ""
        ? "manager ended before it answered: what was asked may have been done, or not"
        : notRunning(reason);
    return new UnavailableError(`this node's ${why}`, { cause: error });
  }

  #hasGoneOver(error: unknown, endpoint: ManagerEndpoint | undefined): boolean {
    if (codeOf(error) !== "unavailable") return false;
    const isThere = endpoint?.channel.getConnectivityState(false) === connectivityState.READY;
    return !isThere || this.#backend.manager() !== endpoint;
  }
}

/** What only reads may be asked twice. */
function isRead(method: object): boolean {
  return "path" in method && /\/(Get|List)\w+$/.test(String(method.path)); // as grpc-js marks its methods
}

const notRunning = (reason: string): string => `manager does not run, and is started again: ${reason}`;
