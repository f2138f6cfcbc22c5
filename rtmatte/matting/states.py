"""What a net hands from each run to the next, left where it computes: on a GPU it never goes over the bus.

The runtime takes the memory for it, so that nobody needs to know its shape; on the processor nothing is copied either.

Reference: onnxruntime's documentation, "I/O Binding": outputs bound to a device without an array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmatte.matting.fixed_shapes import Arrays, bind_arrays

HOST = "cpu"


class States:
    """Outputs of a session that are inputs of its next run, and outputs that are seldom asked for. Not thread-safe.

    Where a device doesn't let them stay, they go by the processor's memory as of old; `note` says so, or nothing.
    """

    def __init__(
        self,
        session: Any,
        memory: str,
        states: Mapping[str, str],
        first: Mapping[str, NDArray[Any]],
        left: Iterable[str] = (),
    ) -> None:
        """`states`: input to output; `first`: what those inputs are in a first run; `left`: the other outputs.

        `memory` is that of the session's device, as onnxruntime calls it.
        """
        self._session, self._memory = session, memory
        self._states, self._first, self._left = dict(states), dict(first), tuple(left)
        self._bound = session.io_binding()
        self._values: dict[str, Any] = {}
        self.note = ""

    @property
    def has_past(self) -> bool:
        """Whether the next run isn't a first one."""
        return bool(self._values)

    def run(self, inputs: Arrays, outputs: Arrays) -> None:
        """A run with these arrays of the processor's besides.

        Raises: what the runtime raises.
        """
        try:
            self._run(inputs, outputs)
        except Exception as error:  # whatever it is: in the processor's memory it works, or says what is wrong
            if self._memory == HOST:
                raise
            self._memory = HOST
            self.forget()
            self.note = f"without states in the device's memory: {' '.join(str(error).split())}"
            self._run(inputs, outputs)

    def forget(self) -> None:
        """The next run is a first one."""
        self._values = {}

    def fetch(self, name: str) -> NDArray[Any]:
        """A copy of one of the `left` outputs of the last run."""
        return np.asarray(self._values[name].numpy())

    def _run(self, inputs: Arrays, outputs: Arrays) -> None:
        bound, kept = self._bound, [*self._states.values(), *self._left]
        bind_arrays(bound, inputs, {})
        for given, wanted in self._states.items():
            if self._values:
                bound.bind_ortvalue_input(given, self._values[wanted])
            else:
                bind_arrays(bound, {given: self._first[given]}, {})
        for name in kept:  # anew: the runtime would write over what is read otherwise
            bound.bind_output(name, self._memory, 0)
        bind_arrays(bound, {}, outputs)
        self._session.run_with_iobinding(bound)
        # In the order in which they were bound first.
        self._values = dict(zip(kept, bound.get_outputs(), strict=False))
