/**
 * How long integration tests wait at most, on a slow machine too. Edge: to the environment.
 * SKEIN_TEST_PATIENCE is the factor by which their bounds grow (an emulated machine wants about twenty);
 * what they wait for, and the daemon's own timeouts, stay as they are.
 */
const FACTOR = Number(process.env["SKEIN_TEST_PATIENCE"] ?? "1");

/** @returns the bound for this machine, in the unit it was given in. */
export function patient(bound: number): number {
  return bound * FACTOR;
}
