#!/usr/bin/env python3
"""Writes billing/tests/litellm/cases.jsonl: what LiteLLM's own calculator makes of usages at LiteLLM's own prices.

One line a model: its name, its entry of LiteLLM's price file (MIT licence, Berri AI), and cases of usage and cost. Taken are the
models that the bundled price data names too, and some of the rest. The test `litellm_parity` rates the same usages at
LiteLLM's prices as Ledgerline reads them, and at the bundled ones. Left out is what LiteLLM prices by the time of asking
(`off_peak_pricing`): the figure would be another each time this program runs.

    python3 -m venv VENV && VENV/bin/pip install litellm==1.106.2
    LITELLM_LOCAL_MODEL_COST_MAP=True VENV/bin/python tests/tools/litellm_cases.py > billing/tests/litellm/cases.jsonl
"""

import json
import pathlib
import random
import re
from decimal import Decimal

import litellm
from litellm.cost_calculator import cost_per_token
from litellm.types.utils import (
    CacheCreationTokenDetails,
    CompletionTokensDetailsWrapper,
    PromptTokensDetailsWrapper,
    Usage,
)

BUNDLED = pathlib.Path(__file__).parents[2] / "billing/data/genai-prices.json"
# As LiteLLM lists providers and calls them; as the bundled data does; how many models the latter does not name.
PROVIDERS = [
    ("openai", "openai", "openai", 15),
    ("anthropic", "anthropic", "anthropic", 4),
    ("vertex_ai-language-models", "vertex_ai", "google", 5),
    ("gemini", "gemini", "google", 5),
    ("mistral", "mistral", "mistral", 5),
    ("xai", "xai", "x-ai", 8),
    ("groq", "groq", "groq", 3),
    ("bedrock_converse", "bedrock", "aws", 5),
    ("moonshot", "moonshot", "moonshotai", 2),
]
CASES = 6
# The price of another tier does not show in the cases; what is no price decides none.
PRICE = re.compile(r"cost|multiplier")


def count(dice):
    return dice.randrange(dice.choice([1, 10, 3_000, 128_001, 200_002, 300_000, 1_000_000]))


def usage(dice, entry):
    whole = count(dice)
    read = dice.randrange(whole + 1) if "cache_read_input_token_cost" in entry else 0
    write = dice.randrange(whole - read + 1) if "cache_creation_input_token_cost" in entry else 0
    hour = dice.randrange(write + 1) if "cache_creation_input_token_cost_above_1hr" in entry else 0
    output = count(dice)
    reasoning = dice.randrange(output + 1) if dice.random() < 0.5 else 0
    return {
        "input": whole,
        "cache_read": read,
        "cache_write": write,
        "cache_write_1h": hour,
        "output": output,
        "reasoning": reasoning,
    }


def theirs(model, provider, used, tier):
    spent = Usage(
        prompt_tokens=used["input"],
        completion_tokens=used["output"],
        total_tokens=used["input"] + used["output"],
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=used["cache_read"],
            cache_creation_tokens=used["cache_write"],
            cache_creation_token_details=CacheCreationTokenDetails(
                ephemeral_5m_input_tokens=used["cache_write"] - used["cache_write_1h"],
                ephemeral_1h_input_tokens=used["cache_write_1h"],
            ),
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=used["reasoning"]),
        cache_creation_input_tokens=used["cache_write"],
        cache_read_input_tokens=used["cache_read"],
    )
    prompt, completion = cost_per_token(
        model=model,
        custom_llm_provider=provider,
        usage_object=spent,
        prompt_tokens=used["input"],
        completion_tokens=used["output"],
        cache_creation_input_tokens=used["cache_write"],
        cache_read_input_tokens=used["cache_read"],
        service_tier=tier,
    )
    return prompt + completion


def chosen(dice, listed, bundled, more):
    """The models of a provider that the bundled data names, and a few more."""
    fitting = sorted(
        name
        for name, entry in litellm.model_cost.items()
        if entry.get("litellm_provider") == listed
        and entry.get("mode") in ("chat", "responses")
        and entry.get("input_cost_per_token")
        and entry.get("output_cost_per_token")
        and "off_peak_pricing" not in entry
    )
    known = [name for name in fitting if name in bundled or name.split("/", 1)[-1] in bundled]
    rest = [name for name in fitting if name not in known]
    return sorted(known + dice.sample(rest, min(more, len(rest))))


def main():
    dice = random.Random(20261121)
    bundled = {provider["id"]: {model["id"] for model in provider["models"]} for provider in json.loads(BUNDLED.read_text())}
    for listed, provider, ours, more in PROVIDERS:
        for name in chosen(dice, listed, bundled[ours], more):
            entry = litellm.model_cost[name]
            tiers = [None] + [tier for tier in ("flex", "priority") if f"input_cost_per_token_{tier}" in entry]
            cases = []
            for number in range(CASES):
                used, tier = usage(dice, entry), tiers[number % len(tiers)]
                cost = theirs(name, provider, used, tier)
                stated = {name: quantity for name, quantity in used.items() if quantity}
                cases.append({**stated, **({"tier": tier} if tier else {}), "cost": f"{Decimal(repr(cost)):f}"})
            kept = {key: value for key, value in entry.items() if PRICE.search(key) or key in ("litellm_provider", "mode")}
            print(json.dumps({"model": name, "entry": kept, "cases": cases}, sort_keys=True, separators=(",", ":")))


if __name__ == "__main__":
    main()
