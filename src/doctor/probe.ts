/** Tries what may crash in a process of its own: a driver or a library that ends it becomes a line. */
import { fork } from "node:child_process";

export interface Device {
  readonly id: number;
  /** `cpu`, `NVIDIA H100 80GB HBM3`. */
  readonly kind: string;
  /** Bytes that programs may use there, where the device says. */
  readonly memory?: number;
}

/** What is tried. */
export type Trial =
  | { readonly kind: "engine"; readonly engine: "onnx" | "onnx-webgpu" | "reference" }
  | {
      readonly kind: "plugin";
      readonly path: string;
      readonly preload: readonly string[];
      readonly flags: Readonly<Record<string, string>>;
    }
  | { readonly kind: "sharp" };

/** What was found: names and versions, devices. */
export interface Found {
  readonly versions: Readonly<Record<string, string>>;
  readonly devices: readonly Device[];
}

export type Outcome = ({ readonly works: true } & Found) | { readonly works: false; readonly problem: string };

/** Milliseconds; a plugin of 500 MB from a cold disk takes some seconds. */
const PATIENCE = 60_000;

/** Sources run under the test runner use the built process. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/src/doctor/probe-worker.js" : "./probe-worker.js",
  import.meta.url,
);

export function probe(trial: Trial, patience = PATIENCE, worker: URL = WORKER): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = fork(worker, { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
    let said = "";
    child.stderr?.on("data", (piece: Buffer) => {
      said = (said + piece.toString()).slice(-4000);
    });
    const end = (outcome: Outcome): void => {
      clearTimeout(timer);
      resolve(outcome);
      child.kill("SIGKILL"); // has nothing left to do, and libraries that crash when they are unloaded
    };
    const timer = setTimeout(
      () => end({ works: false, problem: `does not answer in ${patience / 1000} seconds` }),
      patience,
    );
    child.on("message", (outcome: Outcome) => end(outcome));
    child.on("error", (error) => end({ works: false, problem: error.message }));
    child.on("close", (status, signal) => {
      const how = signal ? `crashes (${signal})` : `ends with status ${status}`;
      const last = said.trim().split("\n").at(-1)?.trim().slice(0, 300);
      end({ works: false, problem: last ? `${how}: ${last}` : how });
    });
    child.send(trial, () => {}); // what fails here is told by the other events
  });
}
