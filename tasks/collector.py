"""When Python's garbage collector looks, and at what: most of what a process that takes nights holds is modules, which stay."""

import atexit
import gc
import sys
from typing import Any

_SETTLED = 500_000  # objects; what any stage imports are fewer
_spared = 0  # modules there were when their objects were last put out of sight


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


def spare_modules() -> None:
    """Before a night begins: puts what stays out of the collector's sight if the nights before have imported anything, so that it
    looks at what nights make and leave. To look at half a million objects takes as long as a small night, and happened every
    seventh; in between, nothing that a night has left is spared."""
    global _spared
    if _spared and len(sys.modules) > _spared:
        gc.collect(1)
        gc.freeze()
    _spared = len(sys.modules)
