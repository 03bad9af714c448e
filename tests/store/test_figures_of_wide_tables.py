"""Figures of a night whose table is as wide as Postgres allows."""

import sqlalchemy as sa

from store.figures import measure_batch


def test_a_table_of_more_columns_than_one_answer_can_hold_has_figures_of_all(owner: sa.Engine) -> None:
    names = [f"f{number:04d}" for number in range(1_500)]
    with owner.begin() as connection:
        connection.execute(sa.text(f"CREATE TEMPORARY TABLE wide ({', '.join(f'{name} float4' for name in names)})"))
        connection.execute(sa.text("INSERT INTO wide (f0000, f1499) VALUES (1, 5), (3, NULL)"))
        at = connection.scalar(sa.text("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()"))
        found = measure_batch(connection, at=at, table="wide", rows=2, columns=dict.fromkeys(names, "float"), key=())
    assert list(found["columns"]) == names
    assert found["columns"]["f0000"] == {"null_share": 0.0, "mean": 2.0}
    assert found["columns"]["f1499"] == {"null_share": 0.5, "mean": 5.0}
    assert found["columns"]["f0700"] == {"null_share": 1.0}
