/** Work ahead of who takes the results, within bounds. */

/**
 * Maps a sequence of any length, at most `ahead` items at the same time. Results come in the order of the items; an error comes at its
 * item's place, and nothing is begun behind it. Items are taken from the sequence only as fast as results are taken from this.
 */
export async function* mapAhead<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  ahead: number,
  map: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const result = map(item);
      result.catch(() => {}); // told when its turn comes
      running.push(result);
      if (running.length < ahead) continue;
      const first = running.shift();
      if (first) yield await first;
    }
    for (let first = running.shift(); first; first = running.shift()) yield await first;
  } finally {
    // Who stops early finds nothing still at work.
    await Promise.allSettled(running);
  }
}

/** Consecutive items in lists of `size`, the last one shorter. */
export async function* inBatches<T>(items: Iterable<T> | AsyncIterable<T>, size: number): AsyncGenerator<readonly T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
