"""What the rules that try and see have in common."""

from typing import Any

from rnnjax._types import Key


def check_perturbed(forcing: Any, owner: str) -> None:
    """Refuse a forcing whose correction would answer to the perturbation.

    Raises:
        ValueError: says which forcings go with the rule.
    """
    if forcing.holds_correction:
        raise ValueError(
            f"{owner} measures how the loss answers to a perturbation, and so would the correction "
            f"of {type(forcing).__name__}, which a gradient takes as given: use NoForcing(), or "
            "teacher forcing"
        )


def needed(key: Key | None, owner: str) -> Any:
    """The key, or an error that asks for one."""
    if key is None:
        raise ValueError(f"{owner} draws perturbations: give the fit key=, e.g. jax.random.key(0)")
    return key
