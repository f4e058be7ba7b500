/** Whatever a user calls a model by: a path, or a name on the hub. */
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { DownloadError } from "../download/index.ts";
import { OPENAI_MODELS, parseHubName } from "./name.ts";
import { fetchModel, type HubOptions } from "./snapshot.ts";

const NO_NAME =
  ", and it is no name of a model on the hub (org/name, org/name@revision, hf-hub:org/name, or an official one such as ViT-B/32)";

/**
 * The path of a model: what is there already, else what the hub has under that name.
 * @param model a file, a folder, `org/name`, `org/name@revision`, `hf-hub:org/name`, or one of OpenAI's names (`ViT-B/32`)
 * @throws one line that says where it was looked for
 */
export async function modelPath(model: string, options?: HubOptions): Promise<string> {
  if (await exists(model)) return model;
  const isBare = !model.startsWith("hf-hub:") && !model.startsWith("hf://");
  const name = parseHubName(model);
  const isOfficial = Object.hasOwn(OPENAI_MODELS, model);
  // Beside things that are there it is a slip of the pen: nobody else should hear of it.
  const isBeside = isBare && !isOfficial && dirname(model) !== "." && (await exists(dirname(model)));
  if (!name || isBeside)
    throw new Error(
      `${model}: there is no such file or folder${name ? ` (for the model on the hub: hf-hub:${model})` : isBeside ? "" : NO_NAME}`,
    );
  try {
    return await fetchModel(name, options);
  } catch (error) {
    if (!isBare || !(error instanceof DownloadError) || isOfficial) throw error;
    if (error.status !== undefined && error.status !== 401 && error.status !== 404) throw error;
    throw new DownloadError(`${error.message}; nor is there a file or folder of that name`, {}, error);
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
