"""`pandas.to_sql` as it comes, of a frame that is already in memory. Arguments: file, SQLAlchemy URL, rows."""

import sys

import pandas as pd
import sqlalchemy as sa
from telling import telling

frame = pd.read_csv(sys.argv[1], nrows=int(sys.argv[3]))
engine = sa.create_engine(sys.argv[2])
with telling():
    frame.to_sql("by_to_sql", engine, index=False, if_exists="replace")
