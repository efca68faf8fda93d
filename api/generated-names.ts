/**
 * Names for services that were created without one,
 * as Docker's daemon gives them: an adjective and a noun. Pure. Ours are birds.
 */
import type { Random } from "../base/random/random.js";

const ADJECTIVES = (
  "agile amber bold brave bright brisk calm clever crisp daring eager early fair fleet fond free gentle " +
  "glad golden grand happy hardy high keen kind lively lofty lucid lucky mellow merry mighty neat " +
  "nimble noble patient plucky proud quick quiet rapid ready royal serene sharp silent silver sleek " +
  "sober steady still stout sturdy subtle sunny sure swift tender tidy tranquil true vivid warm wild " +
  "wise"
).split(" ");
const BIRDS = (
  "albatross avocet bittern brant bunting bustard buzzard condor coot cormorant crane crow curlew " +
  "dipper dotterel dove dunlin eagle egret eider falcon finch gannet godwit goldeneye goose goshawk " +
  "grebe grouse gull harrier hawk heron hobby hoopoe ibis jay kestrel kingfisher kite knot lapwing lark " +
  "linnet loon mallard martin merlin nightjar oriole osprey ouzel owl pelican petrel pipit plover " +
  "puffin quail raven redstart robin rook ruff sandpiper shrike siskin skua snipe sparrow starling " +
  "stilt stint stork swallow swan swift teal tern thrush wagtail warbler waxwing whimbrel wigeon wren"
).split(" ");

/** @returns e.g. "brisk_curlew"; unique only by chance: a taken one is refused and the caller draws again. */
export function generatedName(random: Random): string {
  const pick = (words: readonly string[]): string => words[random.int(0, words.length)] ?? "";
  return `${pick(ADJECTIVES)}_${pick(BIRDS)}`;
}
