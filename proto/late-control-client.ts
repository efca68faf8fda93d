/**
 * The door to the client of the control API: its messages load with the first call, as a worker makes none
 * and they cost half a megabyte. Edge: to @grpc/grpc-js, by the generated client.
 */
import type { ControlClient } from "./gen/skein/v1/control.js";

type MakesControlClient = typeof import("./gen/skein/v1/control.js").ControlClient;

/** @param where address, credentials and options, as the generated client takes them. */
export async function openControlClient(
  ...where: ConstructorParameters<MakesControlClient>
): Promise<ControlClient> {
  const { ControlClient } = await import("./gen/skein/v1/control.js");
  return new ControlClient(...where);
}
