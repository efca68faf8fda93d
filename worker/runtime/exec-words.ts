/**
 * What a runtime says about a command that it could not run, in the words and with the exit code that clients
 * of Docker know. Pure.
 * Source: exit codes as sh(1) has them: 127 not found, 126 found and not run.
 */

export interface ExecFailure {
  readonly message: string;
  readonly exitCode: 126 | 127;
}

const PREFIX = "OCI runtime exec failed: exec failed: unable to start container process: ";

/** @param program the first argument of what was to be run. */
export function execFailure(program: string, runtimeWords: string): ExecFailure {
  const quoted = JSON.stringify(program);
  const failed = (words: string, exitCode: 126 | 127): ExecFailure => ({
    message: `${PREFIX}${words}: unknown`,
    exitCode,
  });
  if (program === "") return failed('exec: "": executable file not found in $PATH', 127);
  if (/executable file .* not found in \$PATH/i.test(runtimeWords)) {
    return program.includes("/")
      ? failed(`exec: ${quoted}: stat ${program}: no such file or directory`, 127)
      : failed(`exec: ${quoted}: executable file not found in $PATH`, 127);
  }
  if (/open executable: /i.test(runtimeWords)) return failed(`exec: ${quoted}: permission denied`, 126);
  const folder = /chdir `(.*)`: (.*)$/m.exec(runtimeWords);
  if (folder !== null) {
    const reason = (folder[2] ?? "").toLowerCase();
    return failed(`chdir to cwd (${JSON.stringify(folder[1])}) set in config.json failed: ${reason}`, 126);
  }
  const missing = /no such file or directory/i.test(runtimeWords) && runtimeWords.includes(program);
  return failed(runtimeWords === "" ? `exec: ${quoted}: cannot be run` : runtimeWords, missing ? 127 : 126);
}
