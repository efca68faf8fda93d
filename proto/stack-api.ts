/**
 * Stacks over HTTP: the shapes of /skein/v1/stacks, written by the command line and read by the API, and the
 * other way round. Pure (types). Bodies inside (`Spec`) are those of the Engine API.
 *
 *   GET    /skein/v1/stacks                             StackSummary[]
 *   POST   /skein/v1/stacks/NAME                        StackRequest -> StackAccepted (202; 200: nothing changed)
 *   POST   /skein/v1/stacks/NAME/plan                   StackRequest -> StackPlan
 *   GET    /skein/v1/stacks/NAME                        StackState
 *   GET    /skein/v1/stacks/NAME/progress               lines of StackState, until the deployment has ended
 *   GET    /skein/v1/stacks/NAME/revisions              RevisionSummary[], newest first
 *   GET    /skein/v1/stacks/NAME/revisions/N            RevisionSummary with Definition
 *   GET    /skein/v1/stacks/NAME/diff?from=A&to=B       { Changes: StackChange[] }; 0: what the cluster has now
 *   POST   /skein/v1/stacks/NAME/rollback               RollbackBody -> StackAccepted
 *   DELETE /skein/v1/stacks/NAME                        204; progress goes on until the stack is gone
 */
type Json = Readonly<Record<string, unknown>>;

export interface StackDependencyBody {
  /** Key of a service of the file. */
  readonly Service: string;
  readonly Condition: "started" | "healthy" | "completed";
  readonly Restart?: boolean;
  /** @default true */
  readonly Required?: boolean;
}

export interface StackServiceBody {
  readonly Key: string;
  /** Body of POST /services/create; secrets and configs by name (SecretName, ConfigName), without ids. */
  readonly Spec: Json;
  readonly DependsOn?: readonly StackDependencyBody[];
  /** X-Registry-Auth for its image. */
  readonly RegistryAuth?: string;
}

export interface StackObjectBody {
  readonly Key: string;
  readonly External?: boolean;
  /** Body of POST /networks/create, /secrets/create (with Data in base64) or /configs/create; external: Name. */
  readonly Spec: Json;
}

export interface StackDefinitionBody {
  readonly Networks?: readonly StackObjectBody[];
  readonly Secrets?: readonly StackObjectBody[];
  readonly Configs?: readonly StackObjectBody[];
  readonly Services: readonly StackServiceBody[];
}

export interface StackRequest extends StackDefinitionBody {
  readonly Prune?: boolean;
  /** @default "rollback" */
  readonly OnFailure?: "rollback" | "keep";
  /** Milliseconds. @default 600000 */
  readonly Timeout?: number;
  readonly By?: string;
}

export interface RollbackBody {
  /** 0: the good revision before the one that is there. */
  readonly Revision?: number;
  readonly OnFailure?: "rollback" | "keep";
  readonly Timeout?: number;
  readonly By?: string;
}

export interface StackAccepted {
  readonly Name: string;
  readonly Revision: number;
  readonly Changed: boolean;
  readonly Warnings: readonly string[];
}

export interface StackSummary {
  readonly Name: string;
  /** "": made object by object by other clients. */
  readonly ID: string;
  readonly Services: number;
  readonly Running: number;
  readonly Desired: number;
  readonly Revision: number;
  readonly GoodRevision: number;
  readonly Phase: StackPhaseWord;
}

export type StackPhaseWord =
  | "" // no deployment of its own
  | "applying"
  | "reached"
  | "going back"
  | "went back"
  | "stuck"
  | "removing";

export interface StackServiceState {
  readonly Key: string;
  readonly Name: string;
  readonly ServiceID: string;
  readonly State: "waiting" | "applied" | "unchanged" | "reached" | "failed" | "removed";
  readonly Message: string;
  readonly Running: number;
  readonly Desired: number;
  readonly Completed: number;
  /** Why a task of it does not run, in words; "": all do. */
  readonly Trouble: string;
}

/** A line of progress; after the stack is gone { Name, Gone: true } ends the stream. */
export interface StackState {
  readonly Name: string;
  readonly ID: string;
  readonly Gone?: boolean;
  readonly Revision: number;
  readonly GoodRevision: number;
  readonly Phase: StackPhaseWord;
  readonly Failure: string;
  /** Number of the revision it goes or went back to; 0: to nothing. Only with those phases. */
  readonly GoingBackTo?: number;
  readonly StartedAt: string; // RFC 3339
  readonly EndedAt: string; // "": it goes on
  readonly Services: readonly StackServiceState[];
}

export interface RevisionSummary {
  readonly Number: number;
  readonly By: string;
  readonly At: string; // RFC 3339
  readonly Changes: string;
  readonly Outcome: "pending" | "good" | "failed" | "superseded";
  readonly Failure: string;
  readonly Origin: "deploy" | "rollback" | "observed";
  /** 0: its own. */
  readonly Restores: number;
  readonly Images: Readonly<Record<string, string>>; // by service key, with digest where it was pinned
  readonly Files: Readonly<Record<string, number>>; // version by "secret NAME" and "config NAME"
  readonly Definition?: Json; // of one revision alone; without data
}

export interface StackFieldChange {
  readonly Path: string;
  readonly Before: string;
  readonly After: string;
}

export interface StackChange {
  readonly Kind: "network" | "secret" | "config" | "service";
  readonly Key: string;
  readonly Action: "add" | "change" | "replace" | "remove";
  readonly Fields: readonly StackFieldChange[];
  readonly RestartsTasks: boolean;
  readonly Reason: string;
}

export interface StackPlan {
  readonly Changes: readonly StackChange[];
  /** As POST /skein/v1/plan answers; absent: nothing changes. */
  readonly Plan?: Json;
  readonly Fits: boolean;
  readonly Warnings: readonly string[];
}
