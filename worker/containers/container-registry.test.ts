/** How containers are found, and named. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { newRecord } from "./container-admission.js";
import { ContainerEntry } from "./container-entry.js";
import { defaultSpecification } from "./container-lab.js";
import { admittedName, generatedName } from "./container-names.js";
import { ContainerRegistry } from "./container-registry.js";

function registryOf(...containers: readonly (readonly [id: string, name: string])[]): ContainerRegistry {
  const registry = new ContainerRegistry();
  for (const [id, name] of containers) {
    const { files: _files, ...specification } = defaultSpecification(name);
    registry.takeName(name, id);
    const record = newRecord({ id, specification, imageId: "sha256:x", createdMs: 1 });
    registry.add(new ContainerEntry({ record, files: [], volumes: [] }));
  }
  return registry;
}

describe("container registry", () => {
  it("finds by id, name, slash and name, unique beginning", () => {
    const registry = registryOf(["abc1", "web"], ["abd2", "db"]);
    for (const text of ["abc1", "web", "/web", "abc"]) assert.equal(registry.get(text).id, "abc1", text);
  });

  it("an ambiguous beginning is neither found nor guessed", () => {
    const registry = registryOf(["abc1", "web"], ["abd2", "db"]);
    assert.equal(registry.find("ab"), undefined);
    assert.throws(() => registry.get("ab"), /multiple IDs found with provided prefix: ab/i);
    assert.throws(() => registry.get("ff"), /No such container: ff/);
  });

  it("a whole name comes before the beginning of an id", () => {
    const registry = registryOf(["abc1", "web"], ["fff2", "ab"]);
    assert.equal(registry.get("ab").id, "fff2");
  });

  it("a name is taken once, and free again after its container", () => {
    const registry = registryOf(["abc1", "web"]);
    assert.throws(() => registry.takeName("web", "x"), /name "\/web" is already in use by container "abc1"/);
    registry.remove(registry.get("web"));
    registry.takeName("web", "x");
  });
});

describe("container names", () => {
  it("made-up names avoid taken ones, with a number when need be", () => {
    const random = new SeededRandom(1);
    const name = generatedName(random, (candidate) => !/\d/.test(candidate));
    assert.match(name, /^[a-z]+_[a-z]+\d+$/);
  });

  it("given names follow Docker's rule", () => {
    assert.equal(admittedName("/a.b-c_1"), "a.b-c_1");
    for (const bad of ["a", "", "-ab", "a/b", "a b", `a${"b".repeat(255)}`]) {
      assert.throws(() => admittedName(bad), /only \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\] are allowed/, bad);
    }
  });
});
