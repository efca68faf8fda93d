import assert from "node:assert/strict";
import { test } from "node:test";
import { networkMetricsText } from "./network-metrics-text.js";

test("each subnet has its addresses in use and in all", () => {
  const subnets = [{ subnet: "10.0.1.0/24", inUse: 6, available: 250 }];
  assert.equal(
    networkMetricsText([{ id: "n", name: 'fr"ont', subnets }]),
    [
      "# HELP skein_network_addresses_used Addresses of the subnet that are given, or not to be given.",
      "# TYPE skein_network_addresses_used gauge",
      'skein_network_addresses_used{network="fr\\"ont",subnet="10.0.1.0/24"} 6',
      "# HELP skein_network_addresses_total The same, and those that may still be given.",
      "# TYPE skein_network_addresses_total gauge",
      'skein_network_addresses_total{network="fr\\"ont",subnet="10.0.1.0/24"} 256',
      "",
    ].join("\n"),
  );
});
