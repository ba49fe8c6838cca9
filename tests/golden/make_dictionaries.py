"""Makes the dictionaries' fixtures: python make_dictionaries.py [name …], with requirements-dictionaries.txt.

Each case is one tiny random dictionary in one format: its files as they are shared, x, and what the format's own library makes of x in
float64. Nothing is written unless the canonical form (workers/dictionary/spec.ts) of the same tensors agrees with the library to 1e-11.
"""

import os
import sys
import warnings

# The libraries ask the Hub about models that they are not asked for here.
os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True
warnings.simplefilter("ignore")

from dictionaries import (  # noqa: F401
    case,
    circuit_tracer_cases,
    dictionary_learning_cases,
    hand_written,
    llama_scope,
    openai,
    saelens,
    saelens_before_6,
    sparsify_cases,
)

if __name__ == "__main__":
    wanted = sys.argv[1:]
    for each in case.CASES:
        if not wanted or each.name in wanted:
            case.make(each)
            print(each.name)
