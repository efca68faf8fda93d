/**
 * Progress as Docker streams it: one JSON object per line, and an error as the last of them once the stream
 * has begun. Edge: to the HTTP exchange.
 * Bound: lines not yet taken by a slow client; past it, progress (not results) is left out.
 */
import { messageOf } from "../base/errors/errors.js";
import type { ImageProgress } from "../proto/engine/images.js";
import type { JsonObject } from "./convert/shape.js";
import type { Exchange } from "./http-exchange.js";

const PROGRESS_BYTES_MAX = 256 * 1024;
const PLAIN = /^(?:The push refers to repository|Digest:|Status:|WARNING:|Pulling from )/;

export interface ProgressStream {
  readonly signal: AbortSignal;
  /** May be left out when the client is slow. */
  report(progress: ImageProgress): void;
  /** Is never left out. */
  tell(line: JsonObject): Promise<void>;
}

/**
 * @param options early: whether the stream begins before the first line, so that an error is a line of it.
 */
export async function streamProgress(
  exchange: Exchange,
  work: (stream: ProgressStream) => Promise<void>,
  options: { early?: boolean } = {},
): Promise<undefined> {
  const signal = exchange.gone();
  let begun = false;
  let over = false;
  const begin = (): void => {
    if (!begun) exchange.startStream("application/json");
    begun = true;
  };
  if (options.early === true) begin();
  const tell = async (line: JsonObject): Promise<void> => {
    begin();
    await exchange.write(`${JSON.stringify(line)}\r\n`);
  };
  const report = (progress: ImageProgress): void => {
    if (over) return; // what ends late (another layer of a pull that failed) has nobody to tell
    begin();
    if (exchange.response.writableLength < PROGRESS_BYTES_MAX && !signal.aborted)
      exchange.response.write(linesOf(progress));
  };
  try {
    await work({ signal, report, tell });
    begin();
  } catch (error) {
    if (!begun) throw error;
    const message = messageOf(error);
    await tell({ errorDetail: { message }, error: message });
  } finally {
    over = true;
  }
  exchange.response.end();
  exchange.request.resume(); // what is left of a body is dropped, so that the client comes to read the answer
  return undefined;
}

function linesOf({ status, id, currentBytes, totalBytes, aux }: ImageProgress): string {
  const isPlain = totalBytes === undefined && PLAIN.test(status);
  const line =
    isPlain || aux !== undefined
      ? { status, ...(id === undefined ? {} : { id }) }
      : {
          status,
          progressDetail: totalBytes === undefined ? {} : { current: currentBytes ?? 0, total: totalBytes },
          ...(totalBytes === undefined ? {} : { progress: barOf(currentBytes ?? 0, totalBytes) }),
          ...(id === undefined ? {} : { id }),
        };
  const lines = [JSON.stringify(line)];
  if (aux !== undefined)
    lines.push(
      JSON.stringify({
        progressDetail: {},
        aux: { Tag: aux.tag, Digest: aux.digest, Size: aux.sizeBytes },
      }),
    );
  return lines.map((text) => `${text}\r\n`).join("");
}

const BAR_WIDTH = 50;

/** "[====>      ]  1.2MB/3.4MB" */
function barOf(current: number, total: number): string {
  const done = total <= 0 ? BAR_WIDTH : Math.min(BAR_WIDTH, Math.floor((current / total) * BAR_WIDTH));
  const bar = done >= BAR_WIDTH ? `${"=".repeat(BAR_WIDTH)}>` : `${"=".repeat(done)}>`;
  const amount = total <= 0 ? sizeText(current) : `${sizeText(current)}/${sizeText(total)}`;
  return `[${bar.padEnd(BAR_WIDTH)}]  ${amount}`;
}

/** Decimal units with four digits, as Docker has them. */
function sizeText(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (value < 1_000) return `${Number(value.toPrecision(4))}${unit}`;
    value /= 1_000;
  }
  return `${Number(value.toPrecision(4))}PB`;
}
