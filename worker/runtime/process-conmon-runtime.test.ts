/** The runtime port on real conmon with crun and with runc. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import { silentLogger } from "../../base/log/logger.js";
import { type ContainerLab, openContainerLab } from "../containers/container-lab.js";
import { capabilitySet } from "./capabilities.js";
import { isAlive, processOf } from "./linux-process.js";
import type { OciRuntime, RuntimeExit } from "./oci-runtime.js";
import { buildOciSpec } from "./oci-spec.js";
import type { OciSpec } from "./oci-types.js";
import { openConmonRuntime } from "./process-conmon-runtime.js";
import { SeccompFilters } from "./seccomp-filter.js";

for (const prefer of ["crun", "runc"] as const) {
  describe(`runtime on conmon and ${prefer}`, () => {
    let lab: ContainerLab;
    let runDir: string;
    let cgroupParent: string;
    let count = 0;
    before(async () => {
      lab = await openContainerLab();
      runDir = join(lab.dir, "..", "q");
      cgroupParent = `${lab.cgroupParent}-q`;
    });
    after(() => lab.close());

    const open = async (): Promise<OciRuntime> => {
      const linux = await openKoffiLinux();
      return openConmonRuntime({
        runDir,
        cgroupParent,
        linux,
        clock: systemClock,
        log: silentLogger,
        prefer,
      });
    };

    function specOf(id: string, args: readonly string[]): OciSpec {
      const capabilities = capabilitySet({ add: [], drop: [] });
      const seccomp = new SeccompFilters(prefer, process.arch).choose({ kind: "default" }, capabilities);
      return buildOciSpec({
        rootfs: join(lab.dir, "..", "lower"),
        readOnly: true,
        args,
        env: ["PATH=/bin"],
        cwd: "/",
        user: { uid: 0, gid: 0, additionalGids: [] },
        tty: false,
        hostname: "h",
        capabilities,
        ulimits: [],
        sysctls: {},
        noNewPrivileges: true,
        oomScoreAdj: 0,
        resources: { memoryBytes: 0, swapBytes: undefined, nanoCpus: 0, pidsLimit: 0 },
        cgroupPath: `${cgroupParent}/${id}`,
        network: { kind: "none" },
        mounts: [],
        seccompBpf: seccomp.bpf,
        seccomp: seccomp.json,
      });
    }

    function createOptions(args: readonly string[]): Parameters<OciRuntime["create"]>[0] {
      const id = String(count++).padStart(64, "e");
      return {
        id,
        name: id.slice(-8),
        spec: specOf(id, args),
        logPath: join(lab.dir, `${id}.log`),
        tty: false,
        openStdin: false,
      };
    }

    it("a missing program is refused with the runtime's words, and nothing is left", async () => {
      const runtime = await open();
      const options = createOptions(["/no/such/program"]);
      await assert.rejects(
        (async () => {
          await runtime.create(options);
          await runtime.start(options.id); // runc looks for the program only now
        })(),
        /no such file/i,
      );
      await runtime.delete(options.id);
      assert.equal(await runtime.findLeftover(options.id), undefined);
      await runtime.close();
    });

    it("a start cut short is finished when the container is adopted", async () => {
      const first = await open();
      const options = createOptions(["sh", "-c", "exit 9"]);
      const target = await first.create(options);
      await first.close();
      assert.ok(isAlive(target), "created, its process waits");
      const second = await open();
      const exit = new Promise<RuntimeExit>((resolve) => second.onExit(resolve));
      await second.adopt(options.id, target);
      assert.equal((await exit).exitCode, 9);
      await second.delete(options.id);
      await second.close();
    });

    it("a command inside gives its code and words; out of time it is killed", async () => {
      const runtime = await open();
      const options = createOptions(["sleep", "100"]);
      const target = await runtime.create(options);
      await runtime.start(options.id);
      const result = await runtime.exec(options.id, ["sh", "-c", "echo words; exit 3"], {
        timeoutMs: 10_000,
      });
      assert.deepEqual(result, { exitCode: 3, output: "words\n" });
      const late = await runtime.exec(options.id, ["sleep", "55"], { timeoutMs: 300 });
      assert.equal(late.exitCode, -1);
      const inside = await runtime.exec(options.id, ["sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '"], {
        timeoutMs: 10_000,
      });
      assert.doesNotMatch(inside.output, /sleep 55/);
      const exit = new Promise<RuntimeExit>((resolve) => runtime.onExit(resolve));
      runtime.kill(target, 9);
      assert.equal((await exit).exitCode, 137);
      await runtime.delete(options.id);
      assert.equal(processOf(target.pid), undefined);
      await runtime.close();
    });

    it("without a monitor the log cannot be reopened, and nothing hangs", async () => {
      const runtime = await open();
      const options = createOptions(["sleep", "100"]);
      await assert.rejects(runtime.reopenLog(options.id), /ENOENT|ENXIO/);
      await runtime.close();
    });
  });
}
