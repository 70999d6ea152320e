-- The first schema. Times are microseconds since 1970 (NULL: never, or not yet). States and kinds are their names.

CREATE TABLE experiments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  spec TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  trials INTEGER NOT NULL
) STRICT;

CREATE TABLE requests (
  request_id TEXT PRIMARY KEY,
  experiment TEXT NOT NULL REFERENCES experiments (name)
) STRICT, WITHOUT ROWID;

CREATE TABLE trials (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL REFERENCES experiments (name),
  position INTEGER NOT NULL,
  spec TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  dataset TEXT NOT NULL,
  dataset_digest TEXT NOT NULL,
  reused_from TEXT REFERENCES trials (name),
  updates INTEGER NOT NULL,
  updates_done INTEGER NOT NULL DEFAULT 0,
  best_nll REAL,
  final_nll REAL,
  unigram_nll REAL,
  evidence TEXT NOT NULL DEFAULT '',
  weights_sha256 TEXT NOT NULL DEFAULT '',
  UNIQUE (experiment, position)
) STRICT;
CREATE INDEX trials_fingerprint ON trials (fingerprint);

CREATE TABLE jobs (
  name TEXT PRIMARY KEY,
  trial TEXT NOT NULL REFERENCES trials (name),
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  cause TEXT NOT NULL,
  message TEXT NOT NULL,
  upstream TEXT NOT NULL,
  accepts_diverged INTEGER NOT NULL,
  submit_order INTEGER NOT NULL,
  ranks INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  not_before INTEGER,
  create_time INTEGER NOT NULL,
  end_time INTEGER,
  checkpoint_update INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_order ON jobs (submit_order);

-- The jobs that a trial shows: its own, or those of the trial that was trained for it.
CREATE TABLE trial_jobs (
  trial TEXT NOT NULL REFERENCES trials (name),
  leaf TEXT NOT NULL,
  job TEXT NOT NULL REFERENCES jobs (name),
  position INTEGER NOT NULL,
  PRIMARY KEY (trial, leaf)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
  job TEXT NOT NULL REFERENCES jobs (name),
  number INTEGER NOT NULL,
  places TEXT NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER,
  outcome TEXT NOT NULL,
  cause TEXT NOT NULL,
  message TEXT NOT NULL,
  rendezvous TEXT NOT NULL,
  ranks_up INTEGER NOT NULL,
  environment TEXT NOT NULL DEFAULT '',
  resumed_from INTEGER,
  PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_warnings (
  job TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (job, attempt, seq),
  FOREIGN KEY (job, attempt) REFERENCES attempts (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
  name TEXT PRIMARY KEY,
  uid TEXT NOT NULL,
  session TEXT NOT NULL,
  slots TEXT NOT NULL,
  state TEXT NOT NULL,
  last_seen INTEGER NOT NULL,
  lease_end INTEGER NOT NULL,
  version TEXT NOT NULL,
  host TEXT NOT NULL,
  advertise_address TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE datasets (
  name TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  task TEXT NOT NULL,
  manifest TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  complete INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_files (
  dataset TEXT NOT NULL REFERENCES datasets (name) ON DELETE CASCADE,
  path TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  complete INTEGER NOT NULL,
  PRIMARY KEY (dataset, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  trial TEXT NOT NULL REFERENCES trials (name),
  kind TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  step INTEGER NOT NULL,
  job TEXT NOT NULL REFERENCES jobs (name),
  attempt INTEGER NOT NULL,
  file_name TEXT NOT NULL,
  create_time INTEGER NOT NULL
) STRICT;
CREATE INDEX artifacts_trial ON artifacts (trial);

CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL REFERENCES jobs (name),
  attempt INTEGER NOT NULL,
  kind TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  step INTEGER NOT NULL,
  file_name TEXT NOT NULL,
  UNIQUE (job, attempt, kind, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint_events (
  job TEXT NOT NULL REFERENCES jobs (name),
  sha256 TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  step INTEGER NOT NULL,
  PRIMARY KEY (job, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_cursors (
  job TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  acknowledged_seq INTEGER NOT NULL,
  PRIMARY KEY (job, attempt, rank),
  FOREIGN KEY (job, attempt) REFERENCES attempts (job, number)
) STRICT, WITHOUT ROWID;

-- Public: one row a (job, name, step), whatever number of attempts it took. step: updates done when it was measured.
-- value: NULL stands for NaN, because SQLite has none; infinities are stored as such.
CREATE TABLE measurement_scalars (
  job TEXT NOT NULL REFERENCES jobs (name),
  name TEXT NOT NULL,
  step INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  value REAL,
  PRIMARY KEY (job, name, step)
) STRICT, WITHOUT ROWID;

-- Public: likewise, one value a layer from the first. "values": `count` little-endian IEEE doubles.
CREATE TABLE measurement_vectors (
  job TEXT NOT NULL REFERENCES jobs (name),
  stack TEXT NOT NULL,
  name TEXT NOT NULL,
  step INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  count INTEGER NOT NULL,
  "values" BLOB NOT NULL,
  PRIMARY KEY (job, stack, name, step)
) STRICT, WITHOUT ROWID;
