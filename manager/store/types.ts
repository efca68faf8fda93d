/**
 * The replicated store as the control loops see it: immutable objects in tables, transactions, watches.
 * Pure (types only). Invariant: state changes only by applying a committed Transaction.
 */
import type {
  Cluster,
  Config,
  Lease,
  Network,
  Node,
  Secret,
  Service,
  Stack,
  StackRevision,
  Task,
  Volume,
} from "../../proto/gen/skein/v1/objects.js";

/** Table name to object type: the one list of what is replicated. */
export interface Tables {
  readonly cluster: Cluster;
  readonly node: Node;
  readonly service: Service;
  readonly task: Task;
  readonly network: Network;
  readonly secret: Secret;
  readonly config: Config;
  readonly volume: Volume;
  readonly stack: Stack;
  readonly stackRevision: StackRevision;
  readonly lease: Lease;
}

export type TableName = keyof Tables;

/** Index look-ups; `tasks*` for the task table only, `name` for tables with names. */
export type Lookup =
  | { readonly by: "name"; readonly name: string }
  | { readonly by: "idPrefix"; readonly prefix: string }
  | { readonly by: "serviceId"; readonly serviceId: string } // task
  | { readonly by: "nodeId"; readonly nodeId: string } // task
  | { readonly by: "slot"; readonly serviceId: string; readonly slot: number } // task
  | { readonly by: "networkId"; readonly networkId: string } // service and task that refer to it
  | { readonly by: "secretId"; readonly secretId: string } // service and task that refer to it
  | { readonly by: "configId"; readonly configId: string } // service and task that refer to it
  | { readonly by: "stackId"; readonly stackId: string } // stackRevision
  // service, network, secret and config with its label
  | { readonly by: "stackName"; readonly stackName: string };

export interface ReadTx {
  get<K extends TableName>(table: K, id: string): Tables[K] | undefined;
  /** In order of id. */
  list<K extends TableName>(table: K, lookup?: Lookup): readonly Tables[K][];
}

export interface WriteTx extends ReadTx {
  /** @throws {AlreadyExistsError} when the id, or the name in a table with unique names, is taken. */
  create<K extends TableName>(table: K, object: Tables[K]): void;
  /**
   * The object must have been read in this transaction or before: its meta.version guards the commit.
   * @throws {NotFoundError}
   */
  update<K extends TableName>(table: K, object: Tables[K]): void;
  /** @throws {NotFoundError} */
  remove(table: TableName, id: string): void;
}

/** One object's change, as one of a committed transaction's list. */
export type StoreChange = {
  [K in TableName]: {
    readonly table: K;
    readonly kind: "create" | "update" | "remove";
    readonly id: string;
    readonly before: Tables[K] | undefined;
    readonly after: Tables[K] | undefined;
  };
}[TableName];

/** What a watcher gets: every committed transaction that touched its tables, in order, one batch each. */
export interface StoreBatch {
  readonly index: number;
  readonly changes: readonly StoreChange[];
  /** The store was replaced by a snapshot: look at everything anew; `changes` is empty. */
  readonly reset: boolean;
}

export interface StoreWatch {
  /** Everything that arrived since the last call, without waiting; may be empty. */
  take(): readonly StoreBatch[];
  close(): void;
}

export interface ReadStore {
  /** Raft index of the newest applied transaction. */
  readonly index: number;
  view<T>(read: (tx: ReadTx) => T): T;
  /**
   * Calls `wake` (once until the next `take`) when something in these tables changed.
   * Bounded: past 10 000 queued batches they collapse into one with `reset`.
   */
  watch(options: { tables?: readonly TableName[]; wake: () => void }): StoreWatch;
}

export interface UpdateOptions {
  readonly signal?: AbortSignal;
  /** Tries when a precondition fails because somebody else was faster; the function runs again. @default 5 */
  readonly attemptsMax?: number;
}

export interface Store extends ReadStore {
  /**
   * Runs `write` on the current state, proposes what it changed, resolves when committed and applied here.
   * The function may run more than once. Nothing changed: resolves without a proposal.
   * Object meta (version, updated_at) is filled in by the store; created_at on create.
   * @throws {NotLeaderError} {AbortedError} after attemptsMax; and whatever `write` throws.
   */
  update<T>(write: (tx: WriteTx) => T, options?: UpdateOptions): Promise<T>;
  /**
   * Cuts a large change into transactions of at most 200 actions or 1 MiB:
   * `step` is called for each item in order and transactions are pipelined. Not atomic as a whole; items
   * whose objects changed meanwhile are run again.
   */
  batch<I>(items: readonly I[], step: (tx: WriteTx, item: I) => void, options?: UpdateOptions): Promise<void>;
}

/** What the store needs of consensus. node/ makes one of a RaftNode; a test, of ten lines. */
export interface Proposer {
  readonly isLeader: boolean;
  /** Resolves when the entry is committed and was applied through `MemoryStore.apply`. */
  propose(data: Uint8Array, options?: { signal?: AbortSignal }): Promise<{ index: number }>;
}
