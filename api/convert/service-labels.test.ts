import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { BalancePolicy, PlacementStrategy } from "../../proto/gen/skein/v1/types.js";
import { Fields } from "./fields.js";
import { serviceSpecOut } from "./service-out.js";
import { serviceSpecIn } from "./service-spec-in.js";

const specWith = (labels: Record<string, string>): ReturnType<typeof serviceSpecIn> =>
  serviceSpecIn(Fields.of({ Name: "w", Labels: labels, TaskTemplate: { ContainerSpec: { Image: "i" } } }));

test("a placement strategy and devices come from labels and stay labels", () => {
  const labels = { "skein.placement.strategy": "binpack", "skein.devices": "acme.com/gpu=0, acme.com/gpu=1" };
  const spec = specWith(labels);
  assert.equal(spec.task?.placement?.strategy, PlacementStrategy.BIN_PACK);
  assert.deepEqual(spec.task?.container?.devices, ["acme.com/gpu=0", "acme.com/gpu=1"]);
  assert.deepEqual(spec.annotations?.labels, labels);
  const again = serviceSpecIn(Fields.of(JSON.parse(JSON.stringify(serviceSpecOut(spec)))));
  assert.deepEqual(again.task, spec.task);
  assert.equal(specWith({}).task?.placement, undefined);
});

test("a strategy or a device nobody knows is refused with label, rule and value", () => {
  for (const [label, value, words] of [
    [
      "skein.placement.strategy",
      "random",
      'label skein.placement.strategy must be spread or binpack, got "random"',
    ],
    [
      "skein.devices",
      "/dev/kvm",
      'label skein.devices must hold CDI names like vendor.com/class=name, got "/dev/kvm"',
    ],
  ] as const) {
    assert.throws(
      () => specWith({ [label]: value }),
      (error: unknown) => error instanceof InvalidArgumentError && error.message === words,
    );
  }
});

test("balance and idle timeout come from labels, which count more than the fields", () => {
  const spec = serviceSpecIn(
    Fields.of({
      Name: "w",
      Labels: { "skein.balance": "localfirst", "skein.idle-timeout": "1m30s" },
      TaskTemplate: { ContainerSpec: { Image: "i" } },
      EndpointSpec: { Balance: "sourcehash", IdleTimeout: 5_000_000_000 },
    }),
  );
  assert.equal(spec.endpoint?.balance, BalancePolicy.LOCAL_FIRST);
  assert.equal(spec.endpoint?.idleTimeoutMs, 90_000);
  assert.equal(specWith({ "skein.balance": "sourcehash" }).endpoint?.balance, BalancePolicy.SOURCE_HASH);
  assert.equal(specWith({}).endpoint, undefined);
  assert.throws(
    () => specWith({ "skein.balance": "random" }),
    /label skein.balance must be one of roundrobin, sourcehash, localfirst, got "random"/,
  );
  assert.throws(() => specWith({ "skein.idle-timeout": "90" }), /must be a duration such as 90s/);
  assert.throws(() => specWith({ "skein.idle-timeout": "9".repeat(200_000) }), /got "9{64}"/, "and at once");
});

test("balance and idle timeout survive the way in and out; what is usual is not shown", () => {
  const through = (EndpointSpec: object): unknown =>
    JSON.parse(
      JSON.stringify(
        serviceSpecOut(
          serviceSpecIn(
            Fields.of({ Name: "w", TaskTemplate: { ContainerSpec: { Image: "i" } }, EndpointSpec }),
          ),
        ),
      ),
    ).EndpointSpec;
  const asked = { Mode: "vip", Balance: "localfirst", IdleTimeout: 90_000_000_000 };
  assert.deepEqual(through(asked), asked);
  assert.deepEqual(through({ Balance: "roundrobin", IdleTimeout: 0 }), { Mode: "vip" });
  assert.throws(() => through({ Balance: "lc" }), InvalidArgumentError);
});

test("a virtual address is chosen by label or by field", () => {
  assert.deepEqual(specWith({ "skein.vip": "10.0.1.50, fd00::50" }).endpoint?.virtualAddresses, [
    "10.0.1.50",
    "fd00::50",
  ]);
  assert.throws(
    () => specWith({ "skein.vip": "10.0.1.50/24" }),
    /must hold IP addresses, got "10.0.1.50\/24"/,
  );
  const spec = serviceSpecIn(
    Fields.of({
      Name: "w",
      TaskTemplate: { ContainerSpec: { Image: "i" } },
      EndpointSpec: { VirtualAddresses: ["10.0.1.50"] },
    }),
  );
  assert.deepEqual(serviceSpecOut(spec)["EndpointSpec"], { Mode: "vip", VirtualAddresses: ["10.0.1.50"] });
});
