/** Raise `version` (default 1) when the shape of the state changes; `migrate` brings old state into the new shape. */
export interface Versioned<S> {
  version?: number;
  migrate?: (state: unknown, from: number) => NoInfer<S>;
}
