/**
 * Runs `read` over the items with at most `depth` of them under way, and gives the results in order. What was begun is
 * not left unhandled when the consumer stops early.
 */
export async function* readAhead<Item, Result>(
  items: Iterable<Item>,
  depth: number,
  read: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const underWay: Promise<Result>[] = [];
  const source = items[Symbol.iterator]();
  for (;;) {
    while (underWay.length < depth) {
      const next = source.next();
      if (next.done) break;
      const result = read(next.value);
      result.catch(() => undefined); // thrown where it is awaited below; here only marked as handled
      underWay.push(result);
    }
    const first = underWay.shift();
    if (first === undefined) return;
    yield await first;
  }
}
