/**
 * Cases that mostly wait, so many at the same time: begun in their order, when the end of the first one is asked for. With each case comes the
 * function that gives what has become of it.
 */
export function abreast<C, T>(atOnce: number, cases: readonly C[], run: (one: C, at: number) => Promise<T>): readonly (readonly [one: C, end: () => Promise<T>])[] {
  const ends = cases.map(() => {
    let settle: (end: Promise<T>) => void = () => {};
    const end = new Promise<T>((resolve) => { settle = resolve; });
    // Who fails before its test looks at it fails there.
    end.catch(() => {});
    return { end, settle };
  });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < cases.length; at = next++) {
      const its = run(cases[at] as C, at);
      ends[at]?.settle(its);
      await its.catch(() => {});
    }
  };
  return ends.map(({ end }, at) => [cases[at] as C, () => {
    if (next === 0) for (let i = 0; i < atOnce; i++) void work();
    return end;
  }]);
}
