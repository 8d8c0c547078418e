"""What the Verilog writer leaves to a simulator's order of events: made to hold in every one.

Combinational processes are ``always @*``, which waits for a change. The writer makes one at time 0, by a register that
each process reads; whether its initial value counts as a change is a race with the processes' first wait. A nonblocking
assignment comes behind them all.
"""

from __future__ import annotations

import re

_TRIGGER = re.compile(r"\\\$auto\$verilog_backend\S+ ?")
_DECLARED = re.compile(r"^  reg settle *= 0;$", re.MULTILINE)


def settle(text: str) -> str:
    """Verilog whose processes run at time 0, and whose case statements say that no other case does anything."""
    text = _DECLARED.sub("  reg settle;\n  initial settle <= 1'h0;", _TRIGGER.sub("settle", text))
    lines, has_default = list[str](), list[bool]()
    for line in text.splitlines():
        word = line.split(maxsplit=1)[:1]
        if word in (["casez"], ["case"]) or line.endswith(("casez (", "case (")):
            has_default.append(False)
        elif word and word[0].startswith("default"):
            has_default[-1] = True
        elif word == ["endcase"] and not has_default.pop():
            lines += [f"{line.replace('endcase', '  default:')}", f"{line.replace('endcase', '    ;')}"]
        lines.append(line)
    return "\n".join(lines) + "\n"
