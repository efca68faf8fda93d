/**
 * Signal names and numbers as clients write them: "SIGTERM", "term", "15", "RTMIN+3". Pure.
 * Source: signal(7), x86 and arm numbers.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

/** In order of their numbers, from 1. */
const NAMES = [
  ..."HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT".split(" "),
  ..."CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS".split(" "),
];
const RT_MIN = 34;
const RT_MAX = 64;

/** @throws {InvalidArgumentError} naming what is no signal. */
export function signalNumber(given: string): number {
  const name = given.toUpperCase().replace(/^SIG/, "");
  const index = NAMES.indexOf(name === "POLL" ? "IO" : name === "CLD" ? "CHLD" : name);
  if (index >= 0) return index + 1;
  if (/^\d+$/.test(name) && Number(name) >= 1) {
    if (Number(name) <= RT_MAX) return Number(name);
    throw new InvalidArgumentError(`The linux daemon does not support signal ${name}`);
  }
  const realTime = /^RT(MIN|MAX)([+-]\d+)?$/.exec(name);
  if (realTime !== null) {
    const number = (realTime[1] === "MIN" ? RT_MIN : RT_MAX) + Number(realTime[2] ?? 0);
    if (number >= RT_MIN && number <= RT_MAX) return number;
  }
  throw new InvalidArgumentError(`Invalid signal: ${given}`);
}
