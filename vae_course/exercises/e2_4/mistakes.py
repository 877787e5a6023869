"""Exercise 2.4: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vae_course.nn import FCLayers, one_hot_covariates


def _fc_layers(
    *,
    order: str = "LBRD",
    activation: Callable[[], nn.Module] = nn.ReLU,
    momentum: float = 0.01,
    eps: float = 0.001,
    one_category: bool = False,
    inject: str = "every",
    last: str = "n_out",
    batch_norm: bool | None = None,
    dropout: float | None = None,
    container: str = "named",
    keep_positions: bool = True,
    columns_first: bool = False,
    bend_at_the_end: bool = True,
    more_layers: int = 0,
) -> type[nn.Module]:
    """Fully connected layers with something wrong in them; the defaults are right."""

    class Layers(nn.Module):
        def __init__(
            self, n_in, n_out, n_cat_list=None, n_layers=1, n_hidden=128, dropout_rate=0.1, use_batch_norm=True
        ) -> None:
            super().__init__()
            self.n_cat_list = [n if n > 1 or one_category else 0 for n in n_cat_list or []]
            if not keep_positions:
                self.n_cat_list = [n for n in self.n_cat_list if n]
            n_layers += more_layers
            extra = 0 if inject == "never" else sum(self.n_cat_list)
            widths = [n_in] + [n_hidden] * (n_layers - 1) + [n_out if last == "n_out" else n_hidden]
            rate, layers = dropout_rate if dropout is None else dropout, {}
            for i in range(n_layers):
                width = widths[i] + (extra if inject == "every" or i == 0 else 0)
                is_last = i == n_layers - 1
                steps = {"L": nn.Linear(width, widths[i + 1])}
                if bend_at_the_end or not is_last:
                    steps["R"] = activation()
                if use_batch_norm if batch_norm is None else batch_norm:
                    steps["B"] = nn.BatchNorm1d(widths[i + 1], momentum=momentum, eps=eps)
                if rate > 0:
                    steps["D"] = nn.Dropout(rate)
                layers[f"Layer {i}"] = nn.Sequential(*[steps[name] for name in order if name in steps])
            if container == "list":
                self.fc_layers = list(layers.values())
            elif container == "numbered":
                self.fc_layers = nn.Sequential(*layers.values())
            else:
                self.fc_layers = nn.Sequential()
                for name, layer in layers.items():
                    self.fc_layers.add_module(name, layer)

        def forward(self, x: Tensor, *cat_list: Tensor) -> Tensor:
            columns = []
            if inject != "never":
                columns = one_hot_covariates(cat_list, self.n_cat_list, len(x))
                columns += [torch.ones(len(x), 1) for n in self.n_cat_list if n == 1]
            for i, layer in enumerate(self.fc_layers):
                if columns and (inject == "every" or i == 0):
                    x = torch.cat([*columns, x] if columns_first else [x, *columns], dim=-1)
                x = layer(x)
            return x

    return Layers


class _AlwaysDroppingLayers(FCLayers):
    def forward(self, x: Tensor, *cat_list: Tensor) -> Tensor:
        for layer in self.fc_layers:
            for step in layer:
                step.train(step.training or isinstance(step, nn.Dropout))
        return super().forward(x, *cat_list)


MISTAKES = {
    "activation-before-normalisation": (
        _fc_layers(order="LRBD"),
        "The batch normalisation does not follow the Linear directly. The order is Linear, BatchNorm1d, ReLU, Dropout.",
    ),
    "dropout-before-activation": (
        _fc_layers(order="DLBR"),
        "Dropout comes first. The order is Linear, BatchNorm1d, ReLU, Dropout.",
    ),
    "no-activation": (
        _fc_layers(activation=nn.Identity),
        "The ReLU is missing: without a bend, several layers are no more than one Linear.",
    ),
    "other-activation": (
        _fc_layers(activation=nn.Sigmoid),
        "The activation is a sigmoid. FCLayers uses ReLU.",
    ),
    "first-layer-only": (
        _fc_layers(inject="first"),
        "The covariates enter the first Linear only. They have to stand beside the input of every Linear.",
    ),
    "covariates-ignored": (
        _fc_layers(inject="never"),
        "The covariates do not enter: every Linear takes their one-hot columns beside its input.",
    ),
    "single-category-encoded": (
        _fc_layers(one_category=True),
        "A covariate with a single category gets a column. It is the same for all cells and says nothing: "
        "leave it out.",
    ),
    "positions-lost": (
        _fc_layers(keep_positions=False),
        "You dropped the covariate with a single category from the list, so that the next one gets its codes. "
        "Keep its place, for example as a 0.",
    ),
    "columns-before-x": (
        _fc_layers(columns_first=True),
        "The one-hot columns stand in front of x. They belong behind it, as in the weights that come from scvi-tools.",
    ),
    "no-activation-at-the-end": (
        _fc_layers(bend_at_the_end=False),
        "The last layer has no ReLU. In FCLayers every layer ends alike; the heads come after it.",
    ),
    "one-layer-too-many": (
        _fc_layers(more_layers=1),
        "There is a layer too many: n_layers counts all of them, the last one too.",
    ),
    "hidden-width-at-the-end": (
        _fc_layers(last="n_hidden"),
        "The last layer has n_hidden outputs. Only the widths in between are n_hidden; the last is n_out.",
    ),
    "default-batch-norm": (
        _fc_layers(momentum=0.1, eps=1e-5),
        "BatchNorm1d has PyTorch's default options. Give it momentum=0.01 and eps=0.001.",
    ),
    "always-batch-norm": (
        _fc_layers(batch_norm=True),
        "There is batch normalisation although use_batch_norm=False was asked for.",
    ),
    "never-batch-norm": (
        _fc_layers(batch_norm=False),
        "There is no batch normalisation although use_batch_norm=True was asked for.",
    ),
    "no-dropout": (_fc_layers(dropout=0.0), "Dropout is missing where dropout_rate is above 0."),
    "dropout-for-ever": (
        _AlwaysDroppingLayers,
        "Dropout is on in eval mode too. nn.Dropout switches itself off there; a call of F.dropout needs "
        "training=self.training.",
    ),
    "fixed-dropout": (
        _fc_layers(dropout=0.1),
        "Dropout does not follow dropout_rate.",
    ),
    "python-list": (
        _fc_layers(container="list"),
        "The layers are in a Python list, where nn.Module does not look for parameters: no optimizer will find "
        "them. Use nn.Sequential.",
    ),
    "numbered-layers": (
        _fc_layers(container="numbered"),
        'The layers are called "0", "1", ... They should be called "Layer 0", "Layer 1", ...: give '
        "nn.Sequential an OrderedDict.",
    ),
}
