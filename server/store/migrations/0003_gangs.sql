-- Order and size of jobs, why an attempt is to stop, and workers that take no more. Where ranks stood is part of attempts.places.

ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN min_ranks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN global_batch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN stop_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN cordoned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;
