CREATE TABLE jobs (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    type TEXT COLLATE "C",
    description TEXT COLLATE "C",
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT jobs_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX jobs_name ON jobs (project_id, namespace, name) WHERE valid_to IS NULL
--;
CREATE TABLE datasets (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT datasets_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT datasets_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX datasets_name ON datasets (project_id, namespace, name) WHERE valid_to IS NULL
--;
CREATE TABLE dataset_versions (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    dataset UUID NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C",
    sources TEXT NOT NULL,
    schema TEXT NOT NULL,
    slices TEXT NOT NULL,
    rows BIGINT,
    bytes BIGINT,
    license TEXT COLLATE "C",
    profile TEXT,
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT dataset_versions_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT dataset_versions_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX dataset_versions_version ON dataset_versions (project_id, dataset, version) WHERE valid_to IS NULL
--;
CREATE INDEX dataset_versions_digest ON dataset_versions (project_id, dataset, digest, no) WHERE valid_to IS NULL
--;
CREATE TABLE models (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT models_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT models_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX models_name ON models (project_id, name) WHERE valid_to IS NULL
--;
CREATE TABLE model_versions (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    model UUID NOT NULL,
    version BIGINT NOT NULL,
    run UUID,
    uri TEXT COLLATE "C",
    digest TEXT COLLATE "C",
    signature TEXT,
    framework TEXT,
    metadata TEXT,
    stage TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT model_versions_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT model_versions_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE UNIQUE INDEX model_versions_version ON model_versions (project_id, model, version) WHERE valid_to IS NULL
--;
CREATE INDEX model_versions_by_run ON model_versions (project_id, run, no) WHERE valid_to IS NULL
--;
CREATE TABLE evaluations (
    project_id INTEGER NOT NULL,
    no BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    id UUID NOT NULL,
    model_version UUID NOT NULL,
    dataset_version UUID NOT NULL,
    slice TEXT COLLATE "C",
    run UUID,
    metrics TEXT NOT NULL,
    thresholds TEXT NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT evaluations_pkey PRIMARY KEY (project_id, no, valid_from),
    CONSTRAINT evaluations_record FOREIGN KEY(project_id, no) REFERENCES records (project_id, no)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX evaluations_by_model ON evaluations (project_id, model_version, no) WHERE valid_to IS NULL
--;
CREATE INDEX evaluations_by_dataset ON evaluations (project_id, dataset_version, slice, no) WHERE valid_to IS NULL
--;
CREATE TABLE links (
    project_id INTEGER NOT NULL,
    downstream BIGINT NOT NULL,
    upstream BIGINT NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    run BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    source TEXT COLLATE "C" NOT NULL,
    CONSTRAINT links_pkey PRIMARY KEY (project_id, downstream, upstream, type, role, run, valid_from)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX links_upstream ON links (project_id, upstream, downstream)
--;
CREATE TABLE aliases (
    project_id INTEGER NOT NULL,
    record BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    target BIGINT NOT NULL,
    CONSTRAINT aliases_pkey PRIMARY KEY (project_id, record, name, valid_from)
)
 PARTITION BY HASH (project_id)
--;
CREATE INDEX aliases_target ON aliases (project_id, target, name) WHERE valid_to IS NULL
--;
CREATE TABLE jobs_0 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE jobs_1 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE jobs_2 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE jobs_3 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE jobs_4 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE jobs_5 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE jobs_6 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE jobs_7 PARTITION OF jobs FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE datasets_0 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE datasets_1 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE datasets_2 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE datasets_3 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE datasets_4 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE datasets_5 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE datasets_6 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE datasets_7 PARTITION OF datasets FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE dataset_versions_0 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE dataset_versions_1 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE dataset_versions_2 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE dataset_versions_3 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE dataset_versions_4 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE dataset_versions_5 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE dataset_versions_6 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE dataset_versions_7 PARTITION OF dataset_versions FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE models_0 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE models_1 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE models_2 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE models_3 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE models_4 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE models_5 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE models_6 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE models_7 PARTITION OF models FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE model_versions_0 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE model_versions_1 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE model_versions_2 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE model_versions_3 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE model_versions_4 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE model_versions_5 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE model_versions_6 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE model_versions_7 PARTITION OF model_versions FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE evaluations_0 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE evaluations_1 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE evaluations_2 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE evaluations_3 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE evaluations_4 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE evaluations_5 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE evaluations_6 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE evaluations_7 PARTITION OF evaluations FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE links_0 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE links_1 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE links_2 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE links_3 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE links_4 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE links_5 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE links_6 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE links_7 PARTITION OF links FOR VALUES WITH (MODULUS 8, REMAINDER 7)
--;
CREATE TABLE aliases_0 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 0)
--;
CREATE TABLE aliases_1 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 1)
--;
CREATE TABLE aliases_2 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 2)
--;
CREATE TABLE aliases_3 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 3)
--;
CREATE TABLE aliases_4 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 4)
--;
CREATE TABLE aliases_5 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 5)
--;
CREATE TABLE aliases_6 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 6)
--;
CREATE TABLE aliases_7 PARTITION OF aliases FOR VALUES WITH (MODULUS 8, REMAINDER 7)
