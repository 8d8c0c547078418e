"""Allocation of a memory's rows to buffers that come and go."""

from __future__ import annotations

import numpy as np


class Allocator:
    """Free intervals of one memory.

    Small requests, next fit: a request begins where the last one ended, so that rows rest as long as possible before
    they are used again. Large ones (more than a quarter) come to the lower and the upper end, so that two of any sizes
    that fit together never stand in each other's way.

    freed, count : for each row the number of the buffer that gave it back last, of so many
    """

    def __init__(self, depth: int):
        self.depth = depth
        self.free_spans: list[tuple[int, int]] = [(0, depth)]
        self.pointer = 0
        self.upper = False
        self.freed = np.zeros(depth, np.int64)
        self.count = 0

    def take(self, rows: int, first_fit: bool = False) -> int | None:
        """The first row of `rows` free ones, or None; with `first_fit` the lowest."""
        if first_fit:
            start = self._lowest(rows, 0)
        elif 4 * rows > self.depth:
            start = self._at_end(rows)
        else:
            start = self._lowest(rows, self.pointer)
            start = self._lowest(rows, 0) if start is None else start
        if start is not None:
            self.take_at(start, rows)
            self.pointer = start + rows
        return start

    def _at_end(self, rows: int) -> int | None:
        """The lower or the upper end of all: one that no others keep from the memory's end, one that has rested longer,
        the other one than the last time."""
        low, high = self._lowest(rows, 0), self._highest(rows)
        if low is None or high is None:
            return None
        lower = low > 0, self.rested(low, rows), not self.upper
        upper = high + rows < self.depth, self.rested(high, rows), self.upper
        self.upper = upper < lower
        return high if self.upper else low

    def rested(self, start: int, rows: int) -> int:
        """Which of all buffers whose rows were given back was the last one to use some of these."""
        return int(np.maximum.reduce(self.freed[start : start + rows]))

    def _lowest(self, rows: int, begin: int) -> int | None:
        for first, last in self.free_spans:
            if max(first, begin) + rows <= last:
                return max(first, begin)
        return None

    def _highest(self, rows: int) -> int | None:
        for first, last in reversed(self.free_spans):
            if first + rows <= last:
                return last - rows
        return None

    def take_at(self, start: int, rows: int) -> bool:
        """Take just these rows if they are free."""
        for index, (first, last) in enumerate(self.free_spans):
            if first <= start and start + rows <= last:
                kept = [(first, start), (start + rows, last)]
                self.free_spans[index : index + 1] = [(a, b) for a, b in kept if a < b]
                return True
        return False

    def free(self, start: int, rows: int) -> None:
        """Give rows back."""
        self.count += 1
        self.freed[start : start + rows] = self.count
        spans = sorted([*self.free_spans, (start, start + rows)])
        merged = [spans[0]]
        for first, last in spans[1:]:
            if first == merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        self.free_spans = merged


class RestingAllocator(Allocator):
    """Free intervals of a memory in which buffers of several layers come and go.

    A request gets those rows at an end of a free interval that have rested longest since they were freed; a large one
    those at the lower or the upper end of all.
    """

    def take(self, rows: int, first_fit: bool = False) -> int | None:
        """The first row of `rows` free ones, or None; with `first_fit` the lowest."""
        fitting = [span for span in self.free_spans if span[1] - span[0] >= rows]
        if not fitting:
            return None
        starts = [fitting[0][0]]
        if not first_fit and 4 * rows > self.depth:
            starts.append(fitting[-1][1] - rows)
        elif not first_fit:
            starts = [start for first, last in fitting for start in (first, last - rows)]
        start = min(starts, key=lambda start: (self.rested(start, rows), start))
        self.take_at(start, rows)
        return start
