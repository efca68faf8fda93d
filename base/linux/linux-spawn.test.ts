import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { linuxPortContract } from "../../test/contract/linux-port.js";
import { FailedPreconditionError } from "../errors/errors.js";
import { openSpawnLinux } from "./linux-spawn.js";
import { run, runAside } from "./process-command.js";

const hasSetfattr = spawnSync("setfattr", ["--version"]).error === undefined;

linuxPortContract("linux-spawn", {
  open: async () => openSpawnLinux(),
  refuses: [
    "inNetns",
    "netlink",
    "bindSocket",
    "connectSeqPacket",
    "readXattrs",
    "openInRoot",
    "connectDatagram",
    "duplicate",
    "pipe",
  ],
  lacks: hasSetfattr ? {} : { setXattr: "the command setfattr is not installed (package attr)" },
});

test("a command that is not installed is named, with where it comes from", async () => {
  const attempt = { call: "mount", target: "/x" };
  const expected = (error: unknown): boolean =>
    error instanceof FailedPreconditionError &&
    /mount of \/x needs the command skein-none: install/.test(error.message);
  assert.throws(() => run(attempt, ["skein-none"]), expected);
  await assert.rejects(runAside(attempt, ["skein-none"]), expected);
});
