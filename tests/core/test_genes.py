"""The choice of variable genes: what it keeps, and that hostile batches end in a sentence and not in a crash."""

import subprocess
import sys

import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

import vae_course as vc
from vae_course.genes import FLAVORS, most_variable

pytest.importorskip("skmisc", reason="scanpy chooses genes with scikit-misc")
SIMULATED = vc.simulate_counts(n_cells=300, n_genes=80, n_batches=2, seed=1)


@pytest.fixture(autouse=True)
def _same_threads():
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("by_batch", [False, True])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_genes_are_those_of_scanpy(flavor, by_batch):
    adata = SIMULATED.to_anndata()
    if flavor != "seurat_v3":
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    span = {"span": 0.5} if flavor == "seurat_v3" else {}
    key = "batch" if by_batch else None
    sc.pp.highly_variable_genes(adata, flavor=flavor, n_top_genes=20, batch_key=key, **span)
    chosen = most_variable(SIMULATED, 20, by_batch, flavor, 0.5)
    assert chosen.tolist() == adata.var["highly_variable"].tolist()
    assert chosen.sum() == 20


def test_genes_can_be_chosen_over_all_batches_that_the_data_keep(tmp_path):
    SIMULATED.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    for by_batch in (True, False):
        data = vc.load_counts(tmp_path / "cells.h5ad", batch_key="batch", n_top_genes=20, genes_by_batch=by_batch)
        assert data.n_batches == 2
        expected = SIMULATED.gene_names[most_variable(SIMULATED, 20, by_batch)]
        assert data.gene_names.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gene_flavor": "seurat_v4"}, "gene_flavor has to be one of 'seurat_v3', 'seurat', 'cell_ranger', got"),
        ({"gene_span": 0}, "gene_span is a share of the genes: expected more than 0 and at most 1, got 0"),
        ({"gene_span": 30}, "gene_span is a share"),
        ({"n_top_genes": 81}, "expected 1 to 80"),
    ],
)
def test_bad_options(tmp_path, options, message):
    SIMULATED.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=message):
        vc.load_counts(tmp_path / "cells.h5ad", **({"n_top_genes": 20} | options))


HOSTILE = """
import sys
import numpy as np
import vae_course as vc
from vae_course.genes import most_variable

r = np.random.default_rng(0)

def shallow(n_genes, n_cells=300, rate=0.01):
    counts = r.poisson(rate, (n_cells, n_genes))
    counts[counts.sum(axis=1) == 0, 0] = 1
    return counts

batches_of_20, one_alone = [i // 20 for i in range(300)], [0] + [1] * 299
deep = r.poisson(r.gamma(1, 2, (1, 500)), (300, 500)) + 1
cases = {
    "one cell": (deep, one_alone, {}),
    "one cell, seurat": (deep, one_alone, {"flavor": "seurat"}),
    "one cell, cell_ranger": (deep, one_alone, {"flavor": "cell_ranger"}),
    "shallow": (shallow(2000), batches_of_20, {}),
    "few genes": (deep[:, :5], one_alone[::-1], {"by_batch": False}),
    "no variance": (np.ones((300, 50), int), None, {}),
    "a batch without variance": (np.vstack([deep[:280], np.ones((20, 500), int)]), batches_of_20, {}),
    "tiny span": (deep, None, {"span": 0.001}),
    "shallow, no batches": (shallow(30, 40), None, {}),
    "one gene": (deep[:, :1], None, {}),
}
for name, (counts, batches, options) in cases.items():
    data = vc.CountData(counts, batch_index=batches)
    try:
        most_variable(data, 1, **({"by_batch": batches is not None} | options))
        print(f"{name}: fine")
    except ValueError as error:
        print(f"{name}: {error}")
"""


def test_hostile_batches_end_in_a_sentence_and_the_process_lives():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", HOSTILE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-500:]
    said = dict(line.split(": ", 1) for line in run.stdout.splitlines())
    assert len(said) == 10
    assert "b'" not in run.stdout
    for name in ("one cell", "one cell, seurat", "one cell, cell_ranger"):
        assert said[name].startswith("Batch '0' has 1 cell(s) and needs at least 2, so genes cannot be chosen: choose")
    assert said["shallow"].startswith("Batch '0' has too few counts to fit a trend of the variance")
    assert "genes_by_batch=False" in said["shallow"]
    assert "gene_span" in said["shallow"]
    assert said["few genes"].startswith("The whole data has 5 genes that vary, and a trend through 1 of them at a time")
    assert said["no variance"].startswith("The whole data has 0 genes that vary")
    assert said["a batch without variance"].startswith("Batch '14' has 0 genes that vary")
    assert "and a trend through 0 of them at a time (gene_span=0.001)" in said["tiny span"]
    assert "genes_by_batch" not in said["tiny span"]
    assert said["one gene"].startswith("The whole data has 1 genes that vary")


def test_more_genes_than_can_be_ranked_are_refused():
    counts = sp.csr_matrix(np.hstack([SIMULATED.counts.toarray(), np.zeros((300, 30))]))
    data = vc.CountData(counts)
    with pytest.raises(ValueError, match=r"gene_flavor='seurat' can rank \d+ genes only|cannot be chosen"):
        most_variable(data, 110, by_batch=False, flavor="seurat")
