-- Where Prometheus finds a worker's /metrics.

ALTER TABLE workers ADD COLUMN metrics_address TEXT NOT NULL DEFAULT '';
