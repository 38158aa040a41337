/** A promise that is opened by hand: for handlers that must not be done before something else has happened. */
export interface Gate<T = void> {
  readonly opened: Promise<T>;
  open(value: T): void;
}

export function gate<T = void>(): Gate<T> {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => { open = resolve; });
  return { opened, open };
}
