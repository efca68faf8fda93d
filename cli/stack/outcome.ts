/**
 * How a deployment stands or ended, in words, with the command to type next. Pure.
 */
import type { StackPhaseWord, StackServiceState, StackState } from "../../proto/stack-api.js";

export type Outcome =
  | { readonly kind: "going" }
  | { readonly kind: "reached"; readonly text: string }
  | { readonly kind: "failed"; readonly text: string };

export interface Followed {
  readonly stack: string;
  /** The revision that was accepted; 0: whichever there is. */
  readonly revision: number;
  /** What was asked for, as the last line names it. @default "deploy" */
  readonly verb?: "deploy" | "rollback" | "remove";
}

/** Services told of in a failure. */
const FAILED_SHOWN_MAX = 5;

const ENDED: ReadonlySet<StackPhaseWord> = new Set(["", "reached", "went back", "stuck"]);

export function outcomeOf(state: StackState, followed: Followed): Outcome {
  const { stack, revision, verb = "deploy" } = followed;
  if (verb === "remove") return removalOf(state, stack);
  if (state.Gone === true)
    return failed(`stack ${stack} was removed while revision ${revision} was deployed`);
  if (revision !== 0 && state.Revision > revision)
    return failed(
      `revision ${revision} of stack ${stack} was superseded by revision ${state.Revision}: ` +
        `'skein stack history ${stack}' tells by whom`,
    );
  // an older line, of a slower manager
  if (revision !== 0 && state.Revision < revision) return { kind: "going" };
  if (state.Phase === "removing") return failed(`stack ${stack} is being removed`);
  if (!ENDED.has(state.Phase)) return { kind: "going" };
  if (state.Phase === "reached" || state.Phase === "") return { kind: "reached", text: reachedText(state) };
  return failed(failureText(state));
}

const failed = (text: string): Outcome => ({ kind: "failed", text });

function removalOf(state: StackState, stack: string): Outcome {
  if (state.Gone === true) return { kind: "reached", text: `Stack ${stack} is removed` };
  if (state.Phase === "removing") return { kind: "going" };
  if (state.Phase === "stuck" || state.Failure !== "")
    return failed(`stack ${stack} could not be removed: ${state.Failure}`);
  return { kind: "going" };
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

function reachedText(state: StackState): string {
  const services = state.Services.filter((service) => service.State !== "removed");
  const running = services.reduce((sum, service) => sum + service.Running, 0);
  const completed = services.reduce((sum, service) => sum + service.Completed, 0);
  const took = tookText(state);
  const parts = [
    plural(services.length, "service"),
    `${plural(running, "task")} running`,
    ...(completed > 0 ? [`${completed} completed`] : []),
  ];
  return `Stack ${state.Name} is on revision ${state.Revision}: ${parts.join(", ")}${took}`;
}

function tookText(state: StackState): string {
  const ms = Date.parse(state.EndedAt) - Date.parse(state.StartedAt);
  if (!Number.isFinite(ms) || ms < 0) return "";
  if (ms < 60_000) return `, after ${(ms / 1000).toFixed(1)} s`;
  return `, after ${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

function failureText(state: StackState): string {
  const { Name: stack, Revision: revision } = state;
  const cause = causeText(state.Failure) || "it is not known why";
  const lines = [`revision ${revision} of stack ${stack} failed: ${cause}`];
  const named = /^service (\S+?):/.exec(state.Failure)?.[1]; // going back, it is not a faulty one any more
  const faulty = state.Services.filter((service) => isFaulty(service) || service.Key === named);
  for (const service of faulty.slice(0, FAILED_SHOWN_MAX)) lines.push(...serviceLines(service, cause));
  if (faulty.length > FAILED_SHOWN_MAX)
    lines.push(`  and ${plural(faulty.length - FAILED_SHOWN_MAX, "more service")}`);
  lines.push(whereNow(state));
  return lines.join("\n");
}

const NEXT = [
  "going back to revision \\d+",
  "there is no good revision yet: what was made is removed",
  "the stack is left as it is",
];
const WHAT_NEXT = new RegExp(`; (${NEXT.join("|")})$`);

/** What happens next is told in words of our own. */
export const causeText = (failure: string): string => failure.replace(WHAT_NEXT, "");

const isFaulty = ({ State, Trouble }: StackServiceState): boolean => State === "failed" || Trouble !== "";

function serviceLines(service: StackServiceState, said: string): string[] {
  const why = [service.Message, service.Trouble].filter(
    (text, i, all) => text !== "" && all.indexOf(text) === i && !said.includes(text),
  );
  return [
    ...(why.length === 0 ? [] : [`  ${service.Key}: ${why.join("; ")}`]),
    `  its log: skein service logs ${service.Name}`,
  ];
}

function whereNow(state: StackState): string {
  const { Name: stack, Revision: revision } = state;
  if (state.Phase === "stuck") {
    const back = state.GoodRevision === 0 ? `skein stack rm ${stack}` : `skein stack undo ${stack}`;
    return (
      `The stack was left as it is, at revision ${revision}: look with 'skein stack ps ${stack}', ` +
      `then deploy a better file, or '${back}'`
    );
  }
  const to = state.GoingBackTo ?? state.GoodRevision;
  if (to === 0)
    return `It had no good revision before: what it made is removed. 'skein stack history ${stack}' keeps the cause`;
  return (
    `The stack is on revision ${to} again. ` + `What was tried: skein stack diff ${stack} ${to} ${revision}`
  );
}
