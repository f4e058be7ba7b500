/** Checks of options' values; commander puts the option's name before the message. */
import { InvalidArgumentError } from "commander";

export function whole(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("expected a whole number above 0");
}

/** More would not compute faster, and by the ten thousand they take all memory. */
const MOST_THREADS = 1024;

export function threadCount(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0 && value <= MOST_THREADS) return value;
  throw new InvalidArgumentError(`expected a whole number from 1 to ${MOST_THREADS}`);
}

export function count(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("expected a whole number");
}

export function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("expected a number above 0");
}

/** From 0 to below 1. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value < 1) return value;
  throw new InvalidArgumentError("expected a share from 0 to below 1");
}

export function cosine(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= -1 && value <= 1) return value;
  throw new InvalidArgumentError("expected a cosine similarity from -1 to 1");
}

/** Of options that can be given several times. */
export function collected(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
