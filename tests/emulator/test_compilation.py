"""`emulator.compilation`: compiled functions do what Python does with them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from emulator.compilation import CompileError, compiled
from emulator.compilation.digest import function_digest

PAIR = np.dtype([("x", np.int64), ("small", np.int8), ("y", np.uint16)], align=True)
TABLE = np.array([[3, -1, 4], [1, -5, 9]], np.int16)
LIMIT = 12


class Inner(NamedTuple):
    pairs: Any
    raw: Any
    seen: Any


class Outer(NamedTuple):
    inner: Inner
    codes: Any


def _outer() -> Outer:
    raw = np.zeros(4, np.int64)
    seen = raw[:2].view(np.dtype([("first", np.int64), ("second", np.int64)]))
    return Outer(Inner(np.zeros(3, PAIR), raw, seen), np.arange(12, dtype=np.int8).reshape(3, 4))


def _operators(a: int, b: int, out: Any) -> None:
    out[0], out[1], out[2], out[3] = a + b, a - b, a * b, a // 8
    out[4], out[5], out[6], out[7] = a % 8, a // 5, a % 5, a % -7
    out[8], out[9], out[10], out[11] = a & b, a | b, a ^ b, ~a
    out[12], out[13], out[14] = a << 3, a >> 2, -a
    out[15], out[16], out[17] = min(a, b), max(a, b, LIMIT), abs(a)
    out[18], out[19], out[20], out[21] = a < b, a == b, a != b, a >= b
    out[22], out[23], out[24] = -3 < a <= LIMIT, a in (1, 2, LIMIT), a not in (1, 2, LIMIT)
    out[25], out[26], out[27] = a and b, a or b, not a
    out[28] = (a > 0) + (b > 0) + (a > b and b)
    out[29], out[30] = a if a > b else -b, 1 if a else 0
    if b != 0:
        out[31], out[32] = a // b, a % b
    for k in range(3):
        out[33] += int(TABLE[1, k]) * a + int(TABLE[a % 2][k])


def test_operators_are_those_of_python() -> None:
    function = compiled(_operators)
    rng = np.random.default_rng(0)
    values = [-9, -8, -7, -1, 0, 1, 2, 7, 8, 12, 13, *map(int, rng.integers(-(1 << 31), 1 << 31, 6))]
    for a in values:
        for b in values:
            expected, given = [0] * 34, np.zeros(34, np.int64)
            _operators(a, b, expected)
            function(a, b, given)
            assert given.tolist() == [int(value) for value in expected], (a, b)


def test_integers_wrap_and_narrow() -> None:
    @compiled
    def function(a: int, out: Any, codes: Any, low: Any) -> None:
        out[0], out[1] = a * a, np.int8(a)
        out[2], out[3] = np.uint8(a), np.int32(a) + 1
        codes[0] = a
        low[0] = a
        out[4], out[5] = codes[0], low[0]

    a = (1 << 40) + (1 << 31) + 200
    out, codes, low = np.zeros(6, np.int64), np.zeros(1, np.int8), np.zeros(1, np.uint16)
    function(a, out, codes, low)
    square = (a * a + (1 << 63)) % (1 << 64) - (1 << 63)
    assert out.tolist() == [square, 200 - 256, 200, -(1 << 31) + 200 + 1, 200 - 256, 200]


def _flow(n: int, out: Any) -> int:
    total, k = 0, n
    while True:
        k -= 1
        if k < 0:
            break
        if k % 3 == 0:
            continue
        for j in range(k, 0, -2):
            if j == 4:
                break
            total += j * k
        else_way = total if total % 2 else -1
        out[k % 4] = else_way
    if n == 5:
        return -total
    elif (n > 8 and total > 100) or n == 3:
        return total
    return 7


def test_bound_arrays_are_those_of_every_call() -> None:
    """What changes in them is seen; integers, NumPy's too, are each call's own."""

    @compiled
    def function(a: Any, n: int, less: int) -> bool:
        a[0] += n
        return a[0] - less > a[1]

    values = np.array([1, 10], np.int64)
    call = function.bind(values)
    assert (call(5, 0), values[0]) == (False, 6)
    values[1] = 3
    assert (call(np.int64(-1), 0), values[0]) == (True, 5)
    assert (call(0, True), call(0, 2), values[0]) == (True, False, 5)
    with pytest.raises(CompileError, match="must be integers, arrays or named tuples, not 'text'"):
        function.bind("text")(1, 2)


def test_control_flow_is_that_of_python() -> None:
    function = compiled(_flow)
    for n in range(12):
        expected, given = np.zeros(4, np.int64), np.zeros(4, np.int64)
        assert (function(n, given), given.tolist()) == (_flow(n, expected), expected.tolist())


@compiled
def _divided(a: int, b: int) -> tuple[bool, int, int]:
    return a % b == 0, a // b, a % b


@compiled
def _filled(target: Any, value: int) -> None:
    for k in range(len(target)):
        target[k] = value


@compiled
def _walk(s: Outer, n: int) -> bool:
    exact, quotient, rest = _divided(n, 4)
    inner, at = s.inner, s.inner.pairs[quotient % 3]
    at.x = at.small = n
    at.y += 65_535 + rest
    inner.raw[0], inner.raw[1] = 5, 6
    inner.seen[0].first += 1  # the same bytes as raw[0]
    inner.raw[2] = inner.raw[0] + inner.seen[0].second
    _filled(s.codes[1, 1:3], 50)
    _filled(s.codes[2], s.codes.shape[1])
    s.codes[0, -1] = 9
    return exact


def test_records_trees_views_and_calls() -> None:
    s = _outer()
    assert _walk(s, 300) is True
    assert s.inner.pairs.tolist() == [(300, 300 - 256, 65_535), (0, 0, 0), (0, 0, 0)]
    assert s.inner.raw.tolist() == [6, 6, 12, 0]
    assert s.codes.tolist() == [[0, 1, 2, 9], [4, 50, 50, 7], [4, 4, 4, 4]]
    assert _walk(s, 303) is False
    assert s.inner.pairs[0].tolist() == (303, 303 - 256, (65_535 + 65_535 + 3) % 65_536)


def test_arrays_that_share_memory_are_known_to() -> None:
    @compiled
    def function(a: Any, b: Any) -> int:
        a[0] = 1
        b[0] = 2
        return a[0]

    assert function(np.zeros(1, np.int64), np.zeros(1, np.int64)) == 1
    both = np.zeros(1, np.int64)
    assert function(both, both) == 2


REFUSED = {
    "value = 1.5": "is neither an integer nor an array",
    "value = [k for k in range(3)]": "cannot be compiled (ListComp)",
    "with a: pass": "`with a:` cannot be compiled",
    "value = print(n)": "is no compiled function",
    "value = a.nothing": "does not exist",
    "value = s.inner.pairs[0].z": "no field 'z'; its fields are x, small, y",
    "value = s.outer": "Outer has no field 'outer'",
    "value = a[0, 1]": "2 indices into an array of 1 axes",
    "value = a[::2]": "at most one slice without a step",
    "a[0:2] = 1": "is no integer's place",
    "TABLE[0, 0] = 1": "is a constant",
    "value = n ** 2": "integers have no Pow here",
    "value = undefined_name": "undefined_name is not defined",
    "value = a\n    value = 1": "given values of different kinds",
    "for k in a: pass": "must go over a range()",
    "n, value = 1, 2, 3": "needs 2 values",
    "if n: return 1\n    else: return": "every return must have a value, or none",
    "function(s, a, n)": "function calls itself",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_cannot_be_compiled_is_named_with_its_line(statement: str, tmp_path: Path) -> None:
    file = tmp_path / "refused.py"
    file.write_text(f"\ndef function(s, a, n):\n    n += 1\n    {statement}\n", encoding="utf-8")
    names: dict[str, Any] = {"TABLE": TABLE}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)
    names["function"] = compiled(names["function"])
    with pytest.raises(CompileError, match=re.escape(REFUSED[statement])) as caught:
        names["function"](_outer(), np.zeros(2, np.int64), 1)
    assert re.match(r"refused.py, line [456], in function: ", str(caught.value))


def test_arguments_that_cannot_be_given() -> None:
    @compiled
    def function(a: Any) -> int:
        return a[0]

    for wrong, text in (
        (np.zeros(2), "must be of integers or records, not float64"),
        (np.zeros((4, 4), np.int64)[:, 0], "must be contiguous"),
        ("text", "must be integers, arrays or named tuples, not 'text'"),
    ):
        with pytest.raises(CompileError, match=re.escape(text)):
            function(wrong)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import kept
print(kept.function(2, kept.np.zeros(1, int)), 'emulator.compilation.module' in sys.modules)
"""


def test_machine_code_is_kept_and_follows_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "cache"))
    source = "import numpy as np\nfrom emulator.compilation import compiled\nFACTOR = 3\n\n"
    source += "@compiled\ndef function(n, a):\n    return FACTOR * np.int8(n) + a.shape[0] - 1\n"

    def run() -> str:
        script = SCRIPT.format(folder=str(tmp_path))
        done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    (tmp_path / "kept.py").write_text(source, encoding="utf-8")
    assert [run(), run()] == ["6 True", "6 False"]
    (file,) = (tmp_path / "cache" / "compiled").iterdir()
    file.write_bytes(file.read_bytes()[:-1])  # as after a full disk
    assert [run(), run()] == ["6 True", "6 False"]
    (tmp_path / "kept.py").write_text(source.replace("FACTOR = 3", "FACTOR = 4"), encoding="utf-8")
    assert run() == "8 True"


def test_a_digest_knows_what_is_called_and_read() -> None:
    def made(factor: int, table: np.ndarray) -> str:
        @compiled
        def inner(n: int) -> int:
            return factor * n + table[0]

        def outer(n: int) -> int:
            return inner(n)

        return function_digest(outer)

    first = made(1, TABLE[0])
    assert made(1, TABLE[0].copy()) == first
    assert made(2, TABLE[0]) != first
    assert made(1, TABLE[1]) != first
