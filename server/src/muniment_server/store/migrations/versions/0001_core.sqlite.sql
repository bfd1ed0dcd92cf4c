CREATE TABLE meta (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT meta_pkey PRIMARY KEY ("key")
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE leases (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE heads (
    project_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    time INTEGER NOT NULL,
    records INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    CONSTRAINT heads_pkey PRIMARY KEY (project_id)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE records (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id BLOB NOT NULL,
    salt BLOB,
    CONSTRAINT records_pkey PRIMARY KEY (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX records_id ON records (project_id, id)
--;
CREATE TABLE ledger (
    project_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    time INTEGER NOT NULL,
    actor BLOB NOT NULL,
    action TEXT NOT NULL,
    payload BLOB NOT NULL,
    salt BLOB NOT NULL,
    payload_hash BLOB NOT NULL,
    CONSTRAINT ledger_pkey PRIMARY KEY (project_id, position)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE receipts (
    project_id INTEGER NOT NULL,
    token BLOB NOT NULL,
    request BLOB NOT NULL,
    time INTEGER NOT NULL,
    answer BLOB NOT NULL,
    CONSTRAINT receipts_pkey PRIMARY KEY (project_id, token)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX receipts_by_time ON receipts (project_id, time)
--;
CREATE TABLE writers (
    project_id INTEGER NOT NULL,
    writer BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    position INTEGER NOT NULL,
    points INTEGER NOT NULL,
    CONSTRAINT writers_pkey PRIMARY KEY (project_id, writer)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE tiles (
    project_id INTEGER NOT NULL,
    height INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    CONSTRAINT tiles_pkey PRIMARY KEY (project_id, height, number)
)
 STRICT
--;
CREATE TABLE seals (
    number INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    size INTEGER NOT NULL,
    time INTEGER NOT NULL,
    root BLOB NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    "key" TEXT NOT NULL,
    signature BLOB NOT NULL,
    CONSTRAINT seals_pkey PRIMARY KEY (number)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX seals_by_project ON seals (project_id, size)
--;
CREATE TABLE keys (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    name TEXT NOT NULL,
    CONSTRAINT keys_pkey PRIMARY KEY (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX keys_name ON keys (project_id, name)
--;
CREATE TABLE params (
    project_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    value TEXT NOT NULL,
    number REAL,
    CONSTRAINT params_pkey PRIMARY KEY (project_id, run, "key")
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX params_value ON params (project_id, "key", substr(value, 1, 64), run)
--;
CREATE TABLE tags (
    project_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    value TEXT NOT NULL,
    CONSTRAINT tags_pkey PRIMARY KEY (project_id, run, "key", valid_from)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX tags_value ON tags (project_id, "key", substr(value, 1, 64), run) WHERE valid_to IS NULL
--;
CREATE TABLE summaries (
    project_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    count INTEGER NOT NULL,
    last REAL,
    last_step INTEGER NOT NULL,
    last_timestamp INTEGER NOT NULL,
    first REAL,
    first_step INTEGER NOT NULL,
    first_timestamp INTEGER NOT NULL,
    min REAL,
    min_step INTEGER,
    max REAL,
    max_step INTEGER,
    position INTEGER NOT NULL,
    CONSTRAINT summaries_pkey PRIMARY KEY (project_id, run, "key")
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX summaries_last ON summaries (project_id, "key", last, run)
--;
CREATE TABLE points (
    project_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    run INTEGER NOT NULL,
    time INTEGER NOT NULL,
    actor BLOB NOT NULL,
    count INTEGER NOT NULL,
    step_min INTEGER NOT NULL,
    step_max INTEGER NOT NULL,
    digest BLOB,
    payload BLOB,
    payload_hash BLOB,
    CONSTRAINT points_pkey PRIMARY KEY (project_id, position)
)
 STRICT
--;
CREATE UNIQUE INDEX points_digest ON points (project_id, run, digest)
--;
CREATE TABLE segments (
    project_id INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    points INTEGER NOT NULL,
    digest BLOB NOT NULL,
    payload BLOB,
    location TEXT,
    CONSTRAINT segments_pkey PRIMARY KEY (project_id, first)
)
 STRICT
--;
CREATE TABLE segment_runs (
    project_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    step_min INTEGER NOT NULL,
    step_max INTEGER NOT NULL,
    timestamp_min INTEGER NOT NULL,
    timestamp_max INTEGER NOT NULL,
    CONSTRAINT segment_runs_pkey PRIMARY KEY (project_id, run, segment)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE TABLE revisions (
    project_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    record INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT,
    hash BLOB NOT NULL,
    CONSTRAINT revisions_pkey PRIMARY KEY (project_id, position, record),
    CONSTRAINT revisions_record FOREIGN KEY(project_id, record) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX revisions_by_record ON revisions (project_id, record, position)
--;
CREATE TABLE projects (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    slug TEXT NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    CONSTRAINT projects_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT projects_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX projects_slug ON projects (project_id, slug) WHERE valid_to IS NULL
--;
CREATE TABLE principals (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT principals_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT principals_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX principals_name ON principals (project_id, name) WHERE valid_to IS NULL
--;
CREATE TABLE experiments (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT experiments_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT experiments_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE UNIQUE INDEX experiments_name ON experiments (project_id, name) WHERE valid_to IS NULL
--;
CREATE INDEX experiments_id ON experiments (project_id, id) WHERE valid_to IS NULL
--;
CREATE TABLE runs (
    project_id INTEGER NOT NULL,
    no INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    id BLOB NOT NULL,
    experiment BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    parent BLOB,
    lifecycle TEXT NOT NULL,
    description TEXT,
    user TEXT,
    code TEXT,
    environment TEXT,
    seeds TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    CONSTRAINT runs_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT runs_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 WITHOUT ROWID,
 STRICT
--;
CREATE INDEX runs_by_experiment ON runs (project_id, experiment, no) WHERE valid_to IS NULL
--;
CREATE INDEX runs_by_name ON runs (project_id, name, no) WHERE valid_to IS NULL
--;
CREATE INDEX runs_by_start ON runs (project_id, started_at, no) WHERE valid_to IS NULL
--;
CREATE TRIGGER ledger_refuse_update BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'a ledger entry is never changed'); END
--;
CREATE TRIGGER ledger_refuse_delete BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'a ledger entry is never changed'); END
--;
CREATE TRIGGER seals_refuse_update BEFORE UPDATE ON seals BEGIN SELECT RAISE(ABORT, 'a seal is never changed'); END
--;
CREATE TRIGGER seals_refuse_delete BEFORE DELETE ON seals BEGIN SELECT RAISE(ABORT, 'a seal is never changed'); END
--;
CREATE TRIGGER revisions_refuse_update BEFORE UPDATE ON revisions WHEN NOT (new.body IS NULL AND new.project_id = old.project_id AND new.position = old.position AND new.record = old.record AND new.kind = old.kind AND new.hash = old.hash) BEGIN SELECT RAISE(ABORT, 'a revision can only be erased'); END
--;
CREATE TRIGGER revisions_refuse_delete BEFORE DELETE ON revisions BEGIN SELECT RAISE(ABORT, 'a revision can only be erased'); END
--;
CREATE TRIGGER tiles_refuse_update BEFORE UPDATE ON tiles WHEN NOT (new.project_id = old.project_id AND new.height = old.height AND new.number = old.number AND substr(new.hashes, 1, length(old.hashes)) = old.hashes) BEGIN SELECT RAISE(ABORT, 'a tile only grows'); END
--;
CREATE TRIGGER tiles_refuse_delete BEFORE DELETE ON tiles BEGIN SELECT RAISE(ABORT, 'a tile only grows'); END
