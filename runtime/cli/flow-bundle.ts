// Makes one JavaScript module of a flow's file and what it imports from beside it, with esbuild. Millrace itself stays outside: the
// flow gets the running one, so that classes and symbols are the same. So do packages, found from the flow's own folder.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, extname, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type BuildFailure, type ImportKind, type Message, type OnResolveResult, type Plugin, type ResolveResult } from "esbuild";
import { MillraceError } from "../event/errors.ts";
import { nearPath } from "./near-path.ts";

export interface FlowBundle {
  /** SHA-256 of the code, the same wherever the project is: no absolute path and no source map is in it. */
  readonly hash: string;
  /** What can be imported, with its source map. */
  readonly code: string;
}

/** This file is .ts when run from source and .js when built; so are the others. */
const ending = extname(fileURLToPath(import.meta.url));
export const own: Readonly<Record<string, string>> = {
  "millrace": new URL(`../index${ending}`, import.meta.url).href,
  "millrace/actors": new URL(`../../actors/index${ending}`, import.meta.url).href,
  "millrace/testing": new URL(`../testing/index${ending}`, import.meta.url).href,
};
const builtins = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));
/** What Node cannot import as it stands becomes part of the bundle, be it in a package or not. */
const compiled = new Set([".ts", ".mts", ".cts", ".tsx", ".jsx", ".json"]);
const loaders = { ".ts": "ts", ".mts": "ts", ".cts": "ts", ".tsx": "tsx", ".jsx": "jsx", ".js": "js", ".mjs": "js", ".cjs": "js" } as const;
const mostErrors = 10;

/** @throws MillraceError FLOW_FILE_INVALID with every error's place */
export async function bundleFlow(file: string): Promise<FlowBundle> {
  const folder = dirname(file), names = new Map<string, string>(), { code, map } = await built(file, [outsiders(names), places(folder, names)], stoodFor);
  let text = code;
  const requires = code.includes("__require(") ? `import { createRequire as requireFor } from "node:module"; const require = requireFor(${JSON.stringify(pathToFileURL(file).href)}); ` : "";
  for (const [absolute, name] of names) text = text.replaceAll(absolute, name);
  return { hash: createHash("sha256").update(text).digest("hex"), code: `${requires}${code}\n//# sourceMappingURL=data:application/json;base64,${Buffer.from(absoluteMap(map, folder)).toString("base64")}\n` };
}

/**
 * One that runs on other machines, too, and is the same bytes wherever the project is: packages are part of it, Millrace is imported by its
 * name, `import.meta.url` is the bundle's own. @throws MillraceError FLOW_FILE_INVALID with every error's place
 */
export async function bundlePortable(file: string): Promise<Uint8Array> {
  const { code, map } = await built(file, [packers()]);
  const requires = code.includes("__require(") ? 'import { createRequire as requireFor } from "node:module"; const require = requireFor(import.meta.url); ' : "";
  return Buffer.from(`${requires}${code}\n//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString("base64")}\n`);
}

async function built(file: string, plugins: Plugin[], define: Readonly<Record<string, string>> = {}): Promise<{ readonly code: string; readonly map: string }> {
  const folder = dirname(file);
  const result = await build({
    entryPoints: [file], absWorkingDir: folder, outfile: resolve(folder, "flow.mjs"), write: false, bundle: true, format: "esm", platform: "node", target: "node20",
    sourcemap: "external", sourcesContent: false, logLevel: "silent", charset: "utf8", legalComments: "none", keepNames: true, conditions: ["node", "import"],
    // A tsconfig.json of the project may ask for things that only its own build knows.
    tsconfigRaw: "{}", plugins, define,
  }).catch((error: BuildFailure) => {
    throw invalid(file, error.errors ?? [], error);
  });
  const [code, map] = [".mjs", ".map"].map((end) => result.outputFiles.find(({ path }) => path.endsWith(end))?.text ?? "") as [string, string];
  return { code, map };
}

/** What is no file beside the flow: Node's own modules stay outside by their names; what becomes of Millrace and of packages that were found the caller says. */
function outside(name: string, { ours, found }: { readonly ours: (path: string, kind: ImportKind) => OnResolveResult; readonly found: (result: ResolveResult, path: string, kind: ImportKind) => OnResolveResult }): Plugin {
  const tried = Symbol("tried");
  return {
    name,
    setup({ onResolve, resolve: find }) {
      onResolve({ filter: /^[^./]/ }, async ({ path, kind, resolveDir, importer, pluginData }) => {
        if (pluginData === tried || kind === "entry-point" || path.startsWith("#")) return undefined;
        if (builtins.has(path)) return { path: path.startsWith("node:") ? path : `node:${path}`, external: true };
        if (path === "millrace" || path.startsWith("millrace/")) return own[path] === undefined ? notOurs(path) : ours(path, kind);
        if (/^[a-z]+:/i.test(path)) return undefined;
        const result = await find(path, { kind, resolveDir, importer, pluginData: tried });
        return result.errors.length > 0 ? notThere(path) : found(result, path, kind);
      });
    },
  };
}

const notOurs = (path: string) => ({ errors: [{ text: `there is no "${path}": Millrace has ${Object.keys(own).map((name) => `"${name}"`).join(", ")}` }] });
const notThere = (path: string) => ({ errors: [{ text: `there is no package "${path}": install it beside the flow, npm i ${packageOf(path)}` }] });

/** Only Millrace and Node's own stay outside, by their names. */
function packers(): Plugin {
  return outside("packers", { ours: (path) => ({ path, external: true }), found: (result) => result });
}

/** Millrace, packages and Node's own stay outside, by URLs that hold wherever the bundle lies. `names`: gets the name of each place. */
function outsiders(names: Map<string, string>): Plugin {
  const external = (url: string, name: string, kind: ImportKind): OnResolveResult => {
    const path = kind.startsWith("require") ? fileURLToPath(url) : url;
    names.set(path, name);
    return { path, external: true };
  };
  return outside("outsiders", {
    ours(path, kind) {
      const url = own[path] as string;
      return existsSync(fileURLToPath(url)) ? external(url, path, kind) : { errors: [{ text: `"${path}" is not in this version of Millrace` }] };
    },
    found: (result, path, kind) => (result.external || compiled.has(extname(result.path)) ? result : external(pathToFileURL(result.path).href, path, kind)),
  });
}

const packageOf = (path: string): string => path.split("/").slice(0, path.startsWith("@") ? 2 : 1).join("/");

const metaNames = ["url", "filename", "dirname"] as const;
const standIn = (name: string): string => `__millrace_meta_${name}`;
/** The build itself puts a name in the place of each: by what a file says, not by its text, so that a string with these words stays. */
const stoodFor = Object.fromEntries(metaNames.map((name) => [`import.meta.${name}`, standIn(name)]));

/** `import.meta.url` and its kin stay those of the file that they are written in, though the bundle lies elsewhere. Each file gets the names' values. */
function places(folder: string, names: Map<string, string>): Plugin {
  return {
    name: "places",
    setup({ onLoad }) {
      onLoad({ filter: /\.[cm]?[jt]sx?$/ }, ({ path }) => {
        const text = readFileSync(path, "utf8");
        if (!/\bmeta\b/.test(text)) return undefined;
        const url = pathToFileURL(path).href, near = relative(folder, path);
        for (const [absolute, name] of [[url, `file:${near}`], [path, near], [dirname(path), dirname(near)]] as const) names.set(JSON.stringify(absolute), JSON.stringify(name));
        const values = { url, filename: path, dirname: dirname(path) }, begin = /^#!.*/.exec(text)?.[0].length ?? 0;
        // Before the file's first word: columns of that line move, lines do not.
        const known = metaNames.map((name) => `const ${standIn(name)} = ${JSON.stringify(values[name])};`).join("");
        return { contents: `${text.slice(0, begin)}${begin > 0 ? text.slice(begin).replace(/^\r?\n|$/, (end) => `${end}${known}`) : known + text}`, loader: loaders[extname(path) as keyof typeof loaders], resolveDir: dirname(path) };
      });
    },
  };
}

/** The map's sources as URLs: the bundle is written somewhere else. */
function absoluteMap(map: string, folder: string): string {
  const parsed = JSON.parse(map) as { sources: string[] };
  return JSON.stringify({ ...parsed, sources: parsed.sources.map((source) => pathToFileURL(resolve(folder, source)).href) });
}

function invalid(file: string, errors: readonly Message[], cause: Error): MillraceError {
  const shown = errors.slice(0, mostErrors).map(({ text, location }) => {
    if (location === null) return `\n  ${text}`;
    const place = `${nearPath(resolve(dirname(file), location.file))}:${location.line}:${location.column + 1}`;
    return `\n  ${place}  ${text}\n    ${location.lineText.trim().slice(0, 120)}`;
  });
  const more = errors.length > mostErrors ? `\n  and ${errors.length - mostErrors} more` : "";
  const what = errors.length === 0 ? `: ${cause.message}` : `:${shown.join("")}${more}\n`;
  return new MillraceError("FLOW_FILE_INVALID", nearPath(file), `The flow cannot be built${what}`, "Mend that and start again.", { cause });
}
