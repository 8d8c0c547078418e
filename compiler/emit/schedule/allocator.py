"""Allocation of a memory's rows to buffers that come and go."""

from __future__ import annotations


class Allocator:
    """Free intervals of one memory.

    Small requests, next fit: a request begins where the last one ended, so that rows rest as long as possible before
    they are used again. Large ones (more than a quarter) come to the lower and the upper end in turn, so that two of
    any sizes that fit together never stand in each other's way.
    """

    def __init__(self, depth: int):
        self.depth = depth
        self.free_spans: list[tuple[int, int]] = [(0, depth)]
        self.pointer = 0
        self.upper = True

    def take(self, rows: int, first_fit: bool = False) -> int | None:
        """The first row of `rows` free ones, or None; with `first_fit` the lowest."""
        if first_fit:
            start = self._lowest(rows, 0)
        elif 4 * rows > self.depth:
            start = self._highest(rows) if self.upper else self._lowest(rows, 0)
            self.upper ^= start is not None
        else:
            start = self._lowest(rows, self.pointer)
            start = self._lowest(rows, 0) if start is None else start
        if start is not None:
            self.take_at(start, rows)
            self.pointer = start + rows
        return start

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
        spans = sorted([*self.free_spans, (start, start + rows)])
        merged = [spans[0]]
        for first, last in spans[1:]:
            if first == merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        self.free_spans = merged
