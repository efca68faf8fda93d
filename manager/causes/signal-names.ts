/**
 * Signals by exit code: a shell, and a container runtime, exit with 128 and the number of the signal that
 * ended the process.
 * Pure. Source: signal(7), numbers of Linux on x86 and ARM.
 */
const NAMES: Readonly<Record<number, string>> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  5: "SIGTRAP",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  10: "SIGUSR1",
  11: "SIGSEGV",
  12: "SIGUSR2",
  13: "SIGPIPE",
  14: "SIGALRM",
  15: "SIGTERM",
  24: "SIGXCPU",
  25: "SIGXFSZ",
  31: "SIGSYS",
};

/** @returns undefined for a code that stands for no signal. */
export function signalOf(exitCode: number): string | undefined {
  return NAMES[exitCode - 128];
}
