import assert from "node:assert/strict";
import { test } from "node:test";
import { Fields } from "./fields.js";
import { serviceSpecOut } from "./service-out.js";
import { serviceSpecIn } from "./service-spec-in.js";

function through(labels: Record<string, string>, ...Ports: object[]): { readonly Ports?: object[] } {
  const spec = serviceSpecIn(
    Fields.of({
      Name: "w",
      Labels: labels,
      TaskTemplate: { ContainerSpec: { Image: "i" } },
      EndpointSpec: { Ports },
    }),
  );
  return JSON.parse(JSON.stringify(serviceSpecOut(spec))).EndpointSpec;
}

const HTTP = { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" };

test("where a port is open, for whom, and what tasks see survives the way in and out", () => {
  const asked = {
    ...HTTP,
    HostAddresses: ["10.0.0.1", "eth1"],
    AllowedSources: ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::1/128"],
    SourceMode: "snat",
  };
  const given = { ...asked, AllowedSources: ["10.0.0.0/8", "192.0.2.7", "2001:db8::1"] };
  assert.deepEqual(through({}, given).Ports, [asked]);
  assert.deepEqual(through({}, { ...HTTP, SourceMode: "keep" }).Ports, [HTTP], "what is usual is not shown");
  assert.throws(() => through({}, { ...HTTP, SourceMode: "nat" }), /SourceMode/);
});

test("labels say the same for the stock client, and count more than the fields", () => {
  const labels = {
    "skein.publish.8080.addresses": "10.0.0.1, eth1",
    "skein.publish.8080.allow": "10.0.0.0/8",
    "skein.publish.8080/udp.allow": "192.168.0.0/16",
    "skein.publish.8080/tcp.source": "snat",
  };
  const udp = { ...HTTP, Protocol: "udp" };
  assert.deepEqual(through(labels, { ...HTTP, SourceMode: "proxy" }, udp).Ports, [
    { ...HTTP, HostAddresses: ["10.0.0.1", "eth1"], AllowedSources: ["10.0.0.0/8"], SourceMode: "snat" },
    { ...udp, HostAddresses: ["10.0.0.1", "eth1"], AllowedSources: ["192.168.0.0/16"] },
  ]);
});

test("a label that means no port, or says nothing known, is refused by name", () => {
  const refused = (label: string, value: string, rule: RegExp): void => {
    assert.throws(() => through({ [label]: value }, HTTP), rule);
  };
  refused(
    "skein.publish.9090.allow",
    "10.0.0.0/8",
    /skein\.publish\.9090\.allow: the service publishes no port 9090/,
  );
  refused("skein.publish.8080/udp.allow", "10.0.0.0/8", /publishes no port 8080\/udp/);
  refused("skein.publish.8080.source", "nat", /must be one of keep, snat, proxy, got "nat"/);
  refused("skein.publish.8080.allow", " , ", /skein\.publish\.8080\.allow names nothing/);
  refused("skein.publish.web.allow", "10.0.0.0/8", /must be skein\.publish\.<port>/);
});
