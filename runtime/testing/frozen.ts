// Data and state are read-only to handlers (API 4). In tests they are frozen, so that a handler that changes them in place
// throws. What bytes hold cannot be frozen.

const known = new WeakSet<object>();
const dateChanges = Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith("set"));

/** The value itself, frozen through and through: plain objects, arrays, Map, Set, Date. */
export function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !known.has(value)) freeze(value);
  return value;
}

function freeze(value: object): void {
  known.add(value);
  if (Array.isArray(value)) {
    for (const item of value) frozen(item);
    Object.freeze(value);
  } else if (value instanceof Map) {
    for (const [key, item] of value) { frozen(key); frozen(item); }
    lock(value, ["set", "delete", "clear"]);
  } else if (value instanceof Set) {
    for (const item of value) frozen(item);
    lock(value, ["add", "delete", "clear"]);
  } else if (value instanceof Date) lock(value, dateChanges);
  else if (isPlain(value)) {
    for (const item of Object.values(value)) frozen(item);
    Object.freeze(value);
  }
}

function lock(value: object, methods: readonly string[]): void {
  if (!Object.isExtensible(value)) return;
  for (const name of methods) {
    Object.defineProperty(value, name, { value: () => { throw new TypeError(`Cannot call ${name}: this ${value.constructor.name} is read-only; make a new one`); } });
  }
  Object.freeze(value);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A copy of plain data that shares nothing with it which could be changed; what is no plain data stays as it is. */
export function copied(value: unknown, depth = 0): unknown {
  // As deep as may be sent; what is deeper, or goes in a circle, is refused later.
  if (typeof value !== "object" || value === null || depth > 48) return value;
  if (Array.isArray(value)) return value.map((item) => copied(item, depth + 1));
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [copied(key, depth + 1), copied(item, depth + 1)]));
  if (value instanceof Set) return new Set([...value].map((item) => copied(item, depth + 1)));
  if (value instanceof Date) return new Date(value);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, copied(item, depth + 1)]));
}
