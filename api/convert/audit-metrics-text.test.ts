import assert from "node:assert/strict";
import { test } from "node:test";
import { auditMetricsText } from "./audit-metrics-text.js";

test("differences are counted by kind; one that stands is a gauge", () => {
  const text = auditMetricsText({ audits: 12, differencesByKind: { chain: 1, route: 3 }, standing: 2 });
  assert.deepEqual(
    text.split("\n").filter((line) => !line.startsWith("#")),
    [
      "skein_network_audits_total 12",
      'skein_network_differences_total{kind="chain"} 1',
      'skein_network_differences_total{kind="route"} 3',
      "skein_network_differences 2",
      "",
    ],
  );
});
