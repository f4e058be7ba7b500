/** How models on the hub are called: `org/name`, `org/name@revision`, `hf-hub:org/name`, and OpenAI's own names. */

export interface HubName {
  /** `org/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const ONLY_AS_FILE = undefined;

/** The names of the official `clip.available_models()`, and where their weights stand on the hub. */
export const OPENAI_MODELS: Readonly<Record<string, string | undefined>> = {
  RN50: ONLY_AS_FILE,
  RN101: ONLY_AS_FILE,
  RN50x4: ONLY_AS_FILE,
  RN50x16: ONLY_AS_FILE,
  RN50x64: ONLY_AS_FILE,
  "ViT-B/32": "openai/clip-vit-base-patch32",
  "ViT-B/16": "openai/clip-vit-base-patch16",
  "ViT-L/14": "openai/clip-vit-large-patch14",
  "ViT-L/14@336px": "openai/clip-vit-large-patch14-336",
};

/** The hub's rule (96 characters, no `--`, no `..`), which also makes the name safe as one of a folder. */
const REPOSITORY = /^(?!.*(--|\.\.))[A-Za-z0-9_][A-Za-z0-9_.-]*\/[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/;
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9_.+-]*$/;

/** Where `clip-ts train` puts its runs: a mistyped run is not looked up at a stranger's. */
const RUNS = "runs/";

/**
 * Reads a name.
 * @returns undefined for what cannot be the name of a model on the hub
 * @throws one line for a name that starts with `hf-hub:` and is none, and for OpenAI's models that the hub has not
 */
export function parseHubName(text: string): HubName | undefined {
  if (Object.hasOwn(OPENAI_MODELS, text)) {
    const repository = OPENAI_MODELS[text];
    if (repository !== undefined) return { repository, revision: "main" };
    throw new Error(
      `${text}: OpenAI published it only as a file, not on the hub: load that file by its path, such as ${text}.pt`,
    );
  }
  const prefix = /^(hf-hub:|hf:\/\/)/.exec(text)?.[0] ?? "";
  const [repository = "", revision = "main", ...more] = text.slice(prefix.length).split("@");
  const isName = REPOSITORY.test(repository) && repository.length <= 96;
  if (isName && more.length === 0 && isRevision(revision) && !(prefix === "" && repository.startsWith(RUNS)))
    return { repository, revision };
  if (prefix === "") return undefined;
  throw new Error(
    `${JSON.stringify(text)}: expected ${prefix}org/name or ${prefix}org/name@revision (a branch, tag or commit)`,
  );
}

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** Branches may have slashes, as git's `refs/pr/1`; they become folders of the cache. */
function isRevision(text: string): boolean {
  return text.length <= 200 && text.split("/").every((part) => SEGMENT.test(part) && !part.includes(".."));
}
