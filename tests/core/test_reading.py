"""Files of all formats, each in forms that programs of the field write, give the right counts, genes and cells."""

import gzip
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

import vae_course as vc
from vae_course.files import cell_names, read_cells
from vae_course.report import write_data, write_latent

COUNTS = np.random.default_rng(0).poisson(1.5, (7, 5)) + np.eye(7, 5, dtype=int)
COUNTS[5:, 0] += 1  # no cell is empty
GENES = ["CD3E", "nan", "MT-CO1", "NA", "LYZ"]
CELLS = [f"AAACCTGAGAAA{last}{also}-1" for last in "ACGT" for also in "AC"][:7]


def assert_right(data: vc.CountData, genes=GENES, counts=COUNTS) -> None:
    np.testing.assert_array_equal(data.counts.toarray(), counts)
    assert data.gene_names.tolist() == list(genes)


def adata_of(matrix=None, genes=GENES, cells=CELLS) -> anndata.AnnData:
    matrix = sp.csr_matrix(COUNTS.astype(np.float32)) if matrix is None else matrix
    return anndata.AnnData(matrix, obs=pd.DataFrame(index=list(cells)), var=pd.DataFrame(index=list(genes)))


# --------------------------------------------------------------------------------------------------------------------
# .h5ad and .zarr
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", "i1", "u1", ">i2", ">i4", "i8", ">u8", "u8"])
def test_dense_counts_of_every_type(tmp_path, dtype):
    path = tmp_path / "cells.h5ad"
    adata_of().write_h5ad(path)
    with h5py.File(path, "r+") as file:
        del file["X"]
        stored = file.create_dataset("X", data=COUNTS.astype(dtype))
        stored.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    assert_right(vc.load_counts(path))
    assert_right(vc.CountData.from_anndata(adata_of(COUNTS.astype(dtype))))


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize(("values", "places"), [(">f4", ">i4"), ("f2", "i8"), (">i8", ">i8"), ("u1", "i4")])
def test_sparse_counts_of_every_type(tmp_path, form, values, places):
    path = tmp_path / "cells.h5ad"
    adata_of(form(COUNTS.astype(np.float32))).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        for name, dtype in (("data", values), ("indices", places), ("indptr", places)):
            array = file["X"][name][:]
            del file["X"][name]
            file["X"][name] = array.astype(dtype)
    assert_right(vc.load_counts(path))


def test_negative_zeros_and_large_totals_are_counts(tmp_path):
    counts = COUNTS.astype(float)
    counts[0, 1:] = -0.0
    counts[0, 0] = counts[1, 1] = 10_000_000
    adata_of(counts).write_h5ad(tmp_path / "cells.h5ad")
    data = vc.load_counts(tmp_path / "cells.h5ad")
    assert_right(data, counts=counts)
    assert data.counts[0].nnz == 1


@pytest.mark.parametrize("missing", [False, True])
def test_nullable_columns_are_read(tmp_path, missing):
    adata = adata_of()
    adata.obs["type"] = pd.array(["a", None if missing else "c", *"bbaab"], dtype="string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(tmp_path / "cells.h5ad")
    if missing:
        with pytest.raises(ValueError, match="label_key: column 'type' has no value for 1 cells"):
            vc.load_counts(tmp_path / "cells.h5ad", label_key="type")
    else:
        assert vc.load_counts(tmp_path / "cells.h5ad", label_key="type").label_names.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("matrix", [COUNTS, sp.csr_matrix(COUNTS), sp.csc_matrix(COUNTS)], ids=["dense", "csr", "csc"])
@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:Variable names are not", "ignore:Observation names are")
def test_counts_in_raw_with_more_genes_and_names_that_occur_twice(tmp_path, matrix, ending):
    path, genes, cells = tmp_path / f"cells{ending}", ["A", "A", "nan", "B", "B-1"], ["x"] * 7
    adata = adata_of(matrix, genes, cells)
    adata.raw = adata
    adata = adata[:, :2].copy()
    adata.X = np.log1p(COUNTS[:, :2])
    (adata.write_h5ad if ending == ".h5ad" else adata.write_zarr)(path)
    assert_right(vc.load_counts(path, raw=True), genes)
    assert cell_names(path).tolist() == cells
    with pytest.raises(ValueError, match=r"^X: .*There are counts in \.raw: give raw=True\.$"):
        vc.load_counts(path)
    with pytest.raises(ValueError, match="either layer='counts' or raw=True"):
        vc.load_counts(path, layer="counts", raw=True)


def test_an_h5ad_without_raw_is_told(tmp_path):
    adata_of().write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"raw=True: the data have no \.raw"):
        vc.load_counts(tmp_path / "cells.h5ad", raw=True)


def test_hdf5_is_told_by_what_it_holds_and_not_by_its_name(tmp_path):
    adata_of().write_h5ad(tmp_path / "cells.h5ad")
    for name in ("cells.h5", "cells", "cells.csv"):
        (tmp_path / "cells.h5ad").rename(tmp_path / name)
        assert_right(vc.load_counts(tmp_path / name))
        (tmp_path / name).rename(tmp_path / "cells.h5ad")


@pytest.mark.parametrize("compression", ["Zstd", "Blosc", "Blosc2"])
def test_compressed_files_are_read_with_hdf5plugin(tmp_path, compression):
    hdf5plugin = pytest.importorskip("hdf5plugin", reason="reads the compressions that h5py lacks")
    adata_of().write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad", "r+") as file:
        values = file["X/data"][:]
        del file["X/data"]
        file.create_dataset("X/data", data=values, **getattr(hdf5plugin, compression)())
    assert_right(vc.load_counts(tmp_path / "cells.h5ad"))


@pytest.mark.parametrize("matrix", [COUNTS, sp.csr_matrix(COUNTS)], ids=["dense", "sparse"])
def test_counts_of_dask_and_lazy_data(tmp_path, matrix):
    array = pytest.importorskip("dask.array", reason="holds matrices that are computed later")
    if not hasattr(anndata.experimental, "read_lazy"):
        pytest.skip("needs anndata 0.12, whose data may be lazy")
    adata = adata_of(matrix)
    adata.obs["type"] = list("aabbaab")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    lazy = anndata.experimental.read_lazy(tmp_path / "cells.h5ad")
    data = vc.CountData.from_anndata(lazy, label_key="type")
    assert_right(data)
    assert data.labels.tolist() == [0, 0, 1, 1, 0, 0, 1]
    adata.X = array.from_array(matrix, chunks=(3, 5))
    assert_right(vc.CountData.from_anndata(adata))


# --------------------------------------------------------------------------------------------------------------------
# 10x
# --------------------------------------------------------------------------------------------------------------------


def write_10x_h5(path: Path, genes=GENES, types=("Gene Expression",) * 5, places="i8", values="i4") -> Path:
    """Write a file as Cell Ranger does: genes x cells by columns, which are cells."""
    matrix = sp.csr_matrix(COUNTS)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"] = matrix.data.astype(values), matrix.indices.astype(places)
        group["indptr"], group["shape"] = matrix.indptr.astype(places), np.array([5, 7], "i4")
        group["barcodes"] = np.array(CELLS, "S")
        features = {
            "id": [f"ENSG0000{g}" for g in range(5)],
            "name": genes,
            "feature_type": types,
            "genome": ["hg"] * 5,
        }
        for name, content in features.items():
            group[f"features/{name}"] = np.array(content, "S")
    return path


@pytest.mark.parametrize(
    "numbers", [{}, {"places": "u4"}, {"values": "u2"}, {"values": "f4"}, {"values": ">i4", "places": ">i8"}], ids=str
)
def test_10x_h5(tmp_path, numbers, capsys):
    path = write_10x_h5(tmp_path / "cells.h5", **numbers)
    assert_right(vc.load_counts(path))
    assert cell_names(path).tolist() == CELLS
    assert capsys.readouterr().out == ""


def test_10x_h5_with_gene_names_that_occur_twice(tmp_path):
    path = write_10x_h5(tmp_path / "cells.h5", genes=["A", "B", "A", "C", "A"])
    assert_right(vc.load_counts(path), ["A", "B", "A-1", "C", "A-2"])


def test_10x_h5_with_antibodies(tmp_path, capsys):
    types = ["Gene Expression", "Antibody Capture", "Gene Expression", "Gene Expression", "CRISPR Guide Capture"]
    path = write_10x_h5(tmp_path / "cells.h5", types=types)
    assert_right(vc.load_counts(path), [GENES[g] for g in (0, 2, 3)], COUNTS[:, [0, 2, 3]])
    assert "2 features are left out (Antibody Capture, CRISPR Guide Capture)." in capsys.readouterr().out
    write_10x_h5(path, types=["Antibody Capture"] * 5)
    with pytest.raises(ValueError, match="holds Antibody Capture and no Gene Expression"):
        vc.load_counts(path)


def test_10x_h5_of_an_old_cell_ranger(tmp_path):
    matrix = sp.csr_matrix(COUNTS)
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        group = file.create_group("hg19")
        group["data"], group["indices"], group["indptr"] = matrix.data.astype("i4"), matrix.indices, matrix.indptr
        group["shape"], group["barcodes"] = np.array([5, 7]), np.array(CELLS, "S")
        group["genes"], group["gene_names"] = np.array(GENES, "S"), np.array(GENES, "S")
    assert_right(vc.load_counts(tmp_path / "cells.h5"))
    with h5py.File(tmp_path / "cells.h5", "r+") as file:
        file.copy("hg19", "mm10")
    with pytest.raises(ValueError, match=r"counts of 2 genomes, hg19, mm10, and one was expected: .*genome='hg19'"):
        vc.load_counts(tmp_path / "cells.h5")


def write_folder(folder, packed=True, prefix="", genes="features", columns=3, end="\n", after="", matrix=COUNTS.T):
    """Write a folder as Cell Ranger and other programs do; `after` follows the last line of the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        "\t".join([f"ENSG0000{g}", name, "Gene Expression"][3 - columns if columns == 1 else 0 :][:columns])
        for g, name in enumerate(GENES)
    ]
    tables = {genes: rows if columns > 1 else GENES, "barcodes": CELLS}
    for name, lines in tables.items():
        content = (end.join(lines) + end + after).encode()
        (folder / f"{prefix}{name}.tsv{'.gz' if packed else ''}").write_bytes(
            gzip.compress(content) if packed else content
        )
    scipy.io.mmwrite(folder / f"{prefix}matrix.mtx", sp.coo_matrix(matrix), field="integer")
    if packed:
        unpacked = folder / f"{prefix}matrix.mtx"
        (folder / f"{prefix}matrix.mtx.gz").write_bytes(gzip.compress(unpacked.read_bytes()))
        unpacked.unlink()
    return folder


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"packed": False},
        {"packed": False, "genes": "genes", "columns": 2},
        {"genes": "genes", "columns": 2},
        {"columns": 1},
        {"prefix": "GSM1_sample_"},
        {"end": "\r\n", "after": "\r\n"},
        {"after": "\n", "packed": False},
        {"matrix": COUNTS},  # cells x genes, as kallisto and alevin write it
    ],
    ids=str,
)
def test_10x_folder(tmp_path, form):
    folder = write_folder(tmp_path / "matrix", **form)
    assert_right(vc.load_counts(folder))
    assert cell_names(folder).tolist() == CELLS


@pytest.mark.parametrize("name", ["matrix.mtx", "features.tsv"])
def test_a_10x_folder_with_a_file_that_is_packed_otherwise_than_its_name_says(tmp_path, name):
    folder = write_folder(tmp_path / "matrix")
    packed = folder / f"{name}.gz"
    packed.write_bytes(gzip.decompress(packed.read_bytes()))  # as browsers do
    assert_right(vc.load_counts(folder))


def test_one_of_several_matrices_in_a_folder(tmp_path):
    write_folder(tmp_path, prefix="GSM1_")
    write_folder(tmp_path, prefix="GSM2_", matrix=2 * COUNTS.T)
    with pytest.raises(ValueError, match=r"holds 2 matrices, and one was expected: .*GSM1_matrix\.mtx\.gz"):
        vc.load_counts(tmp_path)
    assert_right(vc.load_counts(tmp_path / "GSM2_matrix.mtx.gz"), counts=2 * COUNTS)


def test_a_10x_folder_that_lacks_something(tmp_path):
    folder = write_folder(tmp_path / "outs" / "filtered_feature_bc_matrix")
    with pytest.raises(ValueError, match=r"is a folder without matrix\.mtx, .*: give .*filtered_feature_bc_matrix\."):
        vc.load_counts(tmp_path)
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    with pytest.raises(ValueError, match=r"5 rows and 7 columns, .* name 5 genes and 2 cells"):
        vc.load_counts(folder)
    (folder / "barcodes.tsv.gz").unlink()
    with pytest.raises(ValueError, match=r"needs barcodes\.tsv \(or \.gz\) in the same folder"):
        vc.load_counts(folder)


# --------------------------------------------------------------------------------------------------------------------
# .loom
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("genes", "cells"), [("Gene", "CellID"), ("gene_names", "obs_names"), ("Accession", "barcode")]
)
@pytest.mark.parametrize("names", [GENES, ["A", "B", "A", "nan", "A"]], ids=["names", "twice"])
def test_loom(tmp_path, genes, cells, names):
    loompy = pytest.importorskip("loompy", reason="reads .loom")
    layers = {"": sp.coo_matrix(COUNTS.T), "spliced": sp.coo_matrix(2 * COUNTS.T)}  # as velocyto writes them
    loompy.create(str(tmp_path / "cells.loom"), layers, {genes: np.array(names)}, {cells: np.array(CELLS)})
    expected = names if names == GENES else ["A", "B", "A-1", "nan", "A-2"]
    assert_right(vc.load_counts(tmp_path / "cells.loom"), expected)
    assert_right(vc.load_counts(tmp_path / "cells.loom", layer="spliced"), expected, 2 * COUNTS)
    assert cell_names(tmp_path / "cells.loom").tolist() == CELLS


def test_a_loom_file_without_any_names(tmp_path):
    loompy = pytest.importorskip("loompy", reason="reads .loom")
    loompy.create(str(tmp_path / "cells.loom"), {"": sp.coo_matrix(COUNTS.T)}, {}, {})
    with pytest.raises(ValueError, match=r"cells\.loom names neither cells nor genes: write it again with CellID"):
        vc.load_counts(tmp_path / "cells.loom")


def test_loom_without_loompy(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "cells.loom", "w") as file:
        file["matrix"] = COUNTS.T
        file.create_group("row_attrs")
        file.create_group("col_attrs")
    monkeypatch.setitem(sys.modules, "loompy", None)
    with pytest.raises(ImportError, match=r"cells\.loom needs loompy: pip install loompy\.$"):
        vc.load_counts(tmp_path / "cells.loom")


# --------------------------------------------------------------------------------------------------------------------
# Tables
# --------------------------------------------------------------------------------------------------------------------


def table(corner="", delimiter=",", end="\n", tail="", genes=GENES, cells=CELLS) -> str:
    """Return a table of genes x cells as text; `tail` ends each line."""
    lines = [[*([] if corner is None else [corner]), *cells]]
    lines += [[name, *map(str, row)] for name, row in zip(genes, COUNTS.T, strict=True)]
    return end.join(delimiter.join(line) + tail for line in lines) + end


def quoted(text: str) -> str:
    return "\n".join(",".join(f'"{word}"' for word in line.split(",")) for line in text.splitlines())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cells.csv", table()),
        ("cells.csv", "\ufeff" + table(delimiter=";")),
        ("cells.csv", table(end="\r\n", tail=",")),
        ("cells.csv", quoted(table())),
        ("cells.csv", "# written by some program\n\n" + table("gene") + "\n\n"),
        ("cells.txt", table(corner=None, delimiter=" ")),
        ("cells.txt", table(corner=None, delimiter="\t")),
        ("CELLS.TSV", table("GeneID", "\t", "\r\n")),
        ("cells.tsv.gz", table(delimiter="\t")),
        ("cells.csv", table().replace(",0", ",0.0")),
        ("cells.csv", table().rstrip("\n")),
    ],
)
@pytest.mark.parametrize("transposed", [False, True])
def test_tables(tmp_path, name, text, transposed, capsys):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert_right(vc.load_counts(path))
    assert "rows are taken for genes and columns for cells; genes_are='columns' reverses" in capsys.readouterr().out
    assert cell_names(path).tolist() == CELLS
    assert_right(vc.load_counts(path, genes_are="rows"))
    data = vc.load_counts(path, genes_are="columns") if (COUNTS.sum(axis=0) > 0).all() else None
    assert_right(data, CELLS, COUNTS.T)
    assert capsys.readouterr().out == ""


def test_a_table_of_cells_x_genes(tmp_path, capsys):
    table_ = pd.DataFrame(COUNTS, index=CELLS, columns=GENES)
    table_.to_csv(tmp_path / "cells.csv")
    assert_right(vc.load_counts(tmp_path / "cells.csv"))
    assert "columns are taken for genes and rows for cells" in capsys.readouterr().out


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path):
    text = "\ufeff" + table("gene", genes="abcde", cells="tuvwxyz")
    (tmp_path / "cells.csv").write_bytes(text.encode())
    assert_right(vc.load_counts(tmp_path / "cells.csv"), "abcde")


def test_a_table_in_utf_16_is_called_so(tmp_path):
    (tmp_path / "cells.csv").write_text(table(), encoding="utf-16")
    with pytest.raises(ValueError, match="this is text in UTF-16: save it as UTF-8"):
        vc.load_counts(tmp_path / "cells.csv")


def test_names_that_occur_twice_in_a_table(tmp_path):
    (tmp_path / "cells.csv").write_text(table("gene", genes=["A", "B", "A", "C", "A"], cells=["x"] * 7))
    assert_right(vc.load_counts(tmp_path / "cells.csv"), ["A", "B", "A-1", "C", "A-2"])
    assert cell_names(tmp_path / "cells.csv").tolist() == ["x"] * 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table(genes="abcde", cells="tuvwxyz"), "whether its 5 rows or its 7 columns are genes: give genes_are='rows'"),
        (table("cell"), "whether its 5 rows or its 7 columns are genes"),  # what the names say contradicts it
        (table().replace("MT-CO1,", "MT-CO1,chrM,").replace("\n", ",0\n"), r"text|Expected \d fields|as many names"),
        (table().replace(f",{COUNTS[0, 0]},", ",1.234.567,", 1), r"numbers were expected .*such as '1\.234\.567'"),
        (table().replace(",0", ",NA", 1), r"1 of them hold text, such as 'NA'"),
        (
            table().replace(f",{COUNTS[0, 0]},", ",,", 1),
            r"1 missing \(NaN\) entries.* with 0 where nothing",
        ),
        ("", "a table of counts as text was expected, and this is an empty file"),
        ("gene,cell\n", "cannot be read as a table"),
        (table().split("\n", 1)[1], r"names were expected in the first row, and it holds numbers, such as \d"),
        ("<!DOCTYPE html>\n<p>Sign in</p>", "a table of counts as text was expected, and this is a web page"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        vc.load_counts(tmp_path / "cells.csv")


def test_genes_are_rows_or_columns(tmp_path):
    (tmp_path / "cells.csv").write_text(table())
    with pytest.raises(ValueError, match="genes_are has to be 'rows' or 'columns', got 'row'"):
        vc.load_counts(tmp_path / "cells.csv", genes_are="row")


# --------------------------------------------------------------------------------------------------------------------
# Several files
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path):
    """Two files with three genes in common, in another order, and one that the second file has twice."""
    first = adata_of()
    first.obs["donor"] = list("aabbaab")
    first.write_h5ad(tmp_path / "monday.h5ad")
    second = pd.DataFrame(COUNTS[:, [4, 2, 1, 0, 3]], index=CELLS, columns=["LYZ", "MT-CO1", "nan", "CD3E", "other"])
    second.insert(2, "nan", 3, allow_duplicates=True)
    second.to_csv(tmp_path / "tuesday.csv")
    return [tmp_path / "monday.h5ad", tmp_path / "tuesday.csv"]


def test_several_files_are_batches_with_the_genes_that_all_have(two, capsys):
    with pytest.raises(ValueError, match="no column 'donor' in obs"):
        vc.load_counts(two, batch_key="donor")
    capsys.readouterr()
    data = vc.load_counts(two)
    said = capsys.readouterr().out
    assert "3 genes are in all 2 files, each once; the others are left out: 2 of monday, 3 of tuesday." in said
    assert_right(data, ["CD3E", "MT-CO1", "LYZ"], np.vstack([COUNTS[:, [0, 2, 4]]] * 2))
    assert data.batch_names.tolist() == ["monday", "tuesday"]
    assert data.batch_index.tolist() == [0] * 7 + [1] * 7


def test_several_files_with_a_column_of_batches(two):
    batches = vc.load_counts([two[0]], batch_key="donor")
    assert batches.batch_names.tolist() == ["a", "b"]


def test_files_without_a_gene_in_common(tmp_path):
    adata_of().write_h5ad(tmp_path / "a.h5ad")
    adata_of(genes=["ENSG1", "ENSG2", "ENSG3", "ENSG4", "ENSG5"]).write_h5ad(tmp_path / "b.h5ad")
    with pytest.raises(ValueError, match=r"there are none \(a has CD3E, nan, MT-CO1 and b has ENSG1, ENSG2, ENSG3\)"):
        vc.load_counts([tmp_path / "a.h5ad", tmp_path / "b.h5ad"])
    with pytest.raises(ValueError, match=r"a\.h5ad is given twice"):
        vc.load_counts([tmp_path / "a.h5ad"] * 2)
    with pytest.raises(ValueError, match="the list of files is empty"):
        vc.load_counts([])


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    folders = [write_folder(tmp_path / sample / "outs" / "filtered_feature_bc_matrix") for sample in ("s1", "s2")]
    data = vc.load_counts(folders)
    assert data.batch_names.tolist() == ["s1", "s2"]
    assert cell_names(folders).tolist() == [f"{cell}-{sample}" for sample in ("s1", "s2") for cell in CELLS]


def test_what_is_wrong_in_one_of_several_files_is_said_with_its_name(tmp_path):
    adata_of().write_h5ad(tmp_path / "a.h5ad")
    adata_of(np.log1p(COUNTS)).write_h5ad(tmp_path / "b.h5ad")
    with pytest.raises(ValueError, match=r"b\.h5ad: X: counts has .* fractional"):
        vc.load_counts([tmp_path / "a.h5ad", tmp_path / "b.h5ad"])


# --------------------------------------------------------------------------------------------------------------------
# What is written for files of all formats
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["10x folder", "csv", "zarr", "several"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_the_latents_are_written_with_the_counts_and_the_names_of_the_cells(tmp_path, form, two, capsys):
    source, counts, cells = tmp_path / "cells", COUNTS, CELLS
    if form == "10x folder":
        write_folder(source)
    elif form == "zarr":
        adata_of().write_zarr(source)
    elif form == "csv":
        source = source.with_suffix(".csv")
        source.write_text(table())
    else:
        source, counts = two, np.vstack([COUNTS[:, [0, 2, 4]]] * 2)
        cells = [f"{cell}-{file}" for file in ("monday", "tuesday") for cell in CELLS]
    latent = np.random.default_rng(0).normal(size=(len(cells), 3))
    write_latent(source, tmp_path / "latent.csv", latent)
    write_data(source, tmp_path / "data.h5ad", latent)
    assert capsys.readouterr().out == ""  # all was told when the counts were loaded
    frame = pd.read_csv(tmp_path / "latent.csv", index_col="cell")
    assert frame.index.tolist() == cells
    np.testing.assert_allclose(frame, latent, rtol=1e-12)
    adata = anndata.read_h5ad(tmp_path / "data.h5ad")
    np.testing.assert_array_equal(adata.obsm["X_vae"], latent)
    np.testing.assert_array_equal(read_cells(source).to_df(), counts)
    np.testing.assert_array_equal(adata.to_df(), counts)
    assert adata.obs_names.tolist() == cells
