CREATE TABLE jobs (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT,
    description TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT jobs_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX jobs_name ON jobs (project_id, namespace, name) WHERE valid_to IS NULL
--;
CREATE TABLE datasets (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT datasets_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT datasets_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX datasets_name ON datasets (project_id, namespace, name) WHERE valid_to IS NULL
--;
CREATE TABLE dataset_versions (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    dataset BLOB NOT NULL,
    version TEXT NOT NULL,
    digest TEXT,
    sources TEXT NOT NULL,
    schema TEXT NOT NULL,
    slices TEXT NOT NULL,
    rows INTEGER,
    bytes INTEGER,
    license TEXT,
    profile TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT dataset_versions_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT dataset_versions_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX dataset_versions_version ON dataset_versions (project_id, dataset, version) WHERE valid_to IS NULL
--;
CREATE INDEX dataset_versions_digest ON dataset_versions (project_id, dataset, digest, no) WHERE valid_to IS NULL
--;
CREATE TABLE models (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT models_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT models_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX models_name ON models (project_id, name) WHERE valid_to IS NULL
--;
CREATE TABLE model_versions (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    model BLOB NOT NULL,
    version INTEGER NOT NULL,
    run BLOB,
    uri TEXT,
    digest TEXT,
    signature TEXT,
    framework TEXT,
    metadata TEXT,
    stage TEXT NOT NULL,
    description TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT model_versions_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT model_versions_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX model_versions_version ON model_versions (project_id, model, version) WHERE valid_to IS NULL
--;
CREATE INDEX model_versions_by_run ON model_versions (project_id, run, no) WHERE valid_to IS NULL
--;
CREATE TABLE evaluations (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    model_version BLOB NOT NULL,
    dataset_version BLOB NOT NULL,
    slice TEXT,
    run BLOB,
    metrics TEXT NOT NULL,
    thresholds TEXT NOT NULL,
    verdict TEXT NOT NULL,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT evaluations_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT evaluations_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX evaluations_by_model ON evaluations (project_id, model_version, no) WHERE valid_to IS NULL
--;
CREATE INDEX evaluations_by_dataset ON evaluations (project_id, dataset_version, slice, no) WHERE valid_to IS NULL
--;
CREATE TABLE links (
    project_id INTEGER NOT NULL,
    downstream INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    type TEXT NOT NULL,
    role TEXT NOT NULL,
    run INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    source TEXT NOT NULL,
    CONSTRAINT links_pkey PRIMARY KEY (project_id, downstream, upstream, type, role, run, valid_from)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX links_upstream ON links (project_id, upstream, downstream)
--;
CREATE TABLE aliases (
    project_id INTEGER NOT NULL,
    record INTEGER NOT NULL,
    name TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    target INTEGER NOT NULL,
    CONSTRAINT aliases_pkey PRIMARY KEY (project_id, record, name, valid_from)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX aliases_target ON aliases (project_id, target, name) WHERE valid_to IS NULL
