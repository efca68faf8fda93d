/**
 * A client that asks again and again, each time on a connection of its own, or on KEPT ones that it keeps:
 * `node request-load-main.js RATE KEPT URL...`.
 * Edge: to node:http and the process; its starter puts it into a network namespace. On SIGTERM it waits for
 * what is under way and prints a `LoadResult` as one line of JSON, after the first line, which says that it
 * has begun. A request counts as failed that has no whole answer of status 200 within 5 s.
 */
import { Agent, get } from "node:http";

export interface LoadResult {
  readonly sent: number;
  readonly failed: number;
  /** The first of them: milliseconds since the start, URL, words. */
  readonly failures: readonly string[];
  readonly slowestMs: number;
}

const ANSWER_WAIT_MS = 5_000;
const FAILURES_TOLD_MAX = 40;
const BURST_MAX = 3;

const [rate = "100", kept = "0", ...urls] = process.argv.slice(2);
const agent = Number(kept) > 0 ? new Agent({ keepAlive: true, maxTotalSockets: Number(kept) }) : false;
const startedMs = Date.now();
const failures: string[] = [];
let nextMs = startedMs;
let sent = 0;
let done = 0;
let failed = 0;
let slowestMs = 0;
let stopping = false;

function finished(begunMs: number, url: string, error?: string): void {
  done += 1;
  slowestMs = Math.max(slowestMs, Date.now() - begunMs);
  if (error !== undefined) {
    failed += 1;
    if (failures.length < FAILURES_TOLD_MAX) failures.push(`${Date.now() - startedMs} ${url} ${error}`);
  }
  if (stopping && done === sent) tell();
}

function ask(url: string): void {
  sent += 1;
  const begunMs = Date.now();
  let isOver = false;
  const over = (error?: string): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    finished(begunMs, url, error);
  };
  const request = get(url, { agent }, (response) => {
    response.resume();
    response.on("end", () => over(response.statusCode === 200 ? undefined : `status ${response.statusCode}`));
    response.on("error", (error) => over(`in the answer: ${error.message}`));
  });
  const timer = setTimeout(() => {
    over(`no answer within ${ANSWER_WAIT_MS} ms`);
    request.destroy();
  }, ANSWER_WAIT_MS);
  request.on("error", (error) => over(error.message));
}

function tell(): void {
  const result: LoadResult = { sent, failed, failures, slowestMs };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

/** What a pause has missed is left out: servers queue few connections (busybox's httpd nine) and drop the rest. */
function tick(): void {
  if (stopping) return;
  const nowMs = Date.now();
  for (let count = 0; nextMs <= nowMs && count < BURST_MAX; count += 1) {
    ask(urls[sent % urls.length] ?? "");
    nextMs += 1_000 / Number(rate);
  }
  nextMs = Math.max(nextMs, nowMs);
}

process.stdout.write("begun\n");
setInterval(tick, 5);
process.on("SIGTERM", () => {
  stopping = true;
  if (done === sent) tell();
});
