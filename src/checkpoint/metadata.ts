/** JSON in a file's metadata: written by us, read from anyone. */
import type { z } from "zod";
import { checked } from "../json-file.ts";

/**
 * What a key of the metadata says.
 * @param make what of it is wanted; throws where its values do not fit each other
 * @returns undefined where the key is not there
 * @throws one line that names the key, and the field that is wrong
 */
export function readMetadata<Read, Made>(
  metadata: ReadonlyMap<string, string>,
  key: string,
  schema: z.ZodType<Read>,
  make: (read: Read) => Made,
): Made | undefined {
  const text = metadata.get(key);
  if (text === undefined) return undefined;
  const name = `metadata ${key}`;
  const read = checked(schema, parsed(text, name), name);
  try {
    return make(read);
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : error}`);
  }
}

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${name}: not JSON`);
  }
}
