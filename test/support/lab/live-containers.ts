/**
 * Plain containers of one lab host for tests of what a daemon's end does to them: made, looked at, given the
 * word to end while nobody watches. Edge: to the Engine API and /proc.
 */
import { writeFileSync } from "node:fs";
import type { LabHost } from "./lab-host.js";
import { call, IMAGE, processStart } from "./lab-swarm.js";

export interface SeenContainer {
  readonly Id: string;
  readonly Name: string;
  readonly RestartCount: number;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Paused: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly Health?: { readonly Status: string; readonly Log: readonly { readonly End: string }[] };
  };
}

export interface LiveContainer {
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  readonly startedAt: string | undefined;
}

/** Ends with `code` when the file /go appears in it. */
export const endsOnWord = (code: number): string =>
  `while [ ! -e /go ]; do sleep 0.1; done; rm -f /go; exit ${code}`;
/** Counts as long as it lives. */
export const COUNTER = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";
export const SLEEPING = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done";

export interface Wish {
  readonly script: string;
  readonly hostConfig?: object;
  readonly config?: object;
}

export async function startLive(host: LabHost, name: string, wish: Wish): Promise<LiveContainer> {
  const { Id } = await call<{ Id: string }>(host, "POST", `/containers/create?name=${name}`, {
    Image: IMAGE,
    Cmd: ["sh", "-c", wish.script],
    ...wish.config,
    HostConfig: { NetworkMode: "none", ...wish.hostConfig },
  });
  await call(host, "POST", `/containers/${Id}/start`);
  const pid = (await seen(host, Id)).State.Pid;
  return { id: Id, name, pid, startedAt: processStart(pid) };
}

export function seen(host: LabHost, id: string): Promise<SeenContainer> {
  return call<SeenContainer>(host, "GET", `/containers/${id}/json`);
}

/** @returns undefined when there is none. */
export async function seenOrGone(host: LabHost, id: string): Promise<SeenContainer | undefined> {
  const answer = await host.api("GET", `/containers/${id}/json`);
  return answer.status === 404 ? undefined : (answer.json as SeenContainer); // documented by the Engine API
}

/** From the host, as nothing else may be there to say it. */
export function giveWord({ pid }: LiveContainer): void {
  writeFileSync(`/proc/${pid}/root/go`, "");
}

export function removeLive(host: LabHost, id: string): Promise<unknown> {
  return call(host, "DELETE", `/containers/${id}?force=1&v=1`);
}
