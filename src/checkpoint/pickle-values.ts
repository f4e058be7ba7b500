/** What a pickle holds, as inert data: nothing here is a class of the file's choice, and no key of a file is a property. */
import type { StoredDType } from "./stored-dtypes.ts";

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleSequence
  | PickleDict
  | PickleGlobal
  | PickleObject
  | TorchStorage
  | TorchTensor;

/** A list, a tuple, a set. */
export interface PickleSequence {
  readonly kind: "sequence";
  readonly items: PickleValue[];
}

export interface PickleDict {
  readonly kind: "dict";
  /** By Python's equality for numbers and strings, by identity for others. */
  readonly entries: Map<PickleValue, PickleValue>;
}

/** A class or function that is known by name, and only by name. */
export interface PickleGlobal {
  readonly kind: "global";
  /** Module and name with a dot between. */
  readonly path: string;
}

/** An instance of a known class: what it was made from and what it was then given, as data. */
export interface PickleObject {
  readonly kind: "object";
  readonly type: string;
  readonly arguments: readonly PickleValue[];
  state: PickleValue;
}

/** Where numbers stand in the archive. */
export interface TorchStorage {
  readonly kind: "storage";
  /** Torch's class. */
  readonly type: string;
  /** What it holds; undefined for bytes whose tensors say it, and for types that are not read. */
  readonly dtype: StoredDType | undefined;
  readonly key: string;
  /** Elements; bytes where the type says nothing of them. */
  readonly size: number;
}

export interface TorchTensor {
  readonly kind: "tensor";
  readonly storage: TorchStorage;
  /** Undefined if it is one that is not read. */
  readonly dtype: StoredDType | undefined;
  /** In elements, as are the strides. Not yet checked. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Whether a value is the `kind` of object. */
export function isKind<Kind extends "sequence" | "dict" | "global" | "object" | "storage" | "tensor">(
  value: PickleValue | undefined,
  kind: Kind,
): value is Extract<PickleValue, { readonly kind: Kind }> {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
}

/** For messages. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "None";
  if (value instanceof Uint8Array) return "bytes";
  if (typeof value !== "object") return typeof value;
  if (value.kind === "global" || value.kind === "object")
    return value.kind === "global" ? value.path : `an object of ${value.type}`;
  return `a ${value.kind}`;
}
