/**
 * Data of secrets along with the deployments that ask for it: new data, going back to old, and prune.
 * Asked for as clients do, of the control API.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import { DeployStackRequest, RollbackStackRequest } from "../../../proto/gen/skein/v1/stacks.js";
import { TaskState } from "../../../proto/gen/skein/v1/types.js";
import { StackLab } from "../../../test/support/stack-lab.js";
import { eventOf } from "../../control/cluster-events.js";
import { StackControl } from "../control/stack-control.js";

interface Wish {
  readonly data?: string;
  readonly image?: string;
}

/** Services web, with secret key when there is data, and db. */
function definition({ data, image = "app:1" }: Wish): StackDefinition {
  const secrets = data === undefined ? [] : [{ secretName: "shop_key", file: { name: "key" } }];
  const service = (key: string, container: object) => ({
    key,
    spec: {
      annotations: { name: `shop_${key}` },
      mode: { $case: "replicated", value: { replicas: 1 } } as const,
      task: { container },
      update: { parallelism: 1, monitorMs: 1 },
    },
  });
  return StackDefinition.fromPartial({
    secrets:
      data === undefined ? [] : [{ key: "key", annotations: { name: "shop_key" }, data: Buffer.from(data) }],
    services: [service("web", { image, secrets }), service("db", { image: "db:1" })],
  });
}

class DataLab extends StackLab {
  readonly control = new StackControl(this.test);

  async wish(wish: Wish, prune = false): Promise<boolean> {
    const request = DeployStackRequest.fromPartial({ name: "shop", definition: definition(wish), prune });
    const { changed } = await this.control.deploy(request);
    await this.settle();
    await this.toTheEnd("shop");
    return changed;
  }

  get version(): number | undefined {
    return this.named("shop_web")?.spec?.task?.container?.secrets[0]?.version;
  }

  get secrets(): readonly string[] {
    const all = this.test.store.view((tx) => tx.list("secret"));
    return all.map(({ annotations, dataVersion }) => `${annotations?.name} ${dataVersion}`);
  }
}

async function dataLab(): Promise<DataLab> {
  const lab = new DataLab();
  await lab.addNodes("n1");
  lab.run = (task) =>
    task.spec?.container?.image === "bad:1"
      ? { state: TaskState.FAILED, err: "exit code 1" }
      : { state: TaskState.RUNNING };
  return lab;
}

test("new data is a new version for the service alone that asks for it; going back asks for the old one", async () => {
  const lab = await dataLab();
  await lab.wish({ data: "one" });
  const db = lab.named("shop_db");
  await lab.wish({ data: "two" });
  assert.deepEqual([lab.version, lab.secrets], [2, ["shop_key 2"]]);
  await lab.wish({ data: "three", image: "bad:1" });
  assert.match(lab.tell("shop"), /^went back 3, good 2: web reached, db unchanged/);
  assert.deepEqual([lab.version, lab.secrets], [2, ["shop_key 3"]]);
  const web = lab.named("shop_web");
  assert.equal(await lab.wish({ data: "two" }), false, "what is there is what is wanted");
  assert.equal(lab.named("shop_web"), web);
  assert.equal(lab.named("shop_db"), db);
  await lab.close();
});

test("prune leaves a secret that a good revision needs, and a rollback finds its data", async () => {
  const lab = await dataLab();
  await lab.wish({ data: "one" });
  await lab.wish({}, true);
  assert.deepEqual([lab.version, lab.secrets], [undefined, ["shop_key 1"]]);
  assert.equal(await lab.wish({}, true), false, "which is no change to be made again and again");
  await lab.control.rollback(RollbackStackRequest.fromPartial({ name: "shop", revision: 1 }));
  await lab.settle();
  await lab.toTheEnd("shop");
  assert.match(lab.tell("shop"), /^reached 3, good 3/);
  assert.equal(lab.version, 1);
  await lab.close();
});

test("a secret that a failed first deployment brought goes with it", async () => {
  const lab = await dataLab();
  await lab.wish({ data: "one", image: "bad:1" });
  assert.match(lab.tell("shop"), /^went back 1, good 0: web removed, db removed/);
  assert.deepEqual(lab.secrets, []);
  await lab.close();
});

test("phases of a stack are events, with the cause of a failure; steps within a phase are none", async () => {
  const lab = await dataLab();
  const told: string[] = [];
  const watch = lab.test.store.watch({
    tables: ["stack"],
    wake: () => {
      for (const { index, changes } of watch.take())
        for (const change of changes) {
          const event = eventOf(change, { index, ordinal: 0, timeMs: 0 });
          const { revision, failure = "" } = event?.attributes ?? {};
          const phase = event?.attributes["phase.new"];
          if (event !== undefined)
            told.push(`${event.action} ${revision} ${phase} ${failure.slice(0, 21)}`.trim());
        }
    },
  });
  await lab.wish({ data: "one" });
  await lab.wish({ image: "bad:1" });
  watch.close();
  assert.deepEqual(told, [
    "create 1 applying",
    "update 1 reached",
    "update 2 applying",
    "update 2 going back service web: update p",
    "update 2 went back service web: update p",
  ]);
  await lab.close();
});
