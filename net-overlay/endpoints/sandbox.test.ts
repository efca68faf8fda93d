import assert from "node:assert/strict";
import { test } from "node:test";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { network, stateOf } from "./network-fixtures.js";
import { chooseGatewayHost, etcHostsOf, needsGateway, overlaysOf, resolvConfOf } from "./sandbox.js";

const HOST_RESOLV_CONF = "nameserver 127.0.0.53\nsearch host.test\noptions edns0\n";

test("gateway addresses go round, so that one rests before it is given again", () => {
  assert.equal(chooseGatewayHost(new Set(), { number: 1, lastHost: 1 }), 2);
  assert.equal(chooseGatewayHost(new Set(["100.64.1.3"]), { number: 1, lastHost: 2 }), 4);
  assert.equal(chooseGatewayHost(new Set(["100.64.1.2"]), { number: 1, lastHost: 254 }), 3);
});

test("a node with all its addresses taken refuses", () => {
  const taken = new Set(Array.from({ length: 253 }, (_, i) => `100.64.1.${i + 2}`));
  assert.throws(
    () => chooseGatewayHost(taken, { number: 1, lastHost: 7 }),
    /all 253 task addresses of this node are taken/,
  );
});

test("only a task on internal networks alone, publishing nothing, lives without a gateway", () => {
  const state = stateOf(network(), network({ id: "net2", internal: true }));
  const on = (ids: string[], ports: { targetPort: number }[] = []): boolean =>
    needsGateway(
      Task.fromPartial({ networks: ids.map((networkId) => ({ networkId })), endpoint: { ports } }),
      state,
    );
  assert.equal(on([]), true);
  assert.equal(on(["net1"]), true);
  assert.equal(on(["net2"]), false);
  assert.equal(on(["net1", "net2"]), true);
  assert.equal(on(["net2"], [{ targetPort: 80 }]), true);
});

test("an unknown network is named", () => {
  const task = Task.fromPartial({ id: "t", networks: [{ networkId: "none", addresses: ["10.0.0.3/24"] }] });
  assert.throws(() => overlaysOf(task, stateOf()), /network none of task t is not known on this node/);
});

test("resolv.conf names our resolver, and keeps what the service asks for", () => {
  assert.equal(resolvConfOf(Task.fromPartial({}), ""), "nameserver 127.0.0.11\noptions ndots:0\n");
  const dnsConfig = { nameservers: ["9.9.9.9"], search: ["a.test", "b.test"], options: ["ndots:2"] };
  const task = Task.fromPartial({ spec: { container: { dnsConfig } } });
  assert.equal(
    resolvConfOf(Task.fromPartial({}), HOST_RESOLV_CONF),
    "nameserver 127.0.0.11\nsearch host.test\noptions edns0 ndots:0\n",
  );
  const none = Task.fromPartial({ spec: { container: { dnsConfig: { search: ["."] } } } });
  assert.equal(resolvConfOf(none, HOST_RESOLV_CONF), "nameserver 127.0.0.11\noptions edns0 ndots:0\n");
  assert.equal(
    resolvConfOf(task, HOST_RESOLV_CONF),
    "nameserver 127.0.0.11\nsearch a.test b.test\noptions ndots:2\n",
  );
});

test("hosts name the container and what the service adds", () => {
  const text = etcHostsOf({
    hostname: "box",
    addresses: ["10.0.1.5", "100.64.1.2"],
    extraHosts: ["1.2.3.4 far away"],
  });
  assert.match(text, /^127\.0\.0\.1\tlocalhost$/m);
  assert.match(text, /^1\.2\.3\.4\tfar away$/m);
  assert.match(text, /^10\.0\.1\.5\tbox$/m);
});

test("host-gateway is the node, for who can reach it", () => {
  const own = { hostname: "box", addresses: [], extraHosts: ["host-gateway node.here"] };
  assert.match(etcHostsOf({ ...own, hostGateway: "100.64.1.1" }), /^100\.64\.1\.1\tnode\.here$/m);
  assert.doesNotMatch(etcHostsOf(own), /node\.here|host-gateway/);
});
