import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger } from "../../base/log/logger.js";
import { cdiDeviceNames } from "./fs-cdi-registry.js";

function spec(kind: string, names: readonly string[]): string {
  const devices = names.map((name) => ({ name, containerEdits: { env: ["A=b"] } }));
  return JSON.stringify({ cdiVersion: "0.6.0", kind, devices });
}

test("a node tells the devices of all its CDI files, sorted, and no more than fit", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-cdi-"));
  try {
    const folders = [join(dir, "a"), join(dir, "none")];
    mkdirSync(join(dir, "a"));
    writeFileSync(join(dir, "a", "gpu.json"), spec("vendor.com/gpu", ["b", "a"]));
    writeFileSync(join(dir, "a", "bad.json"), "{");
    const names = (): Promise<readonly string[]> => cdiDeviceNames({ folders, log: silentLogger });
    assert.deepEqual(await names(), ["vendor.com/gpu=a", "vendor.com/gpu=b"]);
    const many = Array.from({ length: 900 }, (_, n) => `d${n}`);
    writeFileSync(join(dir, "a", "net.json"), spec("vendor.com/net", many));
    assert.equal((await names()).length, 512);
    writeFileSync(
      join(dir, "a", "net.json"),
      spec(
        "vendor.com/net",
        many.map((name) => name.padEnd(200, "x")),
      ),
    );
    assert.ok((await names()).join().length <= 16 * 1024);
    writeFileSync(join(dir, "file"), "");
    assert.deepEqual(await cdiDeviceNames({ folders: [join(dir, "file")], log: silentLogger }), []);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
