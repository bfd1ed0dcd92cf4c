CREATE INDEX runs_by_experiment_start ON runs (project_id, experiment, started_at, no) WHERE valid_to IS NULL
