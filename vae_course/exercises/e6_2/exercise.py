"""Exercise 6.2: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import near
from vae_course.exercises.e6_2.calls import NAMES, PRIOR, use
from vae_course.exercises.e6_2.cases import hidden_cases, visible_cases
from vae_course.exercises.e6_2.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

THETA = ", theta of new batches"  # may learn or stay


def _compared(case: Case, values: Mapping[str, Value]) -> dict[str, Any]:
    """Leave out what is only warned of, and what may be one way or the other."""
    kept: dict[str, Any] = {name: value for name, value in values.items() if name != "alone"}
    if "what moved" in kept:
        kept["what moved"] = kept["what moved"].text.replace(THETA, "")
    return kept


def _warn_of_minibatch(case: Case, values: Mapping[str, Value]) -> str | None:
    """Warn of batch normalisation by the minibatch, which subtracts what a single new batch adds."""
    if "alone" not in values or values["alone"].text != "subtracted":
        return None
    return (
        "in training your batch normalisation still normalises by the minibatch. If its cells are all of one batch, "
        "that subtracts just what the new column adds, and the column cannot learn: freeze_batch_norm mends it."
    )


def _explain_growth(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say what is wrong with the new model, in the order in which one would look."""
    if got["what comes back"].text != "a new VAE":
        return f"it should return a new VAE; yours returns {got['what comes back'].text}."
    options, n_new = case.arguments[:2]
    if "library_log_means" not in got:
        return f"the new model should have n_batch={options['n_batch'] + n_new}."
    for name in PRIOR:
        if got[name].tensor is None or got[name].shape != want[name].shape:
            return (
                f"`{name}` should have a column for every batch, shape {want[name].shape}; yours has {got[name].shape}."
            )
        if not got[name].tensor[:, -n_new:].isnan().all():
            return f"`{name}` should be NaN for the new batches: nobody knows it yet."
        if not near(got[name].tensor[:, :-n_new], want[name].tensor[:, :-n_new]):
            return f"`{name}` of the old batches should be what it was."
    for name in NAMES:
        key = f"old batches: {name}"
        if key not in got or got[key].tensor is None or not near(got[key].tensor, want[key].tensor):
            return f"for cells of the old batches `{name}` is not what the old model gives."
    if got["new batches"].text != "finite":
        return (
            "for cells of the new batches the numbers are not all finite: which values do the new columns begin with?"
        )
    if got["training"].text != "done":
        return "no parameter of the new model can be trained. The columns of the new batches should."
    if got["what moved"].text != want["what moved"].text:
        return (
            f"training moves {got['what moved'].text}, and should move the columns of new batches alone, also under "
            "weight decay."
        )
    if got["old batches after training"].text != "the same":
        return "training changes what the model gives for the old batches."
    if got["new batches after training"].text != "others":
        return "training does not change what the model gives for the new batches."
    if got["the old model"].text != "as it was":
        return "the old model is no longer what it was: copy its weights, and freeze only those of the new one."
    return None


EXERCISE = Exercise(
    "6.2",
    "vae_course.mapping.add_batches",
    cases=visible_cases,
    use=use,
    examine=_compared,
    warns=(_warn_of_minibatch,),
    hidden=hidden_cases,
    returns=("what comes back",),
    properties=(_explain_growth,),
    advice={
        "size mismatch": "which weights have a column for every batch? Their old columns and the new ones go together",
        "is not set yet": "the prior of the old batches should be taken over",
        "Missing key": "load_state_dict needs all names: begin with the new model's own state_dict",
    },
    hints=(
        "model.options builds the same model again, with another n_batch. Compare the shapes in both state_dicts: the "
        "few that differ have a column for every batch, and where do these stand?",
        "Put new columns after those of the old batches with torch.cat: NaN in the two buffers, the mean of the old "
        "ones elsewhere; then load_state_dict. Freeze everything, and call learn_columns for every weight with them.",
    ),
    built="A trained model takes in a new laboratory, and forgets nothing.",
    mistakes=MISTAKES,
)
