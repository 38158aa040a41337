// As much of npm's ranges as `engines.node` uses: ">=18", "^20.19.0 || >=22.12", "10.* || >= 12.*", ">=18 <25".

/** Whether a range admits a version ("20.19.0"). Throws on a form it does not know. */
export function admits(range: string, version: string): boolean {
  return range.split("||").some((alternative) => comparatorsOf(alternative).every((comparator) => holds(comparator, numbersOf(version))));
}

function comparatorsOf(text: string): readonly string[] {
  return text.trim().replace(/(>=|<=|>|<|=|\^|~)\s+/g, "$1").split(/\s+/).filter((word) => word !== "");
}

function holds(comparator: string, version: readonly number[]): boolean {
  const [, operator = "", text] = /^(>=|<=|>|<|=|\^|~)?v?(\*|\d+(?:\.(?:\d+|\*|x)){0,2})$/.exec(comparator) ?? [];
  if (text === undefined) throw new Error(`a form of range that is not known: "${comparator}"`);
  if (text === "*") return true;
  const given = text.split(".").filter((part) => part !== "*" && part !== "x").map(Number);
  const low = [given[0] ?? 0, given[1] ?? 0, given[2] ?? 0];
  const order = compare(version, low);
  switch (operator) {
    case ">=": return order >= 0;
    case "<": return order < 0;
    case ">": return compare(version, above(low, given.length)) >= 0;
    case "<=": return compare(version, above(low, given.length)) < 0;
    case "^": return order >= 0 && compare(version, above(low, 1)) < 0;
    case "~": return order >= 0 && compare(version, above(low, Math.min(2, given.length))) < 0;
    default: return order >= 0 && compare(version, above(low, given.length)) < 0;
  }
}

/** The first version after all that share these first parts. */
function above(version: readonly number[], parts: number): readonly number[] {
  return version.map((part, i) => (i < parts - 1 ? part : i === parts - 1 ? part + 1 : 0));
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
  return 0;
}

function numbersOf(version: string): readonly number[] {
  return version.split(".").map(Number);
}
