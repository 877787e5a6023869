"""Exercise 5.11: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import near
from vae_course.exercises.e5_11.answer import finish_batch_norm
from vae_course.exercises.e5_11.calls import use
from vae_course.exercises.e5_11.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_11.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

AVERAGES = ("the running means", "the running variances")


def _explain_finish(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    numbers = [name for name in want if name in got and want[name].tensor is not None]
    wrong = [name for name in numbers if not near(got[name].tensor, want[name].tensor)]
    if "the weights" in wrong:
        return "the weights change. They stay as they are: only the running averages are set."
    if averages := [name for name in AVERAGES if name in wrong]:
        return (
            f"{' and '.join(averages)} are wrong. Each should be the plain mean, over the minibatches, of what batch "
            "normalisation finds in train mode, with nothing left of what was there before."
        )
    if "the momenta" in wrong:
        return "the averages are right, but the momenta of the layers are not what they were before."
    if got["the mode"].text != "eval":
        return "the averages are right, but the whole model should be in eval mode at the end: model.eval()."
    if got["the graph"].text != "not recorded":
        return "the averages are right, but PyTorch records the pass for gradients that nobody wants: torch.no_grad()."
    if got["what is returned"].kind != "nothing":
        return "the averages are right. The function works on the model that it is given, and returns nothing."
    return None


EXERCISE = Exercise(
    "5.11",
    "vae_course.nn.finish_batch_norm",
    cases=visible_cases,
    use=use,
    hidden=hidden_cases,
    returns=AVERAGES,
    properties=(_explain_finish,),
    plain=finish_batch_norm,
    advice={
        'missing the required "forward"': "pass each minibatch through the model with model.inference(x)",
        "has no attribute 'loss_terms'": "pass each minibatch through the model with model.inference(x)",
        "division by zero": "minibatches can be walked through only once",
    },
    hints=(
        "In train mode batch normalisation updates its running averages by itself, at every pass. What has to be "
        "forgotten before the first minibatch, and which momentum makes a plain average of all of them?",
        "Find the nn.BatchNorm1d among model.modules(). reset_running_stats() forgets; with the momentum None PyTorch "
        "takes the plain average. Keep the old momenta in a list, to put them back, and end in eval mode.",
    ),
    built="A trained model now judges new cells with averages that belong to its own weights.",
    mistakes=MISTAKES,
)
