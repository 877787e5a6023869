"""What cannot be read is called what it is."""

import re
import subprocess
import sys
from pathlib import Path

import bad_input
import h5py
import numpy as np
import pytest

import vae_course as vc
from vae_course.cli import as_options, main
from vae_course.reading import unreadable


@pytest.fixture
def cells(tmp_path):
    vc.simulate_counts(n_cells=40, n_genes=12, seed=1).to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.mark.parametrize("case", bad_input.CASES, ids=lambda case: case[0])
def test_the_page_says_what_the_package_says(case):
    what, name, write, arguments = case
    row = f"| {what} (`{name}`) | {bad_input.message(name, write, arguments)} |\n"
    assert row in bad_input.PAGE.read_text(encoding="utf-8")


def test_the_page_has_no_other_rows():
    text = bad_input.PAGE.read_text(encoding="utf-8")
    assert text.startswith(bad_input.START)
    assert text.removeprefix(bad_input.START).count("\n") == len(bad_input.CASES)


def test_a_file_that_another_process_writes_is_called_open(cells):
    code = "import sys, h5py; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(cells)], **pipes) as other:
        assert other.stdout.readline() == "open\n"
        try:
            with pytest.raises(ValueError, match=r"cells\.h5ad cannot be opened while another program has it open"):
                vc.load_counts(cells)
        finally:
            other.stdin.close()
    assert vc.load_counts(cells).n_cells == 40


def test_a_file_that_may_not_be_read(cells, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)  # the administrator may read everything
    with pytest.raises(PermissionError, match=r"cells\.h5ad may not be read by you: ask its owner"):
        vc.load_counts(cells)


def test_a_compression_without_its_plugin_is_named(cells):
    with h5py.File(cells, "r+") as file:
        values = file["X/data"][:]
        del file["X/data"]
        stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        stored.set_chunk((len(values),))
        stored.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(file["X"].id, b"data", h5py.h5t.IEEE_F32LE, space, stored)
        file["X/data"].id.write_direct_chunk((0,), np.zeros(8, "u1").tobytes())
    # in a process of its own, since a plugin that was imported once stays
    code = "import sys; sys.modules['hdf5plugin'] = None; import vae_course as vc; vc.load_counts(sys.argv[1])"
    result = subprocess.run([sys.executable, "-c", code, str(cells)], capture_output=True, text=True)
    last = result.stderr.strip().splitlines()[-1]
    assert re.search(r"ImportError: .*cells\.h5ad is compressed with Zstandard, .*: pip install hdf5plugin\.$", last)


@pytest.mark.parametrize(("head", "what", "_"), unreadable.SIGNATURES[1:])
def test_every_signature_is_known(tmp_path, head, what, _):
    (tmp_path / "cells.h5ad").write_bytes(head)
    for load in (vc.load_counts, vc.load_h5ad):
        with pytest.raises(ValueError, match=f"an .h5ad file was expected, and this is {re.escape(what)}"):
            load(tmp_path / "cells.h5ad")


def test_load_h5ad_names_what_reads_other_formats(tmp_path):
    bad_input.hdf5("row_attrs", "col_attrs")(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"is a loom file, and an \.h5ad file was expected: load_counts reads it"):
        vc.load_h5ad(tmp_path / "cells.h5ad")


def test_something_else_that_is_a_zarr_store(tmp_path):
    zarr = pytest.importorskip("zarr", reason="reads .zarr")
    zarr.open_group(str(tmp_path / "cells.zarr"), mode="w").create_group("weights")
    with pytest.raises(
        ValueError, match=r"a zarr store with X, obs and var was expected, and this one holds 'weights'"
    ):
        vc.load_counts(tmp_path / "cells.zarr")


@pytest.mark.parametrize(
    ("message", "translated"),
    [
        ("give layer='counts' now", "give --layer counts now"),
        ("give layer='my counts'.", "give --layer 'my counts'."),
        ("raw=True or round=True.", "--raw or --round."),
        ("(gene_span=0.3) and genes_by_batch=False", "(--gene-span 0.3) and --no-genes-by-batch"),
        ("batch_key: there is no column", "--batch-key: there is no column"),
        (
            "use raw counts; the layer, round numbers, train_size=2",
            "use raw counts; the layer, round numbers, train_size=2",
        ),
    ],
)
def test_arguments_are_options_in_the_command(message, translated):
    assert as_options(message) == translated


def test_the_command_names_options_and_takes_them(cells, tmp_path, capsys):
    bad_input.adata(bad_input.LOG, raw=bad_input.COUNTS)(tmp_path / "log.h5ad")
    arguments = ["train", str(tmp_path / "log.h5ad"), "--out", str(tmp_path / "out"), "--epochs", "1", "--warmup", "0"]
    assert main(arguments) == 1
    assert "There are counts in .raw: give --raw." in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vc.UnsupervisedTrainer, "train", lambda *_, **__: sys.exit(3))
        for more in (["--raw"], ["--raw", "--round", "--gene-flavor", "seurat", "--n-top-genes", "9"]):
            with pytest.raises(SystemExit, match="3"):
                main([*arguments, *more])
        other = cells.rename(cells.with_name("other.h5ad"))
        bad_input.adata(vc.load_counts(other).counts[:30].toarray())(cells)
        with h5py.File(other, "r+") as file:  # names of the genes are those of the first file then
            file["var/_index"][:] = [str(g) for g in range(12)]
        with pytest.raises(SystemExit, match="3"):
            main(["train", str(cells), str(other), *arguments[2:]])
    said = capsys.readouterr().out
    assert "CountData: 20 cells x 9 genes, 1 batch(es)" in said
    assert "CountData: 70 cells x 12 genes, 2 batch(es)" in said
