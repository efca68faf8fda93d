/**
 * Which world and which weather a seed gets when nobody says otherwise. Pure.
 */
import type { WorldName } from "./sim-bugs.js";
import type { ProfileName } from "./sim-profiles.js";

export interface Place {
  readonly world: WorldName;
  readonly profile: ProfileName;
}

/** By the seed's remainder: 7 of 10 seeds run the core world, 3 the host world. */
const MIX: readonly Place[] = [
  { world: "core", profile: "mixed" },
  { world: "core", profile: "membership" },
  { world: "host", profile: "mixed" },
  { world: "core", profile: "restart-storm" },
  { world: "core", profile: "leader-hunt" },
  { world: "host", profile: "disks" },
  { world: "core", profile: "clocks" },
  { world: "core", profile: "disks" },
  { world: "host", profile: "membership" },
  { world: "core", profile: "mixed" },
  { world: "core", profile: "mixed" },
  { world: "core", profile: "membership" },
  { world: "host", profile: "restart-storm" },
  { world: "core", profile: "restart-storm" },
  { world: "core", profile: "leader-hunt" },
  { world: "host", profile: "clocks" },
  { world: "core", profile: "clocks" },
  { world: "core", profile: "disks" },
  { world: "host", profile: "leader-hunt" },
  { world: "core", profile: "membership" },
];

/** @param wanted what was asked for; a seed takes the next place of the mix that fits. */
export function placeOf(seed: number, wanted: Partial<Place> = {}): Place {
  if (wanted.world !== undefined && wanted.profile !== undefined)
    return { world: wanted.world, profile: wanted.profile };
  for (let at = 0; at < MIX.length; at++) {
    const place = MIX[(seed + at) % MIX.length];
    if (place === undefined) break;
    const fits =
      (wanted.world ?? place.world) === place.world && (wanted.profile ?? place.profile) === place.profile;
    if (fits) return place;
  }
  return { world: wanted.world ?? "core", profile: wanted.profile ?? "mixed" };
}
