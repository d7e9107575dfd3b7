"""Keeps full runs of Python's garbage collector short."""

import gc


def freeze_objects() -> None:
    """Collect the garbage, and exclude all other objects that exist now from later runs of the garbage collector.

    A full run visits every object, and no other Python code runs meanwhile. With the half a million objects of torch
    and transformers, it takes 0.3 s on one core: for so long, callbacks and health checks would have to wait. Call this
    once: if an excluded object becomes part of a cycle, it is never freed.
    """
    gc.collect()
    gc.freeze()
