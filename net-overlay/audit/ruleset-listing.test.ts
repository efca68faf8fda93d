import assert from "node:assert/strict";
import { test } from "node:test";
import { differenceText } from "./compare.js";
import { compareListings, readTableListing } from "./ruleset-listing.js";

const LISTED = `table ip skein {
	map vips {
		type ipv4_addr : verdict
		elements = { 10.0.1.2 : goto svc_a,
			     10.0.1.3 : goto svc_b }
	}

	set hairpins {
		type ipv4_addr . ipv4_addr
	}

	chain balance {
		type nat hook prerouting priority dstnat; policy accept;
		meta l4proto { tcp, udp, sctp } ip daddr vmap @vips
	}

	chain svc_a {
		counter packets 5 bytes 300 dnat to numgen inc mod 2 map { 0 : 10.0.1.4, 1 : 10.0.1.5 }
	}
}
`;

const differ = (changed: string): string[] =>
  compareListings(readTableListing(LISTED), readTableListing(changed), {
    place: "network n1",
    table: "ip skein",
  }).map(differenceText);

test("equal tables have no difference, also when counters went on", () => {
  assert.deepEqual(differ(LISTED), []);
  assert.deepEqual(differ(LISTED.replace("packets 5 bytes 300", "packets 17 bytes 9999")), []);
});

test("elements, rules, chains and sets are told apart by name", () => {
  assert.deepEqual(differ(LISTED.replace("10.0.1.3 : goto svc_b", "10.0.1.9 : goto svc_b")), [
    "network n1: element 10.0.1.3 : goto svc_b of map vips of ip skein is missing",
    "network n1: element 10.0.1.9 : goto svc_b of map vips of ip skein is foreign",
  ]);
  assert.deepEqual(differ(LISTED.replace("1 : 10.0.1.5", "1 : 10.0.1.6")), [
    "network n1: chain svc_a of ip skein is different " +
      "(counter dnat to numgen inc mod 2 map { 0 : 10.0.1.4, 1 : 10.0.1.6 }, " +
      "not counter dnat to numgen inc mod 2 map { 0 : 10.0.1.4, 1 : 10.0.1.5 })",
  ]);
  assert.deepEqual(differ(LISTED.replace("chain svc_a {", "chain strange {")), [
    "network n1: chain svc_a of ip skein is missing",
    "network n1: chain strange of ip skein is foreign",
  ]);
  assert.deepEqual(differ(LISTED.replace("\t\tmeta l4proto { tcp, udp, sctp } ip daddr vmap @vips\n", "")), [
    "network n1: chain balance of ip skein is different " +
      "(nothing, not meta l4proto { tcp, udp, sctp } ip daddr vmap @vips)",
  ]);
});

test("a table that is not there is one difference", () => {
  const at = { place: "the host", table: "ip skein" };
  assert.deepEqual(compareListings(readTableListing(LISTED), undefined, at).map(differenceText), [
    "the host: table ip skein is missing",
  ]);
});
