CREATE INDEX runs_by_experiment_start ON runs (project_id, experiment, started_at, no) WHERE valid_to IS NULL
--;
INSERT INTO sqlite_stat1 VALUES ('runs', 'runs_by_experiment_start', '1000000 1000000 1000 10 10')
--;
ANALYZE sqlite_schema
