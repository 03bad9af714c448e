"""dlt's quickest way from a CSV to Postgres: Arrow in, COPY out. Arguments: file, URL, folder for its state."""

import sys
from collections.abc import Iterator
from typing import Any

import dlt
import pyarrow.csv as pcsv
from telling import telling


def flights() -> Iterator[Any]:
    with pcsv.open_csv(sys.argv[1], convert_options=pcsv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)) as source:
        yield from source


with telling():
    target = dlt.destinations.postgres(credentials=sys.argv[2])
    pipeline = dlt.pipeline("bench", destination=target, dataset_name="by_dlt", pipelines_dir=sys.argv[3], progress=None)
    pipeline.run(flights, table_name="flights", write_disposition="replace")
