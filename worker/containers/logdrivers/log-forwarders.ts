/**
 * The forwarders of all containers whose log driver sends lines away: begun before a container starts, found
 * again after a restart of the daemon, ended when all was sent. Edge: to the host's name and the journal.
 */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import type { Clock } from "../../../base/clock/clock.js";
import { InternalError, messageOf } from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import type { Logger } from "../../../base/log/logger.js";
import type { Random } from "../../../base/random/random.js";
import type { ContainerManager, ContainerRecord } from "../../../proto/engine/containers.js";
import type { LogSource } from "../fs-log-follow.js";
import { encoderOf, JOURNAL_SOCKET } from "./log-encoder.js";
import { LogForwarder } from "./log-forwarder.js";
import { booleanOption, FORWARDING_DRIVERS } from "./log-options.js";
import { openLogSink } from "./net-log-sink.js";

export interface LogForwardersInit {
  readonly containers: Pick<ContainerManager, "get" | "list"> & { logSource(id: string): LogSource };
  readonly linux: Pick<Linux, "connectDatagram">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class LogForwarders {
  readonly #init: LogForwardersInit;
  readonly #running = new Map<string, { forwarder: LogForwarder; done: Promise<void> }>();

  #closed = false;

  constructor(init: LogForwardersInit) {
    this.#init = init;
  }

  /** Containers that ran on, and those whose last lines were not sent yet. */
  async resume(): Promise<void> {
    for (const record of this.#init.containers.list()) {
      if (record.startedMs === 0) continue;
      try {
        await this.begin(record.id);
      } catch (error) {
        this.#init.log.warn("logs of a container are not sent on", {
          container: record.id,
          error: messageOf(error),
        });
      }
    }
  }

  /** @throws {InternalError} the receiver cannot be on this host. */
  async begin(id: string): Promise<void> {
    const record = this.#init.containers.get(id);
    if (!FORWARDING_DRIVERS.has(record.specification.log.driver)) return;
    if (this.#running.has(record.id)) return; // still at the end of the run before: it goes on with this one
    const forwarder = this.#forwarderOf(record);
    if (forwarder === undefined) return;
    const opening = forwarder.open();
    const done = opening
      .then(() => forwarder.run())
      .then(
        () => this.#hasEnded(record.id),
        (error: unknown) => {
          // not tried again before its next start: what fails so would do so at once
          this.#running.delete(record.id);
          this.#init.log.error("sending logs on failed", { container: record.id, error: messageOf(error) });
        },
      );
    this.#running.set(record.id, { forwarder, done }); // before the first wait: one for each container
    await opening;
  }

  /** A container that was started anew while the end of its last run was being sent gets its next forwarder. */
  async #hasEnded(id: string): Promise<void> {
    this.#running.delete(id);
    if (this.#closed) return;
    try {
      if (!this.#init.containers.logSource(id).ended()) await this.begin(id);
    } catch (error) {
      this.#init.log.debug("container is gone, and its logs were sent", { id, error: messageOf(error) });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const running = [...this.#running.values()];
    for (const { forwarder } of running) forwarder.close();
    await Promise.all(running.map(({ done }) => done));
  }

  #forwarderOf(record: ContainerRecord): LogForwarder | undefined {
    const { containers, linux, clock, random, log } = this.#init;
    const { driver, options = {} } = record.specification.log;
    if (driver === "journald" && !existsSync(JOURNAL_SOCKET))
      throw new InternalError("failed to initialize logging driver: journald is not enabled on this host");
    const chosen = encoderOf(record, { hostname: hostname(), pid: process.pid, random });
    if (chosen === undefined) return undefined;
    const tls = {
      ca: options["syslog-tls-ca-cert"],
      cert: options["syslog-tls-cert"],
      key: options["syslog-tls-key"],
      skipVerify: booleanOption("syslog-tls-skip-verify", options["syslog-tls-skip-verify"]),
    };
    const source = containers.logSource(record.id);
    return new LogForwarder({
      source,
      positionPath: join(dirname(source.path), "forwarded"),
      encode: chosen.encode,
      sink: openLogSink(chosen.address, tls, { linux, clock }),
      clock,
      log: log.child({ container: record.id, driver }),
    });
  }
}
