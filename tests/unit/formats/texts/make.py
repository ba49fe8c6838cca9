"""Small parquet files for texts.test.ts: two row groups, every compression, a row without a text. Needs pyarrow (made with 26.0.1), which nothing else does."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
TEXTS = ["Once upon a time", "there was a “mill”.", "three", "four 😀", "five", None, "seven"]
table = pa.table({"id": list(range(7)), "title": [f"t{i}" for i in range(7)], "text": TEXTS})
for compression in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
    pq.write_table(table, HERE / f"{compression}.parquet", compression=compression, row_group_size=4)
story = pa.table({"meta": [{"source": "x"}, {"source": "y"}], "tags": [["p"], ["q", "r"]], "story": ["a", "b"]})
pq.write_table(story, HERE / "story.parquet")
pq.write_table(pa.table({"n": [1, 2]}), HERE / "numbers.parquet")
