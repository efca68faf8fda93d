/**
 * nft transactions by libnftables. Edge: to the kernel. The library opens further sockets while it runs (to
 * resolve link names, and anew after an interrupted read), so every run happens inside the namespace, not
 * only the making of the context. Source: libnftables(3).
 */
import { closeSync } from "node:fs";
import { InternalError } from "../errors/errors.js";
import { cString, loadNft } from "./linux-koffi-calls.js";
import { netlinkSocketFd } from "./linux-koffi-netlink.js";
import { insideNetns, openNetns } from "./linux-koffi-netns.js";
import type { NftContext } from "./linux-ports.js";

const OUTPUT_JSON = 1 << 4;

export function openNft(netnsPath: string | undefined): NftContext {
  const library = loadNft();
  const where = netnsPath ?? "this network namespace";
  // where none can be had, the library would end the process
  closeSync(netlinkSocketFd(netnsPath, "netfilter"));
  const netns = netnsPath === undefined ? undefined : openNetns(netnsPath);
  let context: unknown;
  const close = (): void => {
    if (context !== undefined) library.free(context);
    context = undefined;
    if (netns !== undefined) closeSync(netns);
  };
  try {
    context = insideNetns(netns, where, () => library.create(0));
    if (library.bufferOutput(context) !== 0 || library.bufferError(context) !== 0) {
      throw new InternalError("nft could not make its buffers");
    }
  } catch (error) {
    close();
    throw error;
  }
  let open = true;
  const run = (text: string): void => {
    if (!open) throw new InternalError("nft context is closed");
    const status = insideNetns(netns, where, () => library.run(context, cString(text, "nft text")));
    if (status !== 0)
      throw new InternalError(`nft refused: ${(library.error(context) ?? "without a word").trim()}`);
  };
  return {
    run,
    list(text, options = {}): string {
      if (!open) throw new InternalError("nft context is closed");
      library.setOutputFlags(context, options.json ? OUTPUT_JSON : 0);
      run(text);
      return library.output(context) ?? "";
    },
    close(): void {
      if (open) close();
      open = false;
    },
  };
}
