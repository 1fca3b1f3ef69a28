"""How much of chaos is run: CHAOS_SIZE is `short` (a cut of two minutes, part of every test run) or `ci` (all of it).

CHAOS_SEED repeats what is left to chance, as far as processes repeat anything.
"""

from __future__ import annotations

import os
import random

from harness import BUILD

SIZE = os.environ.get("CHAOS_SIZE", "ci")
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def is_short() -> bool:
    return SIZE == "short"


def is_sanitized() -> bool:
    """Whether the programs under test are built with sanitizers, which need memory of their own."""
    cache = BUILD / "CMakeCache.txt"
    return not cache.exists() or "CHAT_WORKER_SANITIZE:STRING=\n" not in cache.read_text()
