/**
 * What pip is configured with, so that who has a mirror, a proxy or a folder of wheels says it once: variables PIP_*, then the
 * configuration files in pip's order (https://pip.pypa.io/en/stable/topics/configuration/). Python is not run.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** pip's own default. */
const PUBLIC_INDEX = "https://pypi.org/simple";

export interface PipSettings {
  /** Indexes in the order they are asked, with the user and password in their URLs. */
  readonly indexes: readonly string[];
  /** Folders that may hold wheels. */
  readonly folders: readonly string[];
  /** The path of certificates to trust instead of the built-in ones. */
  readonly certificates: string | undefined;
  readonly proxy: string | undefined;
  /** Milliseconds without a connection, an answer or a further byte. */
  readonly timeout: number;
}

/** @param index the user's own word, before all else */
export async function pipSettings(index?: string, environment: Environment = process.env): Promise<PipSettings> {
  const files = configFiles(environment).map((path) => readFile(path, "utf8").catch(() => ""));
  const sections = (await Promise.all(files)).map(readIni);
  const said = (name: string): string | undefined => {
    const variable = environment[`PIP_${name.toUpperCase().replaceAll("-", "_")}`];
    if (variable) return variable;
    // What concerns the commands that fetch is stronger than what concerns all; later files are stronger than earlier ones.
    for (const section of ["install", "download", "global"])
      for (const file of sections.toReversed()) {
        const value = file.get(`${section}.${name}`);
        if (value) return value;
      }
    return undefined;
  };
  const list = (name: string): string[] => (said(name) ?? "").split(/\s+/).filter((word) => word !== "");
  const closed = /^(1|true|yes|on)$/i.test(said("no-index") ?? "");
  return {
    indexes: index ? [index] : closed ? [] : [said("index-url") ?? PUBLIC_INDEX, ...list("extra-index-url")],
    folders: list("find-links").flatMap(folderOf),
    certificates: said("cert"),
    proxy: said("proxy"),
    timeout: 1000 * (Number(said("timeout") ?? said("default-timeout")) || 30),
  };
}

/** The weakest first. PIP_CONFIG_FILE is the strongest; naming the null device turns all of them off. */
function configFiles(environment: Environment, platform = process.platform): string[] {
  const { PIP_CONFIG_FILE, XDG_CONFIG_DIRS, XDG_CONFIG_HOME, VIRTUAL_ENV, APPDATA, ProgramData } = environment;
  if (PIP_CONFIG_FILE === "/dev/null" || PIP_CONFIG_FILE?.toLowerCase() === "nul") return [];
  const home = homedir();
  const last = PIP_CONFIG_FILE ? [PIP_CONFIG_FILE] : [];
  if (platform === "win32")
    return [
      ...(ProgramData ? [join(ProgramData, "pip", "pip.ini")] : []),
      join(home, "pip", "pip.ini"),
      ...(APPDATA ? [join(APPDATA, "pip", "pip.ini")] : []),
      ...(VIRTUAL_ENV ? [join(VIRTUAL_ENV, "pip.ini")] : []),
      ...last,
    ];
  const support = join("Library", "Application Support", "pip", "pip.conf");
  const onMac = platform === "darwin";
  const global = onMac
    ? [join("/", support)]
    : (XDG_CONFIG_DIRS || "/etc/xdg").split(delimiter).map((folder) => join(folder, "pip", "pip.conf"));
  const own = join(XDG_CONFIG_HOME || join(home, ".config"), "pip", "pip.conf");
  return [
    ...global,
    ...(onMac ? [] : ["/etc/pip.conf"]),
    join(home, ".pip", "pip.conf"),
    onMac && existsSync(join(home, support)) ? join(home, support) : own,
    ...(VIRTUAL_ENV ? [join(VIRTUAL_ENV, "pip.conf")] : []),
    ...last,
  ];
}

/**
 * `section.name` -> value. Ours, since the npm packages for INI files do not know what Python's parser does: values that go on in
 * indented lines, which is how lists are written there.
 */
function readIni(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  let section = "";
  let last: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const said = line.trim();
    if (said === "" || /^[#;]/.test(said)) continue;
    if (/^\s/.test(line) && last !== undefined) {
      values.set(last, `${values.get(last)}\n${said}`.trim());
      continue;
    }
    const [, head] = /^\[(.+)\]$/.exec(said) ?? [];
    const [, name, value = ""] = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(said) ?? [];
    last = undefined;
    if (head !== undefined) section = head.trim().toLowerCase();
    else if (name !== undefined) {
      last = `${section}.${name.toLowerCase().replace(/^--/, "").replaceAll("_", "-")}`;
      values.set(last, value);
    }
  }
  return values;
}

/** Of `find-links` the folders; pages of links are not read. */
function folderOf(link: string): string[] {
  if (/^https?:/i.test(link)) return [];
  if (/^file:/i.test(link)) return URL.canParse(link) ? [decodeURIComponent(new URL(link).pathname)] : [];
  return [link.replace(/^~(?=$|[/\\])/, () => homedir())];
}
