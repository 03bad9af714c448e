"""Plain Great Expectations on a pandas frame that is already in memory. Arguments: CSV file, JSON file of the suite."""

import json
import sys
from pathlib import Path

import great_expectations as gx
import pyarrow.csv as pcsv
from telling import telling

frame = pcsv.read_csv(sys.argv[1]).to_pandas()
lines = json.loads(Path(sys.argv[2]).read_text())
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
batch = (
    context.data_sources.add_pandas("bench")
    .add_dataframe_asset("flights")
    .add_batch_definition_whole_dataframe("all")
    .get_batch({"dataframe": frame})
)
suite = gx.ExpectationSuite(name="bench")
for line in lines:
    name = "Expect" + "".join(part.capitalize() for part in line.pop("expect").split("_"))
    line.pop("severity", None)
    suite.add_expectation(getattr(gx.expectations, name)(**line))
with telling():
    found = batch.validate(suite)
assert found.statistics["evaluated_expectations"] == len(lines)
assert not any(one.exception_info.get("raised_exception") for one in found.results), found
