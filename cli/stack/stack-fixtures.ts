/**
 * States of stacks for tests: whole ones, of which a test says what differs. Pure.
 */
import type { StackServiceState, StackState } from "../../proto/stack-api.js";

export function serviceState(key: string, change: Partial<StackServiceState> = {}): StackServiceState {
  return {
    Key: key,
    Name: `shop_${key}`,
    ServiceID: `id-${key}`,
    State: "reached",
    Message: "",
    Running: 2,
    Desired: 2,
    Completed: 0,
    Trouble: "",
    ...change,
  };
}

export function stackState(change: Partial<StackState> = {}): StackState {
  return {
    Name: "shop",
    ID: "stack-id",
    Revision: 4,
    GoodRevision: 4,
    Phase: "reached",
    Failure: "",
    StartedAt: "2026-01-02T10:00:00Z",
    EndedAt: "2026-01-02T10:00:02.5Z",
    Services: [serviceState("web"), serviceState("db", { Running: 1, Desired: 1 })],
    ...change,
  };
}
