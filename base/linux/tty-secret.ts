/**
 * Asks a person for a secret on the terminal, without showing it. Edge: to /dev/tty, which is there also when
 * standard input and output are files.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { CancelledError, InvalidArgumentError } from "../errors/errors.js";

const TTY = "/dev/tty";
const SECRET_CHARS_MAX = 4_096;

/** @returns undefined when there is no terminal. */
function openTerminal(): number | undefined {
  try {
    return openSync(TTY, "r+");
  } catch {
    return undefined; // ENXIO, ENOENT: nobody to ask
  }
}

/**
 * @param options.instead what to do without a terminal: ends the error's sentence.
 * @throws {InvalidArgumentError} no terminal; {CancelledError} Ctrl-C or the end of input.
 */
export async function askSecret(question: string, options: { instead: string }): Promise<string> {
  const fd = openTerminal();
  if (fd === undefined)
    throw new InvalidArgumentError(`there is no terminal to ask for it: ${options.instead}`);
  const input = new ReadStream(fd);
  try {
    writeSync(fd, question);
    input.setRawMode(true);
    return await typed(input);
  } finally {
    input.setRawMode(false);
    writeSync(fd, "\n");
    input.destroy();
    closeQuietly(fd);
  }
}

/** The stream may have closed it. */
function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // EBADF: closed already, which is what is wanted.
  }
}

async function typed(input: ReadStream): Promise<string> {
  let text = "";
  for await (const chunk of input.setEncoding("utf8") as AsyncIterable<string>) {
    for (const char of chunk) {
      if (char === "\r" || char === "\n") return text;
      if (char === "\u0003" || char === "\u0004") throw new CancelledError("cancelled: nothing was entered");
      if (char === "\u007f" || char === "\b") text = [...text].slice(0, -1).join("");
      else if (char === "\u0015") text = "";
      else if (text.length < SECRET_CHARS_MAX) text += char;
    }
  }
  throw new CancelledError("cancelled: the terminal went away");
}
