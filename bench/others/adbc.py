"""A CSV into Postgres by pyarrow's reader and ADBC's binary COPY. Arguments: file, URL."""

import sys

import adbc_driver_postgresql.dbapi as adbc
import pyarrow.csv as pcsv
from telling import telling

with telling(), adbc.connect(sys.argv[2]) as connection, connection.cursor() as cursor:
    options = pcsv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    with pcsv.open_csv(sys.argv[1], convert_options=options) as source:
        cursor.adbc_ingest("by_adbc", source, mode="replace")
    connection.commit()
