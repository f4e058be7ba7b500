/** A compiled program on some devices. */
import { STRUCTS } from "./abi.ts";
import { type Native, Struct } from "./native-memory.ts";
import type { Plugin } from "./plugin.ts";

/** A run that was started: what it computes, and an event a device for its end. */
export interface Started {
  /** Handles, [device][output]. */
  readonly outputs: readonly (readonly bigint[])[];
  readonly done: readonly bigint[];
}

export class Executable {
  readonly plugin: Plugin;
  readonly handle: bigint;
  readonly devices: number;
  readonly outputs: number;
  readonly #options: Struct<typeof STRUCTS.ExecuteOptions>;
  #lists: Lists | undefined;

  constructor(plugin: Plugin, handle: bigint, devices: number) {
    this.plugin = plugin;
    this.handle = handle;
    this.devices = devices;
    this.outputs = this.#described((executable) => plugin.call("Executable_NumOutputs", { executable }).count);
    this.#options = new Struct(plugin.native, STRUCTS.ExecuteOptions);
  }

  /**
   * Starts a run; does not wait for it.
   * @param lists buffers, [device][argument]
   */
  execute(lists: readonly (readonly bigint[])[]): Started {
    const count = lists[0]?.length ?? 0;
    if (lists.length !== this.devices || lists.some((list) => list.length !== count))
      throw new Error(
        `pjrt: expected arguments for ${this.devices} devices, got lists of [${lists.map((list) => list.length)}]`,
      );
    if (this.#lists?.count !== count) {
      this.#lists?.free();
      this.#lists = argumentLists(this.plugin.native, this.devices, count, this.outputs);
    }
    const { words, argumentsAt, outputsAt, eventsAt, address } = this.#lists;
    for (const [device, list] of lists.entries())
      for (const [i, buffer] of list.entries()) words[argumentsAt + device * count + i] = buffer;
    this.plugin.call("LoadedExecutable_Execute", {
      executable: this.handle,
      options: this.#options.address,
      argumentLists: address,
      devices: this.devices,
      arguments: count,
      outputLists: address + BigInt(8 * this.devices),
      completeEvents: address + BigInt(8 * eventsAt),
    });
    return {
      outputs: lists.map((_, device) => {
        const start = outputsAt + device * this.outputs;
        return Array.from(words.subarray(start, start + this.outputs));
      }),
      done: Array.from(words.subarray(eventsAt, eventsAt + this.devices)),
    };
  }

  /** The program as the compiler leaves it: a serialised HloModuleProto. */
  optimized(): Uint8Array<ArrayBuffer> {
    const { plugin } = this;
    return this.#described((executable) => {
      const program = new Struct(plugin.native, STRUCTS.Program);
      plugin.call("Executable_OptimizedProgram", { executable, program: program.address });
      const code = new Uint8Array(program.get().codeSize);
      program.set({ code: plugin.native.address(code) });
      plugin.call("Executable_OptimizedProgram", { executable, program: program.address });
      plugin.native.free(program.address);
      return code;
    });
  }

  /** What `Client.load` makes it of again. @throws a PjrtError if the plugin cannot write it */
  serialize(): Uint8Array<ArrayBuffer> {
    const { plugin } = this;
    return this.#described((executable) => {
      const { bytes, length, owner, deleter } = plugin.call("Executable_Serialize", { executable });
      const copy = plugin.native.bytes(bytes, length);
      plugin.native.function(deleter)(owner);
      return copy;
    });
  }

  destroy(): void {
    this.plugin.call("LoadedExecutable_Destroy", { executable: this.handle });
    this.plugin.native.free(this.#options.address);
    this.#lists?.free();
    this.#lists = undefined;
  }

  #described<T>(read: (executable: bigint) => T): T {
    const { executable } = this.plugin.call("LoadedExecutable_GetExecutable", { loaded: this.handle });
    try {
      return read(executable);
    } finally {
      this.plugin.call("Executable_Destroy", { executable });
    }
  }
}

/** Native memory for the arguments of runs, used again and again: pointers to lists, events, the lists. */
interface Lists {
  readonly count: number;
  readonly address: bigint;
  readonly words: BigUint64Array;
  readonly eventsAt: number;
  readonly argumentsAt: number;
  readonly outputsAt: number;
  free(): void;
}

function argumentLists(native: Native, devices: number, count: number, outputs: number): Lists {
  const [eventsAt, argumentsAt] = [2 * devices, 3 * devices];
  const outputsAt = argumentsAt + devices * count;
  const { address, buffer } = native.allocate(8 * (outputsAt + devices * outputs + 1));
  const words = new BigUint64Array(buffer);
  for (let device = 0; device < devices; device++) {
    words[device] = address + BigInt(8 * (argumentsAt + device * count));
    words[devices + device] = address + BigInt(8 * (outputsAt + device * outputs));
  }
  return { count, address, words, eventsAt, argumentsAt, outputsAt, free: () => native.free(address) };
}
