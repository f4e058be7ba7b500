/** A PJRT client: the devices of one plugin, buffers on them and programs for them. */
import { BYTES, type DType, elements, type HostTensor, hostArray, show, type TensorType } from "../../graph/index.ts";
import { STRUCTS, type Values } from "./abi.ts";
import { compileOptionsProto, type XlaOptions } from "./compile-options.ts";
import { Executable } from "./executable.ts";
import type { KeyCallbacks } from "./key-values.ts";
import { Struct } from "./native-memory.ts";
import { type NamedValue, type Plugin, writeNamed } from "./plugin.ts";

/** PJRT_Buffer_Type. */
const BUFFER_TYPES = { bool: 1, i32: 4, u8: 6, f32: 11, f64: 12 } as const satisfies Record<DType, number>;

/** The runtime copies host data before the call returns. */
const COPIED = 0;

export interface Device {
  readonly handle: bigint;
  /** Among the devices of all processes. */
  readonly id: number;
  /** "cpu", "NVIDIA H100 80GB HBM3". */
  readonly kind: string;
  readonly name: string;
}

/** A tensor on a device. Destroyed by whoever holds it; runs under way keep what they need. */
export interface DeviceBuffer {
  readonly handle: bigint;
  readonly type: TensorType;
}

export class Client {
  readonly plugin: Plugin;
  readonly handle: bigint;
  /** "cpu", "cuda", ... */
  readonly platform: string;
  readonly version: string;
  /** Those of this process. */
  readonly devices: readonly Device[];
  /** Of the devices of all processes. */
  readonly ids: readonly number[];
  readonly #layouts = new Map<number, bigint>();

  /** @param keys where a client of several processes finds the others */
  constructor(plugin: Plugin, options: Readonly<Record<string, NamedValue>> = {}, keys?: KeyCallbacks["addresses"]) {
    this.plugin = plugin;
    const named = writeNamed(plugin.native, options);
    try {
      this.handle = plugin.call("Client_Create", {
        options: named.address,
        optionCount: named.count,
        ...keys,
      }).client;
    } finally {
      named.free();
    }
    this.platform = plugin.text("Client_PlatformName", this.handle);
    this.version = plugin.text("Client_PlatformVersion", this.handle);
    this.devices = this.#listed("Client_AddressableDevices");
    this.ids = this.#listed("Client_Devices").map(({ id }) => id);
  }

  #listed(name: "Client_AddressableDevices" | "Client_Devices"): Device[] {
    const { devices, count } = this.plugin.call(name, { client: this.handle });
    const handles = new BigUint64Array(this.plugin.native.bytes(devices, 8 * count).buffer);
    return Array.from(handles, (handle) => this.#device(handle));
  }

  #device(handle: bigint): Device {
    const { description } = this.plugin.call("Device_GetDescription", { device: handle });
    return {
      handle,
      id: this.plugin.call("DeviceDescription_Id", { description }).id,
      kind: this.plugin.text("DeviceDescription_Kind", description),
      name: this.plugin.text("DeviceDescription_ToString", description),
    };
  }

  /** The device that programs for one run on. */
  get first(): Device {
    const [device] = this.devices;
    if (!device) throw new Error(`pjrt: ${this.platform} has no device here`);
    return device;
  }

  /** Compiles StableHLO text, in a thread of libuv's pool. */
  async compile(module: string, options: XlaOptions = {}): Promise<Executable> {
    const { native } = this.plugin;
    const [code, format, proto] = [Buffer.from(module), Buffer.from("mlir"), compileOptionsProto(options)];
    const program = new Struct(native, STRUCTS.Program);
    program.set({
      code: native.address(code),
      codeSize: code.length,
      format: native.address(format),
      formatSize: format.length,
    });
    try {
      const { executable } = await this.plugin.callAsync(
        "Client_Compile",
        {
          client: this.handle,
          program: program.address,
          options: native.address(proto),
          optionsSize: proto.length,
        },
        [code, format, proto],
      );
      return new Executable(this.plugin, executable, devicesHere(options));
    } finally {
      native.free(program.address);
    }
  }

  /**
   * A program that was compiled and serialised, in a thread of libuv's pool.
   * @param bytes as this plugin wrote them for these devices: it does not survive others
   * @throws a PjrtError if the plugin sees that they are not
   */
  async load(bytes: Uint8Array, options: XlaOptions = {}): Promise<Executable> {
    const { executable } = await this.plugin.callAsync(
      "Executable_DeserializeAndLoad",
      { client: this.handle, bytes: this.plugin.native.address(bytes), length: bytes.length },
      [bytes],
    );
    return new Executable(this.plugin, executable, devicesHere(options));
  }

  /** Copies a tensor to a device. */
  upload({ dtype, shape, data }: HostTensor, device: Device = this.first): DeviceBuffer {
    const { native } = this.plugin;
    const type = { dtype, shape };
    if (data.byteLength !== bytesOf(type))
      throw new Error(`pjrt: ${show(type)} has ${bytesOf(type)} bytes, the data has ${data.byteLength}`);
    const [source, dims] = [nonEmpty(data), nonEmpty(BigInt64Array.from(shape, BigInt))];
    const { done, buffer } = this.plugin.call(
      "Client_BufferFromHostBuffer",
      {
        client: this.handle,
        data: native.address(source),
        type: BUFFER_TYPES[dtype],
        dims: native.address(dims),
        rank: shape.length,
        semantics: COPIED,
        device: device.handle,
      },
      [source, dims],
    );
    if (done) this.plugin.call("Event_Destroy", { event: done });
    return { handle: buffer, type };
  }

  /** Copies a tensor to the host, row-major, when it is computed. The copy is ordered before whatever is started later. */
  async download({ handle, type }: DeviceBuffer): Promise<HostTensor> {
    const data = hostArray(type.dtype, elements(type.shape));
    const target = nonEmpty(data);
    const { event } = this.plugin.call("Buffer_ToHostBuffer", {
      buffer: handle,
      layout: this.#rowMajor(type.shape.length),
      data: this.plugin.native.address(target),
      size: data.byteLength,
    });
    await this.plugin.settled(event);
    return { ...type, data };
  }

  destroy({ handle }: DeviceBuffer): void {
    this.plugin.call("Buffer_Destroy", { buffer: handle });
  }

  /** Whether a run took the buffer for its results. */
  donated({ handle }: DeviceBuffer): boolean {
    return this.plugin.call("Buffer_IsDeleted", { buffer: handle }).deleted;
  }

  /** What a device says of its memory; undefined where it says nothing. */
  memory(
    device: Device = this.first,
  ): Values<typeof import("./abi.ts").FUNCTIONS.Device_MemoryStats.fields> | undefined {
    try {
      return this.plugin.call("Device_MemoryStats", { device: device.handle });
    } catch {
      return undefined;
    }
  }

  close(): void {
    this.plugin.call("Client_Destroy", { client: this.handle });
  }

  /** A host layout; without one, a GPU or TPU gives the buffer's own. */
  #rowMajor(rank: number): bigint {
    const known = this.#layouts.get(rank);
    if (known !== undefined) return known;
    const { native } = this.plugin;
    const order = native.allocate(8 * Math.max(1, rank));
    new BigInt64Array(order.buffer).set(Array.from({ length: rank }, (_, i) => BigInt(rank - 1 - i)));
    const layout = new Struct(native, STRUCTS.TiledLayout);
    layout.set({
      innerSize: TILED_BYTES,
      minorToMajor: order.address,
      minorToMajorSize: rank,
    });
    this.#layouts.set(rank, layout.address);
    return layout.address;
  }
}

/** How many devices of this process a program runs on. */
const devicesHere = ({ replicas = 1, partitions = 1, local = replicas * partitions }: XlaOptions): number => local;

/** PJRT_Buffer_MemoryLayout_Tiled: from its own header to `tiles`. */
const TILED_BYTES = 56;

export const bytesOf = ({ dtype, shape }: TensorType): number => elements(shape) * BYTES[dtype];

const SOMETHING = new Uint8Array(8);

/** Nothing has no address. */
function nonEmpty<T extends NodeJS.ArrayBufferView>(array: T): T | Uint8Array {
  return array.byteLength === 0 ? SOMETHING : array;
}
