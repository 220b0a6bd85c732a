"""Live video background removal.

    import mattebox

    matte = mattebox.Matte(background="gray")
    for frame in frames:                  # height x width x 3, uint8, RGB
        picture = matte.process(frame)

One :class:`Matte` is one camera: the soft matte uses earlier frames. Different ones run in parallel
in threads.
"""

from ._matte import Matte
from ._native import __version__

__all__ = ["Matte", "__version__"]
