"""How a layer of few output positions is cut: turns of column blocks, and for each of them K in jobs and loads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from emulator.instructions import PARAMETER_ENTRIES
from emulator.timing import sum_round_trip

from .convolution_cut import ConvolutionCut
from .output_room import counter_blocks, output_room
from .tiling import Segment, Span, Tile, cut_channels, even_spans, in_range, segments, spans

Part = TypeVar("Part")

TURNS = 2
"""Column blocks that take turns; an odd number of blocks has three at its end."""
WIDE = 4
"""Those of a single position that take turns between a layer's beginning and its end."""
HEAD_TURNS = 2
"""Turns that begin a layer together."""
FINE_TILES, FINE_BLOCKS = 8, 16
"""Weight tiles that a LOAD brings for the program's last column blocks, and how many these are: everything waits for
what the array does behind the last one."""
LOAD_SHARE, LOAD_ROWS = 16, 128
"""Rows of weights that a LOAD brings at most: that share of the scratchpad, or, where that is small, so many. The array
waits for all of them."""
SINGLE_SHARE = 12
"""The same share where there is a single position, and instructions weigh the most beside the weights."""
START_ROWS = (2, 6, 12)
"""Channel rows at which K is cut for the first turns of the program, for which nothing is loaded before."""
PIECES_MOST, PIECE_ROWS = 4, 8
"""Pieces of K before its last two in the first turns, and channel rows that each of them has at least."""


def takes_turns(cut: ConvolutionCut) -> bool:
    """Whether this emission suits a layer: few positions, several column blocks, and room for all that it needs."""
    config, positions = cut.config, cut.target.height * cut.target.width
    lines, pixels = cut.inputs
    sizes = [
        (positions * (TURNS + 1), config.accumulator_depth // 2),
        (len(lines) * len(pixels) * cut.channel_rows, config.activation_depth // 2),
        ((TURNS + 1) * config.rows, config.weight_depth // 2),
        (positions * (TURNS + 1), output_room(config, True)),
    ]
    if cut.operand is not None:
        sizes.append((positions * (TURNS + 1), config.operand_depth // 2))
    return (
        config.dataflow == "weight_stationary"
        and positions < sum_round_trip(config)
        and len(cut.blocks) >= TURNS
        and cut.node.groups == 1
        and not cut.node.raw
        and cut.at_once is None
        and in_range(_whole(cut), len(lines), len(pixels))
        and all(rows <= most for rows, most in sizes)
    )


def _whole(cut: ConvolutionCut) -> Tile:
    return Tile(Span(0, cut.target.height), Span(0, cut.target.width))


def gathered(parts: Sequence[Part], size: Callable[[Part], int], most: int) -> list[list[Part]]:
    """Consecutive parts together, as many as `most` allows."""
    made: list[list[Part]] = []
    for part in parts:
        if made and sum(map(size, made[-1])) + size(part) <= most:
            made[-1].append(part)
        else:
            made.append([part])
    return made


@dataclass(frozen=True)
class Job:
    """A piece of K for some column blocks, one CONVOLVE."""

    blocks: Span
    piece: Segment

    @property
    def tiles(self) -> int:
        """Weight tiles of all its blocks."""
        return len(self.blocks) * self.piece.tiles


class TurnsCut:
    """The turns of a layer that `takes_turns`, whose own cut is `cut`.

    follows : its input is another layer's result
    ends : no other layer comes behind it

    tile : all its positions
    lines, pixels : of the input, that some position meets
    turns : column blocks, in the array's order
    head : the column blocks of the turns that begin together
    fine : the last turns of the program, whose weights come in small pieces
    input_pieces : channel rows in the pieces in which they are loaded
    jobs : of each turn, in the array's order
    loads : jobs whose weights one LOAD brings
    stored : turns whose outputs are stored together
    """

    def __init__(self, cut: ConvolutionCut, follows: bool, ends: bool) -> None:
        self.cut, self.config, self.follows, self.ends = cut, cut.config, follows, ends
        self.tile = _whole(cut)
        count, rows = len(cut.blocks), self.config.rows
        self.turns = self.cut_turns(count)
        self.lines, self.pixels = cut.inputs
        self.input_pieces = self.cut_input()
        depth = self.config.weight_depth
        share = SINGLE_SHARE if self.tile.positions == 1 else LOAD_SHARE
        self.load_rows = max(depth // share, min(LOAD_ROWS, depth // 4), (TURNS + 1) * rows)
        self.head = Span(0, self.turns[: self.head_turns()][-1].last)
        late = [turn for turn in self.turns[1:] if ends and turn.first >= count - FINE_BLOCKS]
        large = [turn for turn in late if len(self.pieces(turn)) > 2]
        self.fine = [turn for turn in late if not large or turn.first > large[-1].first]
        self.jobs = self.cut_jobs()
        early = [job for turn in self.turns if turn not in self.fine for job in self.jobs[turn]]
        self.loads = gathered(early, lambda job: job.tiles * rows, 3 * self.load_rows // 4)
        self.loads += [[job] for turn in self.fine for job in self.jobs[turn]]
        self.stored = self.cut_outputs()

    def cut_turns(self, count: int) -> list[Span]:
        """Column blocks in turns; of a single position, wider ones between the first and the last ones."""
        edges, config = [*range(0, count - 1, TURNS), count], self.config
        most = [config.accumulator_depth // 2, config.weight_depth // 2 // config.rows, output_room(config, True)]
        most += [config.operand_depth // 2] if self.cut.operand is not None else []
        if self.tile.positions == 1 and min(most) >= WIDE:
            first, last = HEAD_TURNS * TURNS, count - 2 * TURNS - count % TURNS
            edges = [edge for edge in edges if not first < edge < last or (edge - first) % WIDE == 0]
        return [Span(first, last) for first, last in pairwise(edges)]

    def head_turns(self) -> int:
        """Turns that begin together."""
        last = self.turns[:HEAD_TURNS][-1].last
        most = [
            self.config.accumulator_depth // 2 // self.tile.positions,
            self.load_rows // self.config.rows,
            PARAMETER_ENTRIES // 2,
        ]
        return HEAD_TURNS if last <= min(most) else 1

    def cut_input(self) -> list[Span]:
        """Channel rows in the pieces in which they are loaded; the last two are what the layer before stores last."""
        total, end = self.cut.channel_rows, TURNS * self.config.columns // self.config.rows
        if not self.follows or not self.cut.pointwise or end < 1 or total < 2 * end:
            return [Span(0, total)]
        ends = 2 if total >= 4 * end else 1
        first = total - ends * end
        count = min(max(first // PIECE_ROWS, 1), PIECES_MOST)
        return [*even_spans(first, -(-first // count)), *spans(ends * end, end, first)]

    def cut_jobs(self) -> dict[Span, list[Job]]:
        """The jobs of each turn, in the array's order: all but the last piece of K for the first turns together."""
        starts = [span.first for span in self.input_pieces] if self.follows else START_ROWS
        *early, last = [part for piece in self.pieces(self.head) for part in cut_channels(piece, starts)]
        jobs = {}
        for turn in self.turns:
            in_head = turn.last <= self.head.last
            jobs[turn] = [Job(turn, piece) for piece in ([last] if in_head else self.pieces(turn))]
        jobs[self.turns[0]][:0] = [Job(self.head, piece) for piece in early]
        for turn in self.fine:
            rows = max(FINE_TILES // len(turn), 1)
            edges = range(0, self.cut.channel_rows, rows)
            jobs[turn] = [Job(turn, part) for job in jobs[turn] for part in cut_channels(job.piece, edges)]
        return jobs

    def pieces(self, turn: Span) -> list[Segment]:
        """K in pieces of about one size whose weights for all blocks of a turn one LOAD brings."""
        kernel = len(self.cut.kernel[0]), len(self.cut.kernel[1])
        tiles = kernel[0] * kernel[1] * self.cut.channel_rows
        most = max(self.load_rows // self.config.rows // len(turn), 1)
        return segments(kernel, self.cut.channel_rows, -(-tiles // -(-tiles // most)), None)

    def requantized(self, turn: Span) -> list[Span]:
        """A turn's column blocks that one REQUANTIZE takes: of as many channels, with room for their counters."""
        blocks, made = self.cut.blocks, list[Span]()
        most = counter_blocks(self.config) + 1 if self.config.counters else len(turn)
        for index in range(turn.first, turn.last):
            channels = len(blocks[index].outputs)
            if made and len(made[-1]) < most and len(blocks[made[-1].first].outputs) == channels:
                made[-1] = Span(made[-1].first, index + 1)
            else:
                made.append(Span(index, index + 1))
        return made

    def cut_outputs(self) -> list[list[Span]]:
        """Turns whose outputs are stored together: as many as there is room for, but the last two one by one."""
        positions = self.tile.positions
        room = [output_room(self.config, True) // positions, PARAMETER_ENTRIES // 2]
        if self.cut.operand is not None:
            room.append(self.config.operand_depth // 2 // positions)
        early = max(len(self.turns) - 2, 0)
        return [*gathered(self.turns[:early], len, min(room)), *([turn] for turn in self.turns[early:])]
