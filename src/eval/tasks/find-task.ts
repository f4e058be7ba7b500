/** From what a user says to a task: a name, a layout and a path, or a file. */
import { existsSync } from "node:fs";
import { dirname, extname, isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { checked, readDefinition } from "../../json-file.ts";
import { DATA_SETS, type DataSet } from "./catalogue.ts";
import { isLayoutName, LAYOUTS, layoutOf } from "./layout.ts";
import { fashionMnist, OWN_TASKS } from "./own-tasks.ts";
import { METRICS, type Task } from "./task.ts";

/** A task that clip-ts knows, and whether its files are here. */
export interface KnownTask extends Omit<DataSet, "templates" | "classes" | "train" | "test"> {
  /** As the paper counts; tasks that are not the paper's say nothing. */
  readonly sizes?: Pick<DataSet, "classes" | "train" | "test">;
  readonly task?: Task;
  /** What to do where it is not here. */
  readonly missing?: string;
}

/** All tasks with a name: the paper's data sets, looked for in a folder of data, and those that come with packages. */
export async function knownTasks(data: string): Promise<readonly KnownTask[]> {
  const found: KnownTask[] = [];
  for (const { open, ...about } of OWN_TASKS) {
    const task = (await open()) ?? (await inFolder(data, about.name));
    const known = { ...about, metric: "accuracy" } as const;
    found.push(task ? { ...known, task } : { ...known, missing: about.from });
  }
  for (const { templates, classes, train, test, ...about } of DATA_SETS) {
    const place = join(data, about.name);
    const splits = await layoutOf(place);
    const known = { ...about, sizes: { classes, train, test } };
    const task = splits && { name: about.name, metric: about.metric, ...templatesOf(splits, templates), ...splits };
    found.push(task ? { ...known, task } : { ...known, missing: `${place}: files from ${about.from}` });
  }
  return found;
}

async function inFolder(data: string, name: string): Promise<Task | undefined> {
  if (name !== "fashion-mnist") return undefined;
  const splits = await layoutOf(join(data, name));
  return splits && fashionMnist(splits);
}

/** WebDataset folders bring their own. */
const templatesOf = ({ test }: Pick<Task, "test">, templates: readonly string[]): Partial<Task> =>
  test.kind === "wds" ? {} : { templates };

/**
 * @param said the name of a task, `LAYOUT:PATH`, or a `.json`, `.js` or `.mjs` file with a task
 * @throws one line that says what is known or missing
 */
export async function findTask(said: string, data: string): Promise<Task> {
  const [, word = "", path = ""] = /^([a-z0-9]+):(.+)$/.exec(said) ?? [];
  if (isLayoutName(word)) {
    if (!existsSync(path)) throw new Error(`${path}: there is no such file or folder`);
    const splits = await LAYOUTS[word](path);
    // A folder that is wrong says itself what it lacks when it is opened.
    if (!splits && (word === "folder" || word === "wds"))
      return { name: said, metric: "accuracy", test: { kind: word, folder: path } };
    if (!splits) throw new Error(`${path}: has not the layout ${word}`);
    return { name: said, metric: "accuracy", ...splits };
  }
  if ([".json", ".js", ".mjs"].includes(extname(said))) return taskFile(said);
  const tasks = await knownTasks(data);
  const known = tasks.find(({ name }) => name === said);
  if (known?.task) return known.task;
  if (known?.missing !== undefined) throw new Error(`${said}: its files are not here; expected in ${known.missing}`);
  const names = tasks.map(({ name }) => name).join(", ");
  throw new Error(
    `no task ${JSON.stringify(said)}: expected ${Object.keys(LAYOUTS).join(":, ")}: and a path, a file, or one of ${names}`,
  );
}

const strings = z.array(z.string().min(1)).min(1);
const place = z.string().min(1);
const columns = { imageColumn: z.string().optional(), labelColumn: z.string().optional() };

/** @see ImagesSpec */
const specSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("folder"), folder: place }),
  z.strictObject({ kind: z.literal("table"), table: place, folder: place.optional(), ...columns }),
  z.strictObject({ kind: z.literal("wds"), folder: place }),
  z.strictObject({ kind: z.literal("idx"), images: place, labels: place, classNames: strings.optional() }),
  z.strictObject({
    ...{ kind: z.literal("cifar"), folder: place },
    ...{ classes: z.union([z.literal(10), z.literal(100)]), part: z.enum(["train", "test"]) },
  }),
  z.strictObject({ kind: z.literal("parquet"), path: place, files: strings.optional(), ...columns }),
  z.strictObject({ kind: z.literal("digits"), part: z.enum(["train", "test"]) }),
  z.strictObject({
    ...{ kind: z.literal("emoji"), classes: z.enum(["group", "name"]), vendors: strings.optional() },
    ...{ concepts: z.enum(["seen", "unseen", "all"]).optional(), cacheDir: place.optional(), size: z.int().optional() },
  }),
]);

const taskSchema = z.strictObject({
  name: z.string().min(1).max(200),
  test: specSchema,
  train: specSchema.optional(),
  validation: specSchema.optional(),
  metric: z.enum(METRICS).default("accuracy"),
  classNames: strings.optional(),
  templates: z.array(z.string().includes("{}")).min(1).optional(),
  template: z.string().includes("{}").optional(),
});

/** Paths in it are relative to the file. */
async function taskFile(path: string): Promise<Task> {
  if (!existsSync(path)) throw new Error(`${path}: there is no such file`);
  const read = checked(taskSchema, await readDefinition(path), `${path}: is no task`);
  const { test, train, validation, ...rest } = withoutUndefined(read);
  const folder = dirname(resolve(path));
  return {
    ...rest,
    test: fromFolder(test, folder),
    ...(train && { train: fromFolder(train, folder) }),
    ...(validation && { validation: fromFolder(validation, folder) }),
  };
}

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** zod says `undefined` of what is optional, where our types have no such key. */
function withoutUndefined<T extends object>(value: T): Given<T> {
  return JSON.parse(JSON.stringify(value));
}

function fromFolder(spec: z.infer<typeof specSchema>, folder: string): Task["test"] {
  const from = (path: string): string => (isAbsolute(path) ? path : join(folder, path));
  const given = withoutUndefined(spec);
  switch (given.kind) {
    case "folder":
    case "wds":
    case "cifar":
      return { ...given, folder: from(given.folder) };
    case "table":
      return { ...given, table: from(given.table), ...(given.folder && { folder: from(given.folder) }) };
    case "idx":
      return { ...given, images: from(given.images), labels: from(given.labels) };
    case "parquet":
      return { ...given, path: from(given.path), ...(given.files && { files: given.files.map(from) }) };
    default:
      return given;
  }
}
