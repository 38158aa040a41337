// How the engine is broken for a variant: a method or a getter is put in the place of another, which it is handed, and taken away again.
export type Method = (this: never, ...args: never[]) => unknown;

export function replaced<K extends string>(prototype: { [N in K]: unknown }, name: K, by: (old: Method) => Method): () => void {
  const old = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
  Object.defineProperty(prototype, name, { ...old, value: by(old.value as Method) });
  return () => Object.defineProperty(prototype, name, old);
}

/** The same of a getter. */
export function getterReplaced(prototype: object, name: string, by: (old: (this: never) => unknown) => (this: never) => unknown): () => void {
  const old = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
  Object.defineProperty(prototype, name, { ...old, get: by(old.get as (this: never) => unknown) });
  return () => Object.defineProperty(prototype, name, old);
}

export const all = (...undo: readonly (() => void)[]) => () => { for (const one of undo) one(); };
export const call = (method: Method, self: unknown, ...args: unknown[]): unknown => method.apply(self as never, args as never[]);
