"""When Python's garbage collector looks, and at what: most of what a process that takes nights holds is modules, which stay."""

import atexit
import gc
from typing import Any

_SETTLED = 500_000  # objects; what any stage imports are fewer
_begun = 0  # nights, in this process


def collect_late() -> None:
    """Has the collector look when there is more than modules, and as often as ever from then on; at the end it need not look.

    What a stage makes first are modules, which stay. To look at them again and again takes a sixth of the time that their
    import takes, and to take them all apart when the process ends anyway another third.
    """
    usual = gc.get_threshold()

    def go_on(phase: str, _: dict[str, Any]) -> None:
        if phase == "stop":
            gc.callbacks.remove(go_on)
            gc.set_threshold(*usual)

    gc.set_threshold(_SETTLED)
    gc.callbacks.append(go_on)
    atexit.register(gc.freeze)


def spare_what_stays() -> None:
    """As a night begins: before the second of a process, the fourth, the eighth and so on, what there is by then is put out of
    the collector's sight, so that it looks at what nights make and leave. Nearly all of it stays, modules above all, and to look
    at half a million objects takes as long as a small night. What is spared though it would have been left is little: so few
    moments, between nights."""
    global _begun
    _begun += 1
    if _begun > 1 and _begun & (_begun - 1) == 0:
        gc.collect(1)
        gc.freeze()
