ALTER TABLE runs ADD COLUMN job BLOB
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
CREATE VIRTUAL TABLE words USING fts5(body, detail=none, columnsize=0,
    tokenize="unicode61 remove_diacritics 0 categories 'L* N* M* P* S* Co'")
