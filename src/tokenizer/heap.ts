/** A binary heap: `pop` returns an item that no other item comes `before`. */
export interface Heap<T> {
  readonly size: number;
  push(item: T): void;
  pop(): T | undefined;
}

/** `before` must be a strict order; with no ties between items the order of popping is fully determined. */
export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];

  function siftUp(index: number, item: T): void {
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = items[parent];
      if (above === undefined || !before(item, above)) break;
      items[index] = above;
      index = parent;
    }
    items[index] = item;
  }

  function siftDown(item: T): void {
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      let below = items[child];
      if (below === undefined) break;
      const sibling = items[child + 1];
      if (sibling !== undefined && before(sibling, below)) {
        below = sibling;
        child++;
      }
      if (!before(below, item)) break;
      items[index] = below;
      index = child;
    }
    items[index] = item;
  }

  return {
    get size() {
      return items.length;
    },
    push(item) {
      siftUp(items.length, item);
    },
    pop() {
      const top = items[0];
      const last = items.pop();
      if (last !== undefined && items.length > 0) siftDown(last);
      return top;
    },
  };
}
