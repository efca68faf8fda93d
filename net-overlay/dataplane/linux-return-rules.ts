/**
 * The return rules of one family in the kernel. Edge: to the kernel by a routing socket.
 * Invariant: a rule that others go to comes before them and leaves after them.
 */
import type { RouteSocket } from "./linux-route-socket.js";
import type { MarkRule } from "./rtnetlink-messages.js";
import { addRule, deleteRule } from "./rtnetlink-messages.js";

/** Rules by `ruleKey`, as `returnRules` orders them; each is a slice. */
export function* syncRules(
  socket: RouteSocket,
  options: {
    readonly before: ReadonlyMap<string, MarkRule>;
    readonly after: ReadonlyMap<string, MarkRule>;
    readonly family?: 4 | 6;
  },
): Generator<undefined, void> {
  const { before, after, family = 4 } = options;
  for (const [key, rule] of after) {
    if (before.has(key)) continue;
    socket.ensure(addRule(rule, family));
    yield;
  }
  for (const [key, rule] of [...before].reverse()) {
    if (after.has(key)) continue;
    socket.discard(deleteRule(rule, family));
    yield;
  }
}
