/**
 * Where the promises of linux-port.ts are tried. Edge: to node:test, and to the kernel: it needs root and
 * nsenter. Everything happens in namespaces and folders of its own, which go afterwards.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { InternalError, NotImplementedError } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";

export interface LinuxWorld {
  readonly open: () => Promise<Linux>;
  /** Calls that this implementation must refuse, naming the remedy. */
  readonly refuses?: readonly (keyof Linux)[];
  /** Why a call cannot be tried on this machine. */
  readonly lacks?: Partial<Readonly<Record<keyof Linux, string>>>;
}

export interface Lab {
  readonly linux: Linux;
  /** A folder of its own. */
  readonly dir: string;
  /** A namespace of its own. */
  readonly netns: string;
}

/**
 * An errno as the last word of an InternalError. A refusal of the whole call goes through to who expects it.
 */
export const errno =
  (...names: string[]) =>
  (error: unknown): boolean => {
    if (error instanceof NotImplementedError) throw error;
    assert.ok(error instanceof InternalError);
    assert.match(error.message, new RegExp(` (${names.join("|")})$`));
    return true;
  };

export function inside(netns: string, argv: readonly string[], input = ""): string {
  return execFileSync("nsenter", [`--net=${netns}`, ...argv], { input, encoding: "utf8" });
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

/** @param part once for what opens lazily, then with a count. */
export async function assertLeaksNothing(part: () => unknown): Promise<void> {
  await part();
  const before = openDescriptors();
  await part();
  assert.equal(openDescriptors(), before);
}

/** A promise about `call`. */
export type Promised = (call: keyof Linux, title: string, body: (lab: Lab) => unknown) => void;

/** Each promise is a test: that it is kept, or that the call is refused with the remedy. */
export function promising(name: string, world: LinuxWorld): Promised {
  return (call, title, body) => {
    const refused = world.refuses?.includes(call) === true;
    const reason = world.lacks?.[call];
    const options = reason === undefined ? {} : { skip: reason };
    test(`${name}: ${refused ? `${call} is refused: ` : ""}${title}`, options, async () => {
      const linux = await world.open();
      const dir = mkdtempSync(join(tmpdir(), "skein-linux-"));
      const netns = join(dir, "netns");
      linux.createNetns(netns);
      try {
        if (!refused) await body({ linux, dir, netns });
        else {
          await assert.rejects(
            async () => body({ linux, dir, netns }),
            (error) => {
              assert.ok(error instanceof NotImplementedError);
              assert.match(error.message, new RegExp(`^${call} .*needs system calls.*koffi`));
              return true;
            },
          );
        }
      } finally {
        await linux.deleteNetns(netns);
        rmSync(dir, { recursive: true });
      }
    });
  };
}
