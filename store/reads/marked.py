"""Nights that were held after readers saw them, by somebody's word or judged again: a fragment of SQL for whoever tells of it."""

# A line for each run in which what readers see turned held, with its batch and the run `of` it; none for what was held already.
HELD_AFTERWARDS = """
SELECT r.id AS run, r.pipeline, r.ended_at AS at, s.batch, coalesce(s.run, r.id) AS of
FROM reading.run r CROSS JOIN LATERAL (SELECT u.batch, u.run FROM reading.publication u
    WHERE u.pipeline = r.pipeline AND u.interval_start = r.interval_start AND u.at < r.ended_at
    ORDER BY u.kind DESC, u.id DESC LIMIT 1) s
WHERE r.trigger IN ('hold', 'revalidate') AND EXISTS (
    SELECT FROM reading.publication p JOIN reading.verdict v ON v.batch = p.batch AND v.run = r.id AND v.outcome = 'held'
    WHERE p.pipeline = r.pipeline AND p.kind = 'input' AND p.interval_start = r.interval_start AND p.at < v.at
        AND 'held' IS DISTINCT FROM (SELECT b.outcome FROM reading.verdict b
            WHERE b.batch = v.batch AND b.id < v.id ORDER BY b.id DESC LIMIT 1))
"""
