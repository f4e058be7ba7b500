/**
 * Reads pickles of protocols 2 to 5 as `torch.save` writes them, and runs nothing in them. Own code, because the libraries that read
 * pickles in JavaScript call what the file names or put its keys on objects.
 * The format: CPython's Lib/pickletools.py.
 */
import {
  describe,
  isKind,
  type PickleGlobal,
  type PickleSequence,
  type PickleValue,
  type TorchStorage,
} from "./pickle-values.ts";
import { quote } from "./quote.ts";
import { callGlobal, isKnownGlobal } from "./torch-globals.ts";

/** The largest published checkpoint with the states of its optimiser has fewer than 300,000. */
const MOST_OPERATIONS = 3_000_000;

export interface Pickle {
  readonly value: PickleValue;
  /** Bytes read; legacy files have several pickles one after the other. */
  readonly length: number;
}

/**
 * Reads the pickle that `bytes` begin with.
 * @param persistent what a reference to something outside the pickle is: a storage
 * @throws one line that names the position, and the global where one is refused
 */
export function readPickle(bytes: Uint8Array, persistent: (id: PickleValue) => TorchStorage): Pickle {
  const reader = new PickleReader(bytes, persistent);
  try {
    return reader.read();
  } catch (error) {
    throw new Error(`pickle, byte ${reader.begin}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

class PickleReader {
  /** Where the operation stands that is being done. */
  begin = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #persistent: (id: PickleValue) => TorchStorage;
  readonly #memo = new Map<number, PickleValue>();
  #at = 0;
  #operations = 0;
  #stack: PickleValue[] = [];
  /** The stacks below the marks. */
  readonly #below: PickleValue[][] = [];

  constructor(bytes: Uint8Array, persistent: (id: PickleValue) => TorchStorage) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#persistent = persistent;
  }

  read(): Pickle {
    for (;;) {
      this.begin = this.#at;
      this.#spend(1);
      const opcode = this.#byte();
      if (opcode === STOP) return { value: this.#pop(), length: this.#at };
      this.#do(opcode);
    }
  }

  #spend(operations: number): void {
    this.#operations += operations;
    if (this.#operations > MOST_OPERATIONS) throw new Error(`more than ${MOST_OPERATIONS} operations`);
  }

  #do(opcode: number): void {
    const value = this.#value(opcode);
    if (value === undefined) this.#act(opcode);
    else this.#stack.push(value);
  }

  /** What an operation puts on the stack, if that is all it does. */
  #value(opcode: number): PickleValue | undefined {
    switch (opcode) {
      case op("N"):
        return null;
      case 0x88:
        return true;
      case 0x89:
        return false;
      case op("K"):
        return this.#byte();
      case op("M"):
        return this.#whole(2);
      case op("J"):
        return this.#view.getInt32(this.#skip(4), true);
      case 0x8a:
        return this.#long(this.#byte());
      case 0x8b:
        return this.#long(this.#whole(4));
      case op("G"):
        return this.#view.getFloat64(this.#skip(8), false);
      case op("X"):
        return this.#text(this.#whole(4));
      case 0x8c:
        return this.#text(this.#byte());
      case 0x8d:
        return this.#text(this.#whole(8));
      case op("U"): // Python 2's strings: bytes, which torch reads as Latin-1
        return latin1(this.#copy(this.#byte()));
      case op("T"):
        return latin1(this.#copy(this.#whole(4)));
      case op("C"):
        return this.#copy(this.#byte());
      case op("B"):
        return this.#copy(this.#whole(4));
      case 0x8e:
      case 0x96:
        return this.#copy(this.#whole(8));
      case op("]"):
      case op(")"):
      case 0x8f:
        return list([]);
      case op("l"):
      case op("t"):
      case 0x91:
        return list(this.#mark());
      case 0x85:
      case 0x86:
      case 0x87:
        return list(this.#popSome(opcode - 0x84));
      case op("}"):
        return { kind: "dict", entries: new Map() };
      case op("2"):
        return this.#top();
      case op("h"):
        return this.#remembered(this.#byte());
      case op("j"):
        return this.#remembered(this.#whole(4));
      case op("c"):
        return named(this.#line(), this.#line());
      case 0x93: {
        const [module, name] = this.#popSome(2);
        return named(module, name);
      }
      case op("R"):
      case 0x81: {
        const [callee, args] = this.#popSome(2);
        return this.#call(callee, args);
      }
      case 0x92: {
        const [callee, args] = this.#popSome(3); // the third are named arguments, which no known class needs
        return this.#call(callee, args);
      }
      case op("Q"):
        return this.#persistent(this.#pop());
      default:
        return undefined;
    }
  }

  /** The operations that change what is there. */
  #act(opcode: number): void {
    switch (opcode) {
      case 0x80: {
        const protocol = this.#byte();
        if (protocol < 2 || protocol > 5) throw new Error(`protocol ${protocol}, expected 2 to 5`);
        break;
      }
      case 0x95: // a frame says only how much to read ahead
        this.#skip(8);
        break;
      case op("("):
        this.#below.push(this.#stack);
        this.#stack = [];
        break;
      case op("0"):
        this.#pop();
        break;
      case op("1"):
        this.#mark();
        break;
      case op("d"): {
        const items = this.#mark();
        this.#stack.push({ kind: "dict", entries: new Map() });
        this.#setItems(items);
        break;
      }
      case op("a"):
        this.#append([this.#pop()]);
        break;
      case op("e"):
      case 0x90:
        this.#append(this.#mark());
        break;
      case op("s"):
        this.#setItems(this.#popSome(2));
        break;
      case op("u"):
        this.#setItems(this.#mark());
        break;
      case op("q"):
        this.#memo.set(this.#byte(), this.#top());
        break;
      case op("r"):
        this.#memo.set(this.#whole(4), this.#top());
        break;
      case 0x94:
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case op("b"):
        this.#build(this.#pop());
        break;
      default:
        throw new Error(`opcode 0x${opcode.toString(16).padStart(2, "0")} is not one that torch.save writes`);
    }
  }

  #call(callee: PickleValue | undefined, args: PickleValue | undefined): PickleValue {
    if (!isKind(callee, "global")) throw new Error(`calls ${describe(callee)}`);
    if (!isKind(args, "sequence")) throw new Error(`calls ${callee.path} with ${describe(args)}`);
    return callGlobal(callee.path, args.items, (operations) => this.#spend(operations));
  }

  /** `__setstate__`: kept where it could say something. */
  #build(state: PickleValue): void {
    const target = this.#top();
    if (isKind(target, "object")) target.state = state;
  }

  #append(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!isKind(target, "sequence")) throw new Error(`appends to ${describe(target)}`);
    for (const item of items) target.items.push(item);
  }

  #setItems(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!isKind(target, "dict")) throw new Error(`sets items of ${describe(target)}`);
    if (items.length % 2 !== 0) throw new Error("a dict's last key has no value");
    for (let i = 0; i < items.length; i += 2) target.entries.set(items[i] ?? null, items[i + 1] ?? null);
  }

  #remembered(index: number): PickleValue {
    const value = this.#memo.get(index);
    if (value === undefined) throw new Error(`refers to memo ${index}, which was never set`);
    return value;
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined) throw new Error("the stack is empty");
    return value;
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined) throw new Error("the stack is empty");
    return value;
  }

  #popSome(count: number): PickleValue[] {
    if (this.#stack.length < count) throw new Error("the stack is empty");
    return this.#stack.splice(-count);
  }

  /** What lies above the last mark, which goes. */
  #mark(): PickleValue[] {
    const above = this.#stack;
    const below = this.#below.pop();
    if (!below) throw new Error("there is no mark");
    this.#stack = below;
    return above;
  }

  /** Moves on and gives the position of before. @throws if the pickle ends before `count` bytes */
  #skip(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at)
      throw new Error(`ends after ${this.#bytes.length} bytes, in the middle of ${count} bytes from ${at} on`);
    this.#at += count;
    return at;
  }

  #byte(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  #whole(size: 2 | 4 | 8): number {
    const at = this.#skip(size);
    if (size === 2) return this.#view.getUint16(at, true);
    if (size === 4) return this.#view.getUint32(at, true);
    return Number(this.#view.getBigUint64(at, true));
  }

  /** A whole number of any size; those beyond doubles stay big. */
  #long(size: number): number | bigint {
    if (size > 256) throw new Error(`a number of ${size} bytes`);
    let value = 0n;
    for (const [i, byte] of this.#copy(size).entries()) value |= BigInt(byte) << BigInt(8 * i);
    value = BigInt.asIntN(8 * size, value);
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }

  #copy(size: number): Uint8Array {
    const at = this.#skip(size);
    return new Uint8Array(this.#bytes.subarray(at, at + size));
  }

  #text(size: number): string {
    const at = this.#skip(size);
    return utf8.decode(this.#bytes.subarray(at, at + size));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw new Error("a name does not end");
    const text = utf8.decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return text;
  }
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

const STOP = op(".");

/** The opcode that a character stands for. */
function op(character: string): number {
  return character.charCodeAt(0);
}

/** @throws if it is not one of those that state dicts need */
function named(module: PickleValue | undefined, name: PickleValue | undefined): PickleGlobal {
  if (typeof module !== "string" || typeof name !== "string") throw new Error("a global's name is no text");
  const path = `${module}.${name}`;
  if (!isKnownGlobal(path)) throw new Error(`refused: it names ${quote(path).slice(1, -1)}, which no state dict needs`);
  return { kind: "global", path };
}

function list(items: PickleValue[]): PickleSequence {
  return { kind: "sequence", items };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
