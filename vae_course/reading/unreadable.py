"""What a file is that cannot be read as cells, in one sentence: what was expected, what came, what to do."""

import gzip
import re
from pathlib import Path
from typing import Any

EXPECTED = "an .h5ad, 10x .h5, .loom, .zarr, .csv, .tsv or .txt file or a 10x folder"
SIGNATURES = [  # how files begin, what they are, what to do
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "give it the ending .h5ad or .h5"),
    (b"\x89PNG", "a PNG image", "give the file with the counts"),
    (b"\xff\xd8\xff", "a JPEG image", "give the file with the counts"),
    (b"%PDF", "a PDF document", "give the file with the counts"),
    (b"RDX", "a file of R (.rds or .RData)", "write it as .h5ad in R, for example with zellkonverter::writeH5AD"),
    (b"X\n\0\0", "a file of R (.rds)", "write it as .h5ad in R, for example with zellkonverter::writeH5AD"),
    (b"PAR1", "a Parquet table", "write it as .csv"),
    (b"ARROW1", "a Feather table", "write it as .csv"),
    (b"\x93NUMPY", "an array of NumPy", "write it with anndata.AnnData(array).write_h5ad"),
    (b"\x80", "a pickle of Python", "open it there and write it with write_h5ad"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself", "fetch that with git lfs pull"),
    (b"BZh", "compressed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it with unzstd"),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8"),
    (b"{", "a JSON file", "give the file with the counts"),
]
FILTERS = {32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle", 32013: "ZFP", 32015: "Zstandard", 32026: "Blosc2"}


def existing(path: str | Path) -> Path:
    """Return a path as a Path.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    PermissionError
        If it is a file that may not be read.
    """
    path = Path(path)
    try:
        if path.is_dir() or path.open("rb").close() is None:
            return path
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no file {path}.") from error
    except PermissionError as error:
        raise PermissionError(
            f"{path} may not be read by you: ask its owner for permission, or copy it where you may."
        ) from error
    return path


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(512)


def unexpected(path: Path, expected: str = EXPECTED) -> ValueError:
    """Return the error for a file of another kind than was expected, which says what kind it is."""
    what, advice = _what_it_is(beginning(path), path)
    return ValueError(f"{path}: {expected} was expected, and this is {what}: {advice}.")


def _what_it_is(head: bytes, path: Path) -> tuple[str, str]:
    """Return what a file is by its first bytes, and what to do."""
    if not head:
        return "an empty file", "copy or download it again"
    for signature, what, advice in SIGNATURES:
        if head.startswith(signature):
            return what, advice
    if head.startswith(b"PK\x03\x04"):
        if b"[Content_Types].xml" in head:
            return "an Excel workbook", "save it as .csv"
        return "a zip archive", "unpack it and give the file that is in it"
    if head.startswith(b"\x1f\x8b"):
        return _what_is_compressed(path)
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it with tar -xf and give the file or the folder that is in it"
    if re.match(rb"\s*<(!doctype|html|\?xml)", head, flags=re.IGNORECASE):
        return "a web page", "download the file again, perhaps from another address"
    if head.startswith(b"%%MatrixMarket"):
        return "a Matrix Market file", "name it matrix.mtx, with barcodes.tsv and features.tsv in the same folder"
    if _is_text(head):
        return "a text file", "if it is a table of counts, name it .csv, .tsv or .txt"
    return "of a kind that is not known", "write the counts as .h5ad"


def _what_is_compressed(path: Path) -> tuple[str, str]:
    try:
        with gzip.open(path) as file:
            what, advice = _what_it_is(file.read(512), path)
    except (OSError, EOFError):
        return "a damaged or incomplete gzip file", "copy or download it again"
    if what.startswith("a file of R"):  # which R itself compresses
        return what, advice
    return f"{what} compressed with gzip", f"unpack it with gunzip, then {advice}"


def _is_text(head: bytes) -> bool:
    try:
        return "\0" not in head.decode("utf-8", errors="strict" if len(head) < 500 else "ignore")
    except UnicodeDecodeError:
        return False


def unreadable(path: Path, error: Exception, kind: str = ".h5ad") -> Exception:
    """Return the error for a file of the right kind that cannot be read, which says why.

    Parameters
    ----------
    path
        The file or the folder.
    error
        What h5py, anndata or scanpy raised.
    kind
        What the file is, for the message.
    """
    said = str(error)
    if isinstance(error, BlockingIOError) or "unable to lock file" in said:
        return ValueError(
            f"{path} cannot be opened while another program has it open: close it there or, if nothing writes to it or "
            "its disk cannot lock files, set the environment variable HDF5_USE_FILE_LOCKING=FALSE."
        )
    truncated = re.search(r"truncated file: eof = (\d+).*stored_eof = (\d+)", said)
    if truncated:
        there, whole = map(int, truncated.groups())
        return ValueError(
            f"{path} is incomplete, {there:,} of its {whole:,} bytes are there: copy or download it again."
        )
    if plugins := _missing_plugins(path):
        return ImportError(f"{path} is compressed with {plugins}, which h5py reads with: pip install hdf5plugin.")
    reason = said.strip().split("\n")[0].rstrip(".")
    return ValueError(
        f"{path} cannot be read as {kind}, it is damaged or incomplete ({type(error).__name__}: {reason[:100]}): "
        "copy, download or write it again."
    )


def _missing_plugins(path: Path) -> str:
    """Return the names of the compressions in an HDF5 file that cannot be read without a plugin; mostly none."""
    import h5py

    found = set()

    def note(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            stored = item.id.get_create_plist()
            found.update(stored.get_filter(i)[0] for i in range(stored.get_nfilters()))

    try:
        with h5py.File(path) as file:
            file.visititems(note)
    except Exception:  # it is damaged as well, or no HDF5 file
        return ""
    missing = sorted(code for code in found if not h5py.h5z.filter_avail(code))
    return " and ".join(FILTERS.get(code, f"HDF5 filter {code}") for code in missing)


def unknown_hdf5(path: Path, names: list[str]) -> ValueError:
    """Return the error for an HDF5 file that holds no cells in a form that is known."""
    if "assays" in names:
        what, advice = "an h5Seurat file", "write it as .h5ad in R with SeuratDisk::Convert(file, dest = 'h5ad')"
    elif "mod" in names:
        what, advice = "a MuData file with several modalities", "write one as .h5ad: mdata.mod['rna'].write_h5ad(...)"
    else:
        held = ", ".join(map(repr, names[:6])) or "nothing"
        what = f"an HDF5 file that holds {held}"
        advice = "write the counts with anndata.AnnData(counts).write_h5ad(...)"
    return ValueError(
        f"{path}: an .h5ad file (with X, obs, var), a 10x .h5 file (with matrix) or a .loom file (with matrix, "
        f"row_attrs, col_attrs) was expected, and this is {what}: {advice}."
    )
