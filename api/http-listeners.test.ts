/** Where the API listens: who may use a unix socket, from its first moment on. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { listenAll } from "./http-listeners.js";

const dir = mkdtempSync(join(tmpdir(), "skein-listen-"));
after(() => rmSync(dir, { recursive: true }));

test("a unix socket has no rights when it is bound, and the mask of the process is its own again at once", async () => {
  const path = join(dir, "s");
  const mask = process.umask();
  const seen: number[] = [];
  const prepare = (server: Server): void => {
    const { listen } = server;
    server.listen = ((...args: Parameters<Server["listen"]>) => {
      const result = listen.apply(server, args);
      seen.push(statSync(path).mode & 0o777);
      queueMicrotask(() => seen.push(process.umask()));
      return result;
    }) as Server["listen"];
  };
  const servers = await listenAll({ listeners: [{ kind: "unix", path }], group: "" }, prepare);
  const mode = statSync(path).mode & 0o777;
  for (const server of servers) server.close();
  assert.equal(mode, 0o660);
  assert.deepEqual(seen, [0o600, mask]);
});
