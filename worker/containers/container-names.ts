/**
 * Names for containers that were given none, and which names may be given. Pure.
 * Two words and, once those are often taken, a number.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const TRIES_PLAIN = 8;

const QUALITIES = (
  "airy amber apt avid azure blithe bold brave brisk calm candid clear clever coral crisp dapper deft eager " +
  "earnest fair fleet fond frank fresh gentle glad golden hardy honest ivory jade jaunty jolly keen kind light " +
  "limber lively loyal lucid mellow merry mild misty neat nimble noble olive opal patient plucky polite proud " +
  "quick quiet rapid ready robust rosy russet sage serene sharp silver sleek smart snug solid spry steady stout " +
  "sturdy subtle sunny swift tidy trim true vivid warm wise witty zesty"
).split(" ");

const THINGS = (
  "alder anchor badger barley beacon beech birch bobbin brook cedar clover comet cove crane curlew dale distaff " +
  "dove drum egret elm ember falcon fern fiddle finch flax fjord fox glade grove harbor hazel heath hemp heron " +
  "ibis iris island jetty kestrel lantern larch lark linen loom lynx maple marten meadow mill moor needle oak " +
  "orchard otter owl pebble pine plover poplar quill raven reed ridge river robin rook rowan rudder sable shuttle " +
  "sparrow spindle spool spruce stork swallow swift tern thimble thistle thread tide twine wharf wheel willow wool " +
  "wren yarn yew"
).split(" ");

/** @returns a name that `isTaken` denies. */
export function generatedName(random: Random, isTaken: (name: string) => boolean): string {
  const pick = (words: readonly string[]): string => words[random.int(0, words.length)] ?? "plain";
  const pair = (): string => `${pick(QUALITIES)}_${pick(THINGS)}`;
  for (let tries = 0; tries < TRIES_PLAIN; tries++) {
    const name = pair();
    if (!isTaken(name)) return name;
  }
  for (let digits = 1; ; digits++) {
    const name = `${pair()}${random.int(0, 10 ** Math.min(digits, 9))}`;
    if (!isTaken(name)) return name;
  }
}

/** @returns the name without the slash it may begin with. @throws {InvalidArgumentError} */
export function admittedName(given: string): string {
  const name = given.replace(/^\//, "");
  if (NAME.test(name) && name.length <= 255) return name;
  throw new InvalidArgumentError(
    `Invalid container name (${given}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
  );
}
