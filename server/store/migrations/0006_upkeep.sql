-- What deleting needs: ways back along references, answers to repeat, and what went by its age.

CREATE INDEX trials_reused_from ON trials (reused_from);
CREATE INDEX trials_extended_from ON trials (extended_from);
CREATE INDEX trials_dataset ON trials (dataset);
CREATE INDEX jobs_trial ON jobs (trial);
CREATE INDEX trial_jobs_job ON trial_jobs (job);
CREATE INDEX artifacts_job ON artifacts (job);

CREATE TABLE deletions (
  request_id TEXT PRIMARY KEY,
  time INTEGER NOT NULL,
  answer TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE collected (
  job TEXT NOT NULL REFERENCES jobs (name),
  kind TEXT NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (job, kind)
) STRICT, WITHOUT ROWID;
