/**
 * The contract's streams of a node's containers: attach, exec and terminal sizes in one. Edge: composition of
 * the edges beside it.
 */
import type { Clock } from "../../../base/clock/clock.js";
import { FailedPreconditionError } from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import type { Logger } from "../../../base/log/logger.js";
import type { Random } from "../../../base/random/random.js";
import type { AttachedStream, AttachOptions, ContainerStreams } from "../../../proto/engine/streams.js";
import { readKernelFacts } from "../../runtime/linux-kernel-facts.js";
import { findProgram } from "../../runtime/process-run.js";
import { RuntimeChoices } from "../../runtime/process-runtime-choices.js";
import { runtimeLayout } from "../../runtime/runtime-layout.js";
import { LogForwarders } from "../logdrivers/log-forwarders.js";
import type { LocalContainerManager } from "../open-container-manager.js";
import { Attachments } from "./attachments.js";
import { containerLogs } from "./container-logs.js";
import { ExecSessions } from "./exec-sessions.js";
import { LoggedAttachment } from "./logged-attachment.js";

export interface ContainerStreamsInit {
  readonly containers: Pick<
    LocalContainerManager,
    "get" | "list" | "emit" | "onEvent" | "onBeforeStart" | "logSource"
  >;
  /** The container manager's own. */
  readonly runDir: string;
  /** The container manager's own. @default crun when installed, else runc */
  readonly runtime?: "crun" | "runc";
  readonly linux: Linux;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** @throws {FailedPreconditionError} conmon, or both crun and runc, are not installed. */
export function openContainerStreams(init: ContainerStreamsInit): ContainerStreams {
  const { containers } = init;
  const layout = runtimeLayout(init.runDir);
  const names = init.runtime === "runc" ? (["runc", "crun"] as const) : (["crun", "runc"] as const);
  const name = names.find((candidate) => findProgram(candidate) !== undefined);
  const conmon = findProgram("conmon");
  if (name === undefined || conmon === undefined)
    throw new FailedPreconditionError("conmon and crun or runc must be installed");
  const choices = new RuntimeChoices({ name, stateDir: layout.stateDir, hidden: false });
  const attachments = new Attachments({ ...init, layout });
  const execs = new ExecSessions({
    ...init,
    layout,
    runtimeOf: (id) => choices.programOf(id),
    conmon,
    capabilities: readKernelFacts().capabilities,
  });
  const forwarders = new LogForwarders(init);
  const stopListening = containers.onBeforeStart((id) => {
    attachments.connectWaiting(id);
    return forwarders.begin(id);
  });
  const resumed = forwarders.resume();
  return {
    attach: (id, options) => attach(init, attachments, id, options),
    resize: (id, size) => attachments.resize(id, size),
    createExec: (id, specification) => Promise.resolve().then(() => execs.create(id, specification)),
    startExec: (id, options) => execs.start(id, options),
    resizeExec: (id, size) => execs.resize(id, size),
    getExec: (id) => execs.get(id),
    execsOf: (id) => execs.of(id),
    logs: (id, options) => containerLogs(init, id, options),
    async close() {
      stopListening();
      attachments.close();
      execs.close();
      await resumed;
      await forwarders.close();
    },
  };
}

async function attach(
  init: ContainerStreamsInit,
  attachments: Attachments,
  containerId: string,
  options: AttachOptions,
): Promise<AttachedStream> {
  if (!options.logs) {
    const client = await attachments.attach(containerId, options);
    if (!options.stream) client.close(); // neither what was nor what will be: it ends at once
    return client;
  }
  const record = init.containers.get(containerId);
  attachments.admit(record);
  const { id, specification } = record;
  const source = init.containers.logSource(id);
  const { stdinOnce, openStdin, tty } = specification;
  const fromLog = { ...options, stdout: false, stderr: false };
  const live = options.stream ? await attachments.attach(id, source.ended() ? options : fromLog) : undefined;
  return new LoggedAttachment({
    source,
    ...{ stdout: options.stdout, stderr: options.stderr, stream: options.stream, live },
    staysAfterInput: !options.stdin || !openStdin || (stdinOnce === true && !tty),
  });
}
