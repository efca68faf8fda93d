/**
 * Flags whose effect no look at one running task can show, because it is how tasks follow each other: the
 * matrix tries that they are stored, and the test named here what they do. Pure.
 */

export interface BehaviourRow {
  /** Without the command: create and update have them alike. */
  readonly flags: readonly string[];
  /** As the specification calls it; the test names it. */
  readonly field: string;
  readonly file: string;
}

const ORCHESTRATOR = "manager/orchestrator";
const both = (name: string): readonly string[] => [`update-${name}`, `rollback-${name}`];

export const BEHAVIOUR: readonly BehaviourRow[] = [
  { flags: both("parallelism"), field: "parallelism", file: `${ORCHESTRATOR}/update.test.ts` },
  { flags: both("delay"), field: "delayMs", file: `${ORCHESTRATOR}/update.test.ts` },
  { flags: both("monitor"), field: "monitorMs", file: `${ORCHESTRATOR}/update.test.ts` },
  { flags: both("order"), field: "START_FIRST", file: `${ORCHESTRATOR}/update.test.ts` },
  { flags: both("failure-action"), field: "failureAction", file: `${ORCHESTRATOR}/update.test.ts` },
  { flags: both("max-failure-ratio"), field: "maxFailureRatio", file: `${ORCHESTRATOR}/update.test.ts` },
  { flags: ["restart-condition"], field: "condition", file: `${ORCHESTRATOR}/plan-service.test.ts` },
  { flags: ["restart-delay"], field: "delayMs", file: `${ORCHESTRATOR}/healing.test.ts` },
  { flags: ["restart-max-attempts"], field: "maxAttempts", file: `${ORCHESTRATOR}/plan-service.test.ts` },
  { flags: ["restart-window"], field: "windowMs", file: `${ORCHESTRATOR}/plan-service.test.ts` },
  {
    flags: ["stop-grace-period"],
    field: "stopGracePeriodMs",
    file: "worker/exec/container-executor.test.ts",
  },
  { flags: ["endpoint-mode"], field: "dnsrr", file: "net-overlay/discovery/resolve.test.ts" },
  { flags: ["publish"], field: "publishedPort", file: "test/integration/network-plane.test.ts" },
];
