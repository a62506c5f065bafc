"""They have an environment of their own (constraints-kernels.txt); kernels run in triton's interpreter."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported; test_compiled's own process has it off
