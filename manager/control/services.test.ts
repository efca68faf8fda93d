import assert from "node:assert/strict";
import { test } from "node:test";
import { ListServicesRequest } from "../../proto/gen/skein/v1/control.js";
import { Node, type Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  BalancePolicy,
  EndpointMode,
  EndpointSpec,
  IpamConfig,
  PortConfig,
  PortProtocol,
  PublishMode,
  type ServiceSpec,
  SourceMode,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import {
  addReferences,
  createService as create,
  createTestControl,
  serviceSpec,
  updateService as update,
} from "./control-fixtures.js";

test("a service is created, and found by id, name, any case of the name, and prefix", async () => {
  const t = await createTestControl();
  const service = await create(t, serviceSpec("web"));
  assert.equal(service.specVersion?.index, service.meta?.version?.index);
  for (const id of [service.id, "web", "WEB", service.id.slice(0, 6)]) {
    assert.equal((await t.ask(t.control.getService, { id })).service?.id, service.id);
  }
});

test("an unknown service, an empty and an ambiguous reference are refused", async () => {
  const t = await createTestControl();
  await assert.rejects(t.ask(t.control.getService, { id: "web" }), {
    code: "not-found",
    message: "service web not found",
  });
  await assert.rejects(t.ask(t.control.getService, { id: "" }), { code: "invalid-argument" });
  await t.store.update((tx) => {
    for (const id of ["aa1", "aa2"]) tx.create("service", { ...emptyService(), id, spec: serviceSpec(id) });
  });
  await assert.rejects(
    t.ask(t.control.getService, { id: "aa" }),
    /service aa is ambiguous \(2 matches found\)/,
  );
});

function emptyService(): Service {
  return {
    id: "",
    meta: undefined,
    spec: undefined,
    specVersion: undefined,
    previousSpec: undefined,
    previousSpecVersion: undefined,
    endpoint: undefined,
    updateStatus: undefined,
    jobStatus: undefined,
    pendingDelete: false,
    specChange: "",
  };
}

test("a taken name is refused as Docker words it", async () => {
  const t = await createTestControl();
  await create(t, serviceSpec("web"));
  await assert.rejects(create(t, serviceSpec("web")), {
    code: "already-exists",
    message: "name conflicts with an existing object: service web already exists",
  });
});

test("specifications that break a rule are refused, naming it", async () => {
  const t = await createTestControl();
  const container = (changes: object) => ({ task: { container: { image: "busybox", ...changes } } });
  const cases: readonly (readonly [string, Parameters<typeof serviceSpec>[1], RegExp])[] = [
    ["", {}, /name must be provided/],
    ["web.1", {}, /valid as a DNS name component/],
    ["x".repeat(64), {}, /63 characters or fewer/],
    [`${"x".repeat(62)}.`, {}, /valid as a DNS name component/], // and at once
    ["web", { task: { container: { image: "" } } }, /image reference must be provided/],
    ["web", { task: { container: { image: "Bad Image" } } }, /is not a valid repository\/tag/],
    ["web", { task: { container: { image: "library/Upper" } } }, /is not a valid repository\/tag/],
    ["web", { mode: undefined }, /needs a mode/],
    [
      "web",
      { mode: { $case: "replicated", value: { replicas: 1_000_000 } } },
      /replicas must be an integer from 0/,
    ],
    ["web", { update: { maxFailureRatio: 2 } }, /maxfailureratio cannot be less than 0 or bigger than 1/],
    ["web", { update: { delayMs: -1 } }, /update-delay cannot be negative/],
    [
      "web",
      container({ mounts: [{ type: "bind", source: "a", target: "/a" }] }),
      /invalid bind mount source/,
    ],
    ["web", container({ mounts: [{ type: "volume", target: "a" }] }), /must be an absolute path: a/],
    [
      "web",
      container({
        mounts: [
          { type: "tmpfs", target: "/a" },
          { type: "volume", target: "/a/" },
        ],
      }),
      /duplicate mount point/,
    ],
    ["web", container({ env: ["=x"] }), /invalid environment variable/],
    ["web", container({ healthcheck: { test: ["RUN", "x"] } }), /unknown type of health check/],
    [
      "web",
      { task: { container: { image: "a" }, placement: { constraints: ["node.role = manager"] } } },
      /constraint/,
    ],
    [
      "web",
      { task: { container: { image: "a" }, resources: { limits: { memoryBytes: 1024 } } } },
      /Must be at least 4MiB/,
    ],
    [
      "web",
      { task: { container: { image: "a" }, resources: { limits: { nanoCpus: 100 } } } },
      /Must be at least 0.001/,
    ],
    [
      "web",
      { task: { container: { image: "a" }, restart: { delayMs: -1 } } },
      /restart-delay cannot be negative/,
    ],
    [
      "web",
      { endpoint: { ports: [{ targetPort: 0, publishedPort: 80 }] } },
      /target port must be from 1 to 65535/,
    ],
    [
      "web",
      {
        endpoint: {
          ports: [
            { targetPort: 80, publishedPort: 80 },
            { targetPort: 81, publishedPort: 80 },
          ],
        },
      },
      /duplicate published ports provided/,
    ],
    [
      "web",
      { endpoint: { ports: [{ targetPort: 80, hostAddresses: ["10.0.0.1/8"] }] } },
      /host address of port 80 must be an IP address or the name of an interface, got "10.0.0.1\/8"/,
    ],
    [
      "web",
      { endpoint: { ports: [{ targetPort: 80, publishedPort: 90, allowedSources: ["10.0.0"] }] } },
      /allowed source of port 90 must be a subnet/,
    ],
    [
      "web",
      {
        endpoint: {
          ports: [{ targetPort: 53, protocol: PortProtocol.UDP, sourceMode: SourceMode.PROXY }],
        },
      },
      /source mode proxy of port 53 needs protocol tcp/,
    ],
    [
      "web",
      { endpoint: { mode: EndpointMode.DNSRR, ports: [{ targetPort: 80 }] } },
      /can't be used with dnsrr mode/,
    ],
    [
      "web",
      { endpoint: { mode: EndpointMode.DNSRR, balance: BalancePolicy.LOCAL_FIRST } },
      /balance can't be chosen with dnsrr mode/,
    ],
    ["web", { endpoint: { virtualAddresses: ["10.9.0.9"] } }, /needs a network of the service/],
    ["web", { endpoint: { idleTimeoutMs: 500 } }, /idle timeout must be from 1s to 480h, got 500 ms/],
    ["web", { endpoint: { mode: EndpointMode.DNSRR, idleTimeoutMs: 5_000 } }, /there are none/],
    [
      "web",
      { mode: { $case: "globalJob", value: {} }, update: {} },
      /update config is not allowed for a job/,
    ],
  ];
  for (const [name, changes, message] of cases) {
    await assert.rejects(create(t, serviceSpec(name, changes)), { code: "invalid-argument", message });
  }
  assert.equal(t.store.view((tx) => tx.list("service")).length, 0);
});

test("images with registry, port, tag and digest are accepted", async () => {
  const t = await createTestControl();
  const digest = `sha256:${"a".repeat(64)}`;
  for (const [i, image] of [
    "busybox",
    "library/busybox:1.36",
    "localhost:5000/a/b_c:x",
    `r.example.com/web@${digest}`,
    `web:1@${digest}`,
  ].entries()) {
    await create(t, serviceSpec(`s${i}`, { task: { container: { image } } }));
  }
});

test("references by name become ids, with the file they are mounted as", async () => {
  const t = await createTestControl();
  await addReferences(t);
  const { spec } = await create(
    t,
    serviceSpec("web", {
      task: {
        container: {
          image: "a",
          secrets: [{ secretName: "key" }],
          configs: [{ configName: "page", file: { name: "/etc/page", mode: 0o400 } }],
        },
        networks: [{ target: "front", aliases: ["w", "w"] }],
      },
    }),
  );
  assert.deepEqual(
    spec?.task?.networks.map(({ target, aliases }) => [target, aliases]),
    [["net1", ["w"]]],
  );
  assert.deepEqual(spec?.task?.container?.secrets, [
    {
      secretId: "sec1",
      secretName: "key",
      file: { name: "key", uid: "0", gid: "0", mode: 0o444 },
      version: 1,
    },
  ]);
  assert.deepEqual(spec?.task?.container?.configs, [
    {
      configId: "cfg1",
      configName: "page",
      file: { name: "/etc/page", uid: "0", gid: "0", mode: 0o400 },
      version: 1,
    },
  ]);
});

test("references to nothing, to the ingress network, and twice to one place are refused", async () => {
  const t = await createTestControl();
  await addReferences(t);
  const withTask = (task: object): ServiceSpec =>
    serviceSpec("web", { task: { container: { image: "a" }, ...task } });
  const withContainer = (changes: object): ServiceSpec => withTask({ container: { image: "a", ...changes } });
  await assert.rejects(create(t, withTask({ networks: [{ target: "back" }] })), {
    code: "not-found",
    message: "network back not found",
  });
  await assert.rejects(create(t, withTask({ networks: [{ target: "ingress" }] })), /publish a port instead/);
  await assert.rejects(
    create(t, withTask({ networks: [{ target: "front" }, { target: "net1" }] })),
    /more than once/,
  );
  await assert.rejects(
    create(t, withContainer({ secrets: [{ secretName: "lock" }] })),
    /secret lock not found/,
  );
  await assert.rejects(create(t, withContainer({ configs: [{ configId: "zz" }] })), /config zz not found/);
  const twice = [{ secretName: "key" }, { secretId: "sec1", file: { name: "key" } }];
  await assert.rejects(
    create(t, withContainer({ secrets: twice })),
    /secret references 'key' and 'key' have a conflicting target: 'key'/,
  );
});

test("a chosen address is in a subnet of its network, as soon as that has one of its family", async () => {
  const t = await createTestControl();
  await addReferences(t);
  const at = (name: string, ...addresses: readonly string[]): ServiceSpec =>
    serviceSpec(name, {
      task: { container: { image: "a" }, networks: [{ target: "front", addresses: [...addresses] }] },
    });
  await create(t, at("early", "10.9.9.9"));
  await t.store.update((tx) => {
    const network = tx.get("network", "net1");
    assert.ok(network);
    tx.update("network", { ...network, ipam: [IpamConfig.fromPartial({ subnet: "10.0.1.0/24" })] });
  });
  await create(t, at("inside", "10.0.1.9", "fd00::9"));
  await assert.rejects(
    create(t, at("outside", "10.0.2.9")),
    /address 10\.0\.2\.9 is in no subnet of network front: 10\.0\.1\.0\/24/,
  );
});

test("a network of the node is named, alone, and nothing is published there", async () => {
  const t = await createTestControl();
  await addReferences(t);
  const on = (name: string, ...targets: readonly string[]): ServiceSpec =>
    serviceSpec(name, {
      task: { container: { image: "a" }, networks: targets.map((target) => ({ target })) },
    });
  const service = await create(t, on("exporter", "host"));
  assert.deepEqual(
    service.spec?.task?.networks.map(({ target }) => target),
    ["host"],
  );
  await create(t, on("offline", "none"));
  await assert.rejects(
    create(t, on("both", "host", "front")),
    /network host of the node excludes other networks/,
  );
  const published = {
    ...on("web", "host"),
    endpoint: EndpointSpec.fromPartial({ ports: [{ targetPort: 80 }] }),
  };
  await assert.rejects(create(t, published), /network host of the node excludes published ports/);
  const chosen = {
    ...on("vip", "none"),
    endpoint: EndpointSpec.fromPartial({ virtualAddresses: ["10.0.1.9"] }),
  };
  await assert.rejects(create(t, chosen), /network none of the node excludes virtual addresses/);
});

test("a port that the swarm itself talks through cannot be published", async () => {
  const t = await createTestControl();
  await t.store.update((tx) => {
    const cluster = tx.list("cluster")[0];
    assert.ok(cluster);
    tx.update("cluster", { ...cluster, vxlanUdpPort: 4789 });
    const managerStatus = { raftId: 1, address: "10.0.0.1:2377", leader: false, reachability: "" };
    tx.create("node", Node.fromPartial({ id: "other", managerStatus }));
  });
  const publishing = (publishedPort: number, protocol: PortProtocol): ServiceSpec =>
    serviceSpec("web", { endpoint: { ports: [{ targetPort: 80, publishedPort, protocol }] } });
  await assert.rejects(
    create(t, publishing(2377, PortProtocol.TCP)),
    /port '2377' is used by the swarm itself/,
  );
  await assert.rejects(
    create(t, publishing(4789, PortProtocol.UDP)),
    /port '4789' is used by the swarm itself/,
  );
  await create(t, publishing(4789, PortProtocol.TCP));
});

test("a published port in use by another service is refused, also one that the allocator gave", async () => {
  const t = await createTestControl();
  const publishing = (
    name: string,
    publishedPort: number,
    publishMode: PublishMode = PublishMode.INGRESS,
  ): ServiceSpec =>
    serviceSpec(name, { endpoint: { ports: [{ targetPort: 80, publishedPort, publishMode }] } });
  const web = await create(t, publishing("web", 8080));
  await assert.rejects(create(t, publishing("api", 8080)), {
    code: "invalid-argument",
    message: `port '8080' is already in use by service 'web' (${web.id}) as an ingress port`,
  });
  await assert.rejects(create(t, publishing("api", 8080, PublishMode.HOST)), /already in use/);
  await create(t, publishing("h1", 9090, PublishMode.HOST));
  await create(t, publishing("h2", 9090, PublishMode.HOST));
  await assert.rejects(create(t, publishing("api", 9090)), /as a host-published port/);
  await t.store.update((tx) => {
    const found = tx.get("service", web.id);
    assert.ok(found);
    const ports = [PortConfig.fromPartial({ targetPort: 80, publishedPort: 30001 })];
    tx.update("service", { ...found, endpoint: { spec: found.spec?.endpoint, ports, virtualIps: [] } });
  });
  await assert.rejects(create(t, publishing("api", 30001)), /already in use by service 'web'/);
  await update(t, web.id, publishing("web", 8080)); // its own port is no conflict
});

test("a removed service is gone at once; its tasks are the orchestrator's", async () => {
  const t = await createTestControl();
  const { id } = await create(t, serviceSpec("web"));
  await t.store.update((tx) => tx.create("task", Task.fromPartial({ id: "t1", serviceId: id })));
  await t.ask(t.control.removeService, { id: "web" });
  await assert.rejects(t.ask(t.control.removeService, { id: "web" }), {
    code: "not-found",
    message: "service web not found",
  });
  assert.equal(t.store.view((tx) => tx.list("task")).length, 1);
  await create(t, serviceSpec("web"));
});

test("services are listed by name, label and mode, with counts when asked", async () => {
  const t = await createTestControl();
  const web = await create(
    t,
    serviceSpec("web", {
      annotations: { name: "web", labels: { tier: "front" } },
      mode: { $case: "replicated", value: { replicas: 2 } },
    }),
  );
  await create(t, serviceSpec("agent", { mode: { $case: "global", value: {} } }));
  await t.store.update((tx) => {
    const state = { state: TaskState.RUNNING };
    tx.create(
      "task",
      Task.fromPartial({
        id: "t1",
        serviceId: web.id,
        slot: 1,
        desiredState: TaskState.RUNNING,
        status: state,
      }),
    );
    tx.create(
      "task",
      Task.fromPartial({
        id: "t2",
        serviceId: web.id,
        slot: 2,
        desiredState: TaskState.SHUTDOWN,
        status: state,
      }),
    );
  });
  const names = async (request: Parameters<typeof ListServicesRequest.fromPartial>[0]): Promise<string[]> => {
    const { services } = await t.ask(t.control.listServices, ListServicesRequest.fromPartial(request));
    return services.map(({ spec }) => spec?.annotations?.name ?? "").sort();
  };
  assert.deepEqual(await names({}), ["agent", "web"]);
  assert.deepEqual(await names({ modes: ["global"] }), ["agent"]);
  assert.deepEqual(await names({ filters: { names: ["we"] } }), ["web"]);
  assert.deepEqual(await names({ filters: { exactNames: ["we"] } }), []);
  assert.deepEqual(await names({ filters: { labelKeys: ["tier"] } }), ["web"]);
  assert.deepEqual(await names({ filters: { labels: { tier: "back" } } }), []);
  const { counts } = await t.ask(t.control.listServices, ListServicesRequest.fromPartial({ status: true }));
  assert.deepEqual(counts[web.id], { running: 1, desired: 2, completed: 0 });
});
