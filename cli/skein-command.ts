/**
 * A commander command with Docker's habit for switches: --detach, --detach=true, --detach=false, -d=false.
 * Pure.
 * Commander knows no value for a switch; here =true stands for the switch and =false for a hidden --no-…
 * beside it. Words behind the
 * first positional of a command that passes its options through (`service create IMAGE COMMAND`) are left
 * alone.
 */
import { Command, type ErrorOptions, Option, type ParseOptionsResult } from "commander";
import { InvalidArgumentError } from "../base/errors/errors.js";

const TRUE_WORDS = ["true", "1", "t"];
const FALSE_WORDS = ["false", "0", "f"];

export class SkeinCommand extends Command {
  #passesThrough = false;

  override createCommand(name?: string): Command {
    return new SkeinCommand(name);
  }

  override passThroughOptions(passThrough = true): this {
    this.#passesThrough = passThrough;
    return super.passThroughOptions(passThrough);
  }

  override parseOptions(argv: string[]): ParseOptionsResult {
    this.#addNegations();
    return super.parseOptions(this.#withoutSwitchValues(argv));
  }

  /** What was wrong, and where its help is. */
  override error(message: string, options?: ErrorOptions): never {
    return super.error(`${message}\nSee '${this.#words()} --help'.`, options);
  }

  /**
   * Help of an unknown command is an error with a suggestion, not the help of its parent.
   * @returns whether the error was told; never otherwise.
   */
  refuseUnknownHelp(argv: readonly string[]): boolean {
    const words = argv.filter((word) => !word.startsWith("-"));
    const [word] = words;
    const asks = argv.some((each) => each === "--help" || each === "-h");
    if (!asks || word === undefined || words.length !== 1) return false;
    if (this.commands.some((each) => each.name() === word || each.aliases().includes(word))) return false;
    this.parse([word], { from: "user" });
    return true;
  }

  #words(): string {
    const names: string[] = [];
    for (let each: Command | null = this; each !== null; each = each.parent) names.unshift(each.name());
    return names.join(" ");
  }

  #addNegations(): void {
    for (const { long, negate } of this.options.filter((option) => isSwitch(option))) {
      const opposite = long?.replace(/^--/, "--no-") ?? "";
      if (!negate && opposite !== "" && !this.options.some((other) => other.long === opposite)) {
        this.addOption(new Option(opposite).hideHelp());
      }
    }
  }

  #withoutSwitchValues(argv: readonly string[]): string[] {
    const out: string[] = [];
    for (let i = 0; i < argv.length; i++) {
      const word = argv[i] ?? "";
      const isPositional = !word.startsWith("-") || word === "-";
      if (word === "--" || (isPositional && (this.#passesThrough || this.commands.length > 0)))
        return [...out, ...argv.slice(i)];
      const match = /^(--?[a-z][\w-]*)(?:=(.*))?$/s.exec(word);
      const option = this.options.find((each) => each.long === match?.[1] || each.short === match?.[1]);
      if (option === undefined) out.push(word);
      else if (isSwitch(option)) out.push(...switched(option, word, match?.[2]));
      else {
        out.push(word);
        if (option.required && match?.[2] === undefined && i + 1 < argv.length) out.push(argv[++i] ?? "");
      }
    }
    return out;
  }
}

const isSwitch = (option: Option): boolean =>
  option.isBoolean() || (option.negate && !option.required && !option.optional);

/** @throws {InvalidArgumentError} a value that is neither true nor false. */
function switched(option: Option, word: string, value: string | undefined): string[] {
  if (value === undefined) return [word];
  const long = option.long ?? "";
  if (TRUE_WORDS.includes(value.toLowerCase())) return [long];
  if (FALSE_WORDS.includes(value.toLowerCase())) return option.negate ? [] : [long.replace(/^--/, "--no-")];
  throw new InvalidArgumentError(`${long} must be true or false, got ${JSON.stringify(value)}`);
}
