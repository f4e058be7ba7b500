/** What a node's main thread and the thread that keeps it in touch say to each other. */
import type { MessagePort } from "node:worker_threads";

export interface NodesOptions {
  /** This one, from 0. Node 0 is the coordinator. */
  readonly node: number;
  readonly nodes: number;
  /** Of the coordinator. */
  readonly host: string;
  readonly port: number;
  /** The address that node 0 listens on. @default the host */
  readonly bind?: string;
  /** What only the nodes know; see `tokenFrom`. */
  readonly token: string;
  /** What must be the same for all, such as a hash of the recipe: letters, digits, dots and dashes. */
  readonly agreement: string;
  /** A node that says nothing for so long is lost. */
  readonly silenceMs: number;
  /** How long the others wait for node 0 to start. */
  readonly startMs: number;
}

export type NodesRequest =
  | { readonly id: number; readonly kind: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly id: number; readonly kind: "get"; readonly key: string; readonly timeoutMs: number }
  | { readonly id: number; readonly kind: "barrier"; readonly key: string }
  | { readonly id: number; readonly kind: "fail"; readonly key: string }
  | { readonly id: number; readonly kind: "leave" };

/** A further port to answer on; `flag` is raised and notified with each answer, for a thread that blocks. */
export interface NodesPort {
  readonly kind: "port";
  readonly port: MessagePort;
  readonly flag: Int32Array;
}

/** The main thread knows that a node is lost. */
export interface NodesHeard {
  readonly kind: "heard";
}

export type NodesReply =
  | { readonly kind: "joined" }
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "answer"; readonly id: number; readonly value?: Uint8Array }
  | { readonly kind: "failure"; readonly id: number; readonly message: string };
