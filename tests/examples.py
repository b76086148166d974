"""How many examples hypothesis makes where a law is worth more than its usual hundred."""

import hypothesis


def many(number):
    """So many; a tenth of it under `--hypothesis-profile=few`, where only the Python differs from a run with all."""
    return max(1, number * hypothesis.settings.default.max_examples // 100)
