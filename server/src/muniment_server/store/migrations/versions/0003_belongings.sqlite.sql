ALTER TABLE runs ADD COLUMN job BLOB
--;
DROP INDEX jobs_name
--;
CREATE UNIQUE INDEX jobs_name ON jobs (project_id, name, namespace) WHERE valid_to IS NULL
--;
DROP INDEX datasets_name
--;
CREATE UNIQUE INDEX datasets_name ON datasets (project_id, name, namespace) WHERE valid_to IS NULL
--;
CREATE INDEX dataset_versions_called ON dataset_versions (project_id, version, dataset) WHERE valid_to IS NULL
--;
CREATE INDEX runs_by_job ON runs (project_id, job, no) WHERE valid_to IS NULL
--;
CREATE TABLE artifacts (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT,
    location TEXT NOT NULL,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT artifacts_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT artifacts_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX artifacts_digest ON artifacts (project_id, digest) WHERE valid_to IS NULL
--;
CREATE TABLE facet_types (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema TEXT NOT NULL,
    mode TEXT NOT NULL,
    description TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT facet_types_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT facet_types_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX facet_types_version ON facet_types (project_id, name, version) WHERE valid_to IS NULL
--;
CREATE TABLE notes (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    subject BLOB,
    title TEXT,
    text TEXT NOT NULL,
    author BLOB NOT NULL,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT notes_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT notes_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX notes_subject ON notes (project_id, subject, no) WHERE valid_to IS NULL
--;
CREATE TABLE saved_views (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    page TEXT NOT NULL,
    state TEXT NOT NULL,
    description TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT saved_views_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT saved_views_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX saved_views_name ON saved_views (project_id, name) WHERE valid_to IS NULL
--;
CREATE TABLE attachments (
    project_id INTEGER NOT NULL,
    record INTEGER NOT NULL,
    name TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    target INTEGER NOT NULL,
    CONSTRAINT attachments_pkey PRIMARY KEY (project_id, record, name, valid_from)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX attachments_target ON attachments (project_id, target, record) WHERE valid_to IS NULL
--;
CREATE TABLE facets (
    project_id INTEGER NOT NULL,
    record INTEGER NOT NULL,
    name TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    value TEXT NOT NULL,
    CONSTRAINT facets_pkey PRIMARY KEY (project_id, record, name, valid_from)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE names (
    project_id INTEGER NOT NULL,
    record INTEGER NOT NULL,
    name TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    value TEXT NOT NULL,
    CONSTRAINT names_pkey PRIMARY KEY (project_id, record, name, valid_from)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX names_name ON names (project_id, name) WHERE valid_to IS NULL
--;
CREATE TABLE uploads (
    project_id INTEGER NOT NULL,
    location TEXT NOT NULL,
    state TEXT NOT NULL,
    since INTEGER NOT NULL,
    CONSTRAINT uploads_pkey PRIMARY KEY (project_id, location)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE scores (
    project_id INTEGER NOT NULL,
    evaluation INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    value REAL,
    CONSTRAINT scores_pkey PRIMARY KEY (project_id, evaluation, "key")
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX scores_value ON scores (project_id, "key", value, evaluation)
--;
CREATE TABLE foreigns (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    urn TEXT NOT NULL,
    project BLOB NOT NULL,
    kind TEXT NOT NULL,
    record BLOB NOT NULL,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT foreigns_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT foreigns_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX foreigns_urn ON foreigns (project_id, urn) WHERE valid_to IS NULL
--;
CREATE VIRTUAL TABLE words USING fts5(body, detail=none, columnsize=0,
    tokenize="unicode61 remove_diacritics 0 categories 'L* N* M* P* S* Co'")
--;
ANALYZE sqlite_schema
--;
DELETE FROM sqlite_stat1
--;
INSERT INTO sqlite_stat1 VALUES ('aliases', 'aliases', '1000000 1000000 10 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('aliases', 'aliases_target', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('attachments', 'attachments', '1000000 1000000 10 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('attachments', 'attachments_target', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('facets', 'facets', '1000000 1000000 10 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('keys', 'keys', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('keys', 'keys_name', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('ledger', 'ledger', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('links', 'links', '1000000 1000000 10 10 10 10 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('links', 'links_upstream', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('names', 'names', '1000000 1000000 10 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('names', 'names_name', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('params', 'params', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('params', 'params_value', '1000000 1000000 10000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('points', 'points', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('points', 'points_digest', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('receipts', 'receipts', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('receipts', 'receipts_by_time', '1000000 1000000 10')
--;
INSERT INTO sqlite_stat1 VALUES ('records', 'records', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('records', 'records_id', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('scores', 'scores', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('scores', 'scores_value', '1000000 1000000 10000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('segment_runs', 'segment_runs', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('segments', 'segments', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('summaries', 'summaries', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('summaries', 'summaries_last', '1000000 1000000 10000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('tags', 'tags', '1000000 1000000 10 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('tags', 'tags_value', '1000000 1000000 10000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('tiles', 'tiles', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('uploads', 'uploads', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('writers', 'writers', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('artifacts', 'artifacts', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('artifacts', 'artifacts_digest', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('dataset_versions', 'dataset_versions', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('dataset_versions', 'dataset_versions_called', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('dataset_versions', 'dataset_versions_digest', '1000000 1000000 10 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('dataset_versions', 'dataset_versions_version', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('datasets', 'datasets', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('datasets', 'datasets_name', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('evaluations', 'evaluations', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('evaluations', 'evaluations_by_dataset', '1000000 1000000 10 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('evaluations', 'evaluations_by_model', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('experiments', 'experiments', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('experiments', 'experiments_id', '1000000 1000000 10')
--;
INSERT INTO sqlite_stat1 VALUES ('experiments', 'experiments_name', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('facet_types', 'facet_types', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('facet_types', 'facet_types_version', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('foreigns', 'foreigns', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('foreigns', 'foreigns_urn', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('jobs', 'jobs', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('jobs', 'jobs_name', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('model_versions', 'model_versions', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('model_versions', 'model_versions_by_run', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('model_versions', 'model_versions_version', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('models', 'models', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('models', 'models_name', '1000000 1000000 1')
--;
INSERT INTO sqlite_stat1 VALUES ('notes', 'notes', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('notes', 'notes_subject', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('revisions', 'revisions', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('revisions', 'revisions_by_record', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('runs', 'runs', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('runs', 'runs_by_experiment', '1000000 1000000 1000 10')
--;
INSERT INTO sqlite_stat1 VALUES ('runs', 'runs_by_job', '1000000 1000000 1000 10')
--;
INSERT INTO sqlite_stat1 VALUES ('runs', 'runs_by_name', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('runs', 'runs_by_start', '1000000 1000000 10 10')
--;
INSERT INTO sqlite_stat1 VALUES ('saved_views', 'saved_views', '1000000 1000000 10 1')
--;
INSERT INTO sqlite_stat1 VALUES ('saved_views', 'saved_views_name', '1000000 1000000 1')
--;
ANALYZE sqlite_schema
