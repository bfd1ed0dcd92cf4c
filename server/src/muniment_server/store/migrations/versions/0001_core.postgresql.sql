CREATE TABLE meta (
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    CONSTRAINT meta_pkey PRIMARY KEY (key)
)
--;
CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
)
--;
CREATE TABLE heads (
    project_id INTEGER NOT NULL,
    position BIGINT NOT NULL,
    time BIGINT NOT NULL,
    records BIGINT NOT NULL,
    keys BIGINT NOT NULL,
    CONSTRAINT heads_pkey PRIMARY KEY (project_id)
)
--;
CREATE TABLE records (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    id UUID NOT NULL,
    salt BYTEA,
    CONSTRAINT records_pkey PRIMARY KEY (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX records_id ON records (project_id, id)
--;
CREATE TABLE ledger (
    project_id INTEGER NOT NULL,
    position BIGINT NOT NULL,
    time BIGINT NOT NULL,
    actor UUID NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    payload BYTEA NOT NULL,
    salt BYTEA NOT NULL,
    payload_hash BYTEA NOT NULL,
    CONSTRAINT ledger_pkey PRIMARY KEY (project_id, position)
)
 PARTITION BY HASH (project_id)
--;
CREATE TABLE receipts (
    project_id INTEGER NOT NULL,
    token BYTEA NOT NULL,
    request BYTEA NOT NULL,
    time BIGINT NOT NULL,
    answer BYTEA NOT NULL,
    CONSTRAINT receipts_pkey PRIMARY KEY (project_id, token)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX receipts_by_time ON receipts (project_id, time)
--;
CREATE TABLE writers (
    project_id INTEGER NOT NULL,
    writer UUID NOT NULL,
    sequence BIGINT NOT NULL,
    position BIGINT NOT NULL,
    points BIGINT NOT NULL,
    CONSTRAINT writers_pkey PRIMARY KEY (project_id, writer)
)
 PARTITION BY HASH (project_id)
--;
CREATE TABLE tiles (
    project_id INTEGER NOT NULL,
    height INTEGER NOT NULL,
    number BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    CONSTRAINT tiles_pkey PRIMARY KEY (project_id, height, number)
)
 PARTITION BY HASH (project_id)
--;
CREATE TABLE seals (
    number BIGINT NOT NULL,
    project_id INTEGER NOT NULL,
    size BIGINT NOT NULL,
    time BIGINT NOT NULL,
    root BYTEA NOT NULL,
    previous BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    signature BYTEA NOT NULL,
    CONSTRAINT seals_pkey PRIMARY KEY (number)
)
--;
CREATE UNIQUE INDEX seals_by_project ON seals (project_id, size)
--;
CREATE TABLE keys (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    CONSTRAINT keys_pkey PRIMARY KEY (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX keys_name ON keys (project_id, name)
--;
CREATE TABLE params (
    project_id INTEGER NOT NULL,
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    number DOUBLE PRECISION,
    CONSTRAINT params_pkey PRIMARY KEY (project_id, run, key)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX params_value ON params (project_id, key, substr(value, 1, 64), run)
--;
CREATE TABLE tags (
    project_id INTEGER NOT NULL,
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    value TEXT COLLATE "C" NOT NULL,
    CONSTRAINT tags_pkey PRIMARY KEY (project_id, run, key, valid_from)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX tags_value ON tags (project_id, key, substr(value, 1, 64), run) WHERE valid_to IS NULL
--;
CREATE TABLE summaries (
    project_id INTEGER NOT NULL,
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    count BIGINT NOT NULL,
    last DOUBLE PRECISION,
    last_step BIGINT NOT NULL,
    last_timestamp BIGINT NOT NULL,
    first DOUBLE PRECISION,
    first_step BIGINT NOT NULL,
    first_timestamp BIGINT NOT NULL,
    min DOUBLE PRECISION,
    min_step BIGINT,
    max DOUBLE PRECISION,
    max_step BIGINT,
    position BIGINT NOT NULL,
    CONSTRAINT summaries_pkey PRIMARY KEY (project_id, run, key)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX summaries_last ON summaries (project_id, key, last, run)
--;
CREATE TABLE points (
    project_id INTEGER NOT NULL,
    position BIGINT NOT NULL,
    run BIGINT NOT NULL,
    time BIGINT NOT NULL,
    actor UUID NOT NULL,
    count BIGINT NOT NULL,
    step_min BIGINT NOT NULL,
    step_max BIGINT NOT NULL,
    digest BYTEA,
    payload BYTEA,
    payload_hash BYTEA,
    CONSTRAINT points_pkey PRIMARY KEY (project_id, position)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX points_digest ON points (project_id, run, digest)
--;
CREATE TABLE segments (
    project_id INTEGER NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    points BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    payload BYTEA,
    location TEXT COLLATE "C",
    CONSTRAINT segments_pkey PRIMARY KEY (project_id, first)
)
 PARTITION BY HASH (project_id)
--;
CREATE TABLE segment_runs (
    project_id INTEGER NOT NULL,
    run BIGINT NOT NULL,
    segment BIGINT NOT NULL,
    step_min BIGINT NOT NULL,
    step_max BIGINT NOT NULL,
    timestamp_min BIGINT NOT NULL,
    timestamp_max BIGINT NOT NULL,
    CONSTRAINT segment_runs_pkey PRIMARY KEY (project_id, run, segment)
)
 PARTITION BY HASH (project_id)
--;
CREATE TABLE revisions (
    project_id INTEGER NOT NULL,
    position BIGINT NOT NULL,
    record BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C",
    hash BYTEA NOT NULL,
    CONSTRAINT revisions_pkey PRIMARY KEY (project_id, position, record),
    CONSTRAINT revisions_record FOREIGN KEY(project_id, record) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX revisions_by_record ON revisions (project_id, record, position)
--;
CREATE TABLE projects (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    slug TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    CONSTRAINT projects_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT projects_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
--;
CREATE UNIQUE INDEX projects_slug ON projects (project_id, slug) WHERE valid_to IS NULL
--;
CREATE TABLE principals (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT principals_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT principals_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
--;
CREATE UNIQUE INDEX principals_name ON principals (project_id, name) WHERE valid_to IS NULL
--;
CREATE TABLE experiments (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT experiments_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT experiments_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX experiments_name ON experiments (project_id, name) WHERE valid_to IS NULL
--;
CREATE INDEX experiments_id ON experiments (project_id, id) WHERE valid_to IS NULL
--;
CREATE TABLE runs (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    experiment UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    parent UUID,
    lifecycle TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    "user" TEXT COLLATE "C",
    code TEXT,
    environment TEXT,
    seeds TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    CONSTRAINT runs_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT runs_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX runs_by_experiment ON runs (project_id, experiment, no) WHERE valid_to IS NULL
--;
CREATE INDEX runs_by_name ON runs (project_id, name, no) WHERE valid_to IS NULL
--;
CREATE INDEX runs_by_start ON runs (project_id, started_at, no) WHERE valid_to IS NULL
--;
CREATE TABLE keys_0 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE keys_1 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE keys_2 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE keys_3 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE keys_4 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE keys_5 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE keys_6 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE keys_7 PARTITION OF keys FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE ledger_0 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE ledger_2 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE ledger_3 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE ledger_4 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE ledger_5 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE ledger_6 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE ledger_7 PARTITION OF ledger FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE params_0 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE params_1 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE params_2 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE params_3 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE params_4 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE params_5 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE params_6 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE params_7 PARTITION OF params FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE points_0 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE points_1 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE points_2 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE points_3 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE points_4 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE points_5 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE points_6 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE points_7 PARTITION OF points FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE receipts_0 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE receipts_1 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE receipts_2 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE receipts_3 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE receipts_4 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE receipts_5 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE receipts_6 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE receipts_7 PARTITION OF receipts FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE records_0 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE records_1 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE records_2 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE records_3 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE records_4 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE records_5 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE records_6 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE records_7 PARTITION OF records FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE segment_runs_0 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE segment_runs_1 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE segment_runs_2 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE segment_runs_3 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE segment_runs_4 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE segment_runs_5 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE segment_runs_6 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE segment_runs_7 PARTITION OF segment_runs FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE segments_0 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE segments_1 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE segments_2 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE segments_3 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE segments_4 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE segments_5 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE segments_6 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE segments_7 PARTITION OF segments FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE summaries_0 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE summaries_1 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE summaries_2 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE summaries_3 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE summaries_4 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE summaries_5 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE summaries_6 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE summaries_7 PARTITION OF summaries FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE tags_0 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE tags_1 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE tags_2 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE tags_3 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE tags_4 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE tags_5 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE tags_6 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE tags_7 PARTITION OF tags FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE tiles_0 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE tiles_1 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE tiles_2 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE tiles_3 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE tiles_4 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE tiles_5 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE tiles_6 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE tiles_7 PARTITION OF tiles FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE writers_0 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE writers_1 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE writers_2 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE writers_3 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE writers_4 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE writers_5 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE writers_6 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE writers_7 PARTITION OF writers FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE experiments_0 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE experiments_1 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE experiments_2 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE experiments_3 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE experiments_4 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE experiments_5 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE experiments_6 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE experiments_7 PARTITION OF experiments FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE revisions_0 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE revisions_1 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE revisions_2 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE revisions_3 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE revisions_4 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE revisions_5 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE revisions_6 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE revisions_7 PARTITION OF revisions FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE runs_0 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE runs_1 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE runs_2 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE runs_3 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE runs_4 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE runs_5 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE runs_6 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE runs_7 PARTITION OF runs FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
ALTER TABLE points ALTER COLUMN payload SET STORAGE EXTERNAL
--;
ALTER TABLE segments ALTER COLUMN payload SET STORAGE EXTERNAL
--;
CREATE FUNCTION muniment_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation'; END $$
--;
CREATE TRIGGER ledger_refuse_update_delete BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION muniment_refuse('a ledger entry is never changed')
--;
CREATE TRIGGER seals_refuse_update_delete BEFORE UPDATE OR DELETE ON seals FOR EACH ROW EXECUTE FUNCTION muniment_refuse('a seal is never changed')
--;
CREATE TRIGGER revisions_refuse_update BEFORE UPDATE ON revisions FOR EACH ROW WHEN (NOT (new.body IS NULL AND new.project_id = old.project_id AND new.position = old.position AND new.record = old.record AND new.kind = old.kind AND new.hash = old.hash)) EXECUTE FUNCTION muniment_refuse('a revision can only be erased')
--;
CREATE TRIGGER revisions_refuse_delete BEFORE DELETE ON revisions FOR EACH ROW EXECUTE FUNCTION muniment_refuse('a revision can only be erased')
--;
CREATE TRIGGER tiles_refuse_update BEFORE UPDATE ON tiles FOR EACH ROW WHEN (NOT (new.project_id = old.project_id AND new.height = old.height AND new.number = old.number AND substr(new.hashes, 1, length(old.hashes)) = old.hashes)) EXECUTE FUNCTION muniment_refuse('a tile only grows')
--;
CREATE TRIGGER tiles_refuse_delete BEFORE DELETE ON tiles FOR EACH ROW EXECUTE FUNCTION muniment_refuse('a tile only grows')
