import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerEvent } from "../proto/engine/containers.js";
import { MemoryContainers } from "../test/support/memory-containers.js";
import { containerIn } from "./convert/container-in.js";
import { Fields } from "./convert/fields.js";
import { containerEvent, imageEvent, networkEvent, volumeEvent } from "./docker-events.js";
import { PLAIN_SETTINGS } from "./engine-settings-fixtures.js";
import type { EngineEvent } from "./event-journal.js";
import { type Filters, parseFilters } from "./filters.js";
import { wanted } from "./routes/event-routes.js";

async function eventsOf(change: (containers: MemoryContainers, id: string) => void): Promise<EngineEvent[]> {
  const containers = new MemoryContainers({ nowMs: () => 1_000, imageId: () => "sha256:1" });
  const body = Fields.of({ Image: "docker.io/library/web:1", Cmd: ["x"], Labels: { tier: "front" } });
  const { specification } = containerIn(body, "goose", {
    apiMinor: 51,
    runtime: "crun",
    cgroupVersion: "2",
    cpus: 1,
    defaults: PLAIN_SETTINGS.container,
    defaultSeccomp: { kind: "default" as const },
    pathExists: () => true,
    containerId: () => undefined,
  });
  const { id } = await containers.create(specification);
  const heard: ContainerEvent[] = [];
  containers.onEvent((event) => heard.push(event));
  change(containers, id);
  return heard.map(containerEvent);
}

test("container events carry labels, image, name and what the action adds; commands stand in the action", async () => {
  const [exec, health, die, commit] = await eventsOf((containers, id) => {
    containers.emit(id, "exec_create", { execID: "e1", command: "sh -c date" });
    containers.change(id, { health: "healthy" }, "health");
    containers.exit(id, 3);
    containers.emit(id, "commit", { imageRef: "docker.io/library/made:1" });
  });
  assert.equal(exec?.action, "exec_create: sh -c date");
  assert.deepEqual(exec?.attributes, { tier: "front", image: "web:1", name: "goose", execID: "e1" });
  assert.equal(health?.action, "health_status: healthy");
  assert.deepEqual([die?.action, die?.attributes["exitCode"]], ["die", "3"]);
  assert.equal(commit?.attributes["imageRef"], "made:1");
});

test("images, volumes and networks are told with Docker's actors", () => {
  const timeMs = 5;
  const image = { reference: "docker.io/library/web:1", imageId: "sha256:1", timeMs };
  assert.equal(imageEvent({ kind: "pull", ...image })?.id, "web:1");
  assert.equal(imageEvent({ kind: "tag", ...image })?.id, "sha256:1");
  assert.equal(imageEvent({ kind: "commit", ...image }), undefined);
  const volume = { name: "v", driver: "local", timeMs };
  const mounted = { target: "/v", name: "v", readOnly: true };
  assert.deepEqual(volumeEvent({ kind: "mount", containerId: "c", ...volume }, mounted).attributes, {
    driver: "local",
    container: "c",
    destination: "/v",
    "read/write": "false",
    propagation: "",
  });
  const network = { id: "n1", name: "pond", driver: "bridge" };
  assert.deepEqual(networkEvent({ kind: "connect", network, containerId: "c", timeMs }).attributes, {
    container: "c",
    name: "pond",
    type: "bridge",
  });
});

test("filters of events: all must hold, of the values of one any", async () => {
  const [exec, die] = await eventsOf((containers, id) => {
    containers.emit(id, "exec_start", { execID: "e1", command: "ls" });
    containers.exit(id, 0);
  });
  assert.ok(exec !== undefined && die !== undefined);
  const filters = (given: object): Filters => parseFilters(JSON.stringify(given), Object.keys(given));
  const shows = (event: EngineEvent, given: object): boolean =>
    wanted(event, filters(given), { id: "E1", name: "host1" });
  assert.deepEqual(
    [
      shows(exec, { event: ["exec_start"] }),
      shows(exec, { event: ["exec_start: ls", "die"] }),
      shows(exec, { event: ["exec"] }),
      shows(die, { container: ["goose"], type: ["container"] }),
      shows(die, { container: [die.id.slice(0, 12)] }),
      shows(die, { container: ["duck"] }),
      shows(die, { image: ["web"] }),
      shows(die, { image: ["web:2"] }),
      shows(die, { label: ["tier=front"], scope: ["local"] }),
      shows(die, { label: ["tier=back"] }),
      shows(die, { daemon: ["host1"] }),
      shows({ ...die, type: "daemon" }, { daemon: ["host1"] }),
      shows(die, { container: ["goose"], network: ["pond"] }),
    ],
    [true, true, false, true, true, false, true, false, true, false, false, true, false],
  );
});
