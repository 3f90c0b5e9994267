"""What some tests need of a machine; without it they are skipped, and say so."""

from __future__ import annotations

import os
import shutil

import pytest

_COMPILERS = (os.environ.get("CXX", "g++"), "clang++", "cl")
needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in _COMPILERS), reason="torch.compile needs a C++ compiler"
)
